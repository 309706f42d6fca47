"""Tests that the documentation names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rotation-conformance.md"


def test_every_entry_of_the_conformance_page_names_existing_tests() -> None:
    sources = "".join(path.read_text() for place in ("crates", "tests", "functions") for path in (ROOT / place).rglob("*.rs"))
    functions = set(re.findall(r"fn (\w+)", sources))
    text = re.sub(r"\n  +", " ", PAGE.read_text())
    entries = [line for line in text.splitlines() if line.startswith("- **")]
    assert len(entries) > 20
    for entry in entries:
        found = re.search(r"\*\* (.*?)(?: (?:Tests:|See) (.*))?$", entry)
        assert found, f"no answer: {entry}"
        answer, tests = found.groups()
        assert tests or answer.startswith("Does not apply"), f"no test is named: {entry}"
        for name in re.findall(r"`([\w/.-]+)`", tests or ""):
            place = (ROOT / name, ROOT / "tests" / "tests" / name, ROOT / "tests" / "tests" / f"{name}.rs")
            assert name in functions or any(path.exists() for path in place), f"there is no {name}"
