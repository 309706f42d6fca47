"""The threat model names tests that exist, and says of each foothold what it may and may not get."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ATTACK = re.compile(r"#\[(?:tokio::)?test(?:\([^)]*\))?\]\n(?:#\[[^\n]*\]\n)*(?:async )?fn (\w+)\(")
PAGE = (ROOT / "docs" / "security" / "threat-model.md").read_text()
FOOTHOLDS = [re.split(r"\. |\n", part, maxsplit=2) for part in re.split(r"^##+ ", PAGE, flags=re.MULTILINE) if re.match(r"\d+\. ", part)]


@cache
def known() -> set[str]:
    """The names of all functions in the Rust and Python code that may be tests."""
    found: set[str] = set()
    for folder in ("crates", "functions", "tests", "local", "policies", "scripts"):
        for path in [*(ROOT / folder).rglob("*.rs"), *(ROOT / folder).rglob("test_*.py")]:
            found |= set(re.findall(r"(?:fn|def) ([a-z_0-9]+)\b", path.read_text()))
    return found


def test_every_named_test_exists() -> None:
    named = re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", PAGE)
    assert len(named) > 25
    assert not sorted(set(named) - known())


def test_ten_footholds_say_what_they_get() -> None:
    assert [int(number) for number, _, _ in FOOTHOLDS] == list(range(1, 11))
    for _, title, text in FOOTHOLDS:
        assert re.search(r"^- May: ", text, re.MULTILINE) and re.search(r"^- May not: ", text, re.MULTILINE), title
        assert re.search(r"^- Shown by: `", text, re.MULTILINE), title


def test_scripts_of_the_page_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = [PAGE, (ROOT / "docs" / "security" / "supply-chain.md").read_text()]
    for page in pages:
        code = "\n".join(block or span for block, span in re.findall(r"```sh\n(.*?)```|`([^`]+)`", page, re.DOTALL))
        for target in re.findall(r"(?<![\w-])make ([a-z-]+)(?![\w*-])", code):
            assert re.search(rf"^\.PHONY:.*\b{target}\b", makefile, re.MULTILINE), f"there is no target {target}"
        for script in re.findall(r"`(scripts/[a-z-]+)", page):
            assert (ROOT / script).exists(), script


def test_every_attack_test_is_on_the_page() -> None:
    suite = ROOT / "tests" / "tests" / "security"
    found = {name for path in sorted(suite.rglob("*.rs")) for name in ATTACK.findall(path.read_text())}
    assert len(found) >= 11, found
    missing = {name for name in found if f"`{name}`" not in PAGE}
    assert not missing, f"name in docs/security/threat-model.md: {sorted(missing)}"
