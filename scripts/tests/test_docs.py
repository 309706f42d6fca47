"""Tests that the tests, files and headings that the documentation names exist."""

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


def anchor(heading: str) -> str:
    """Returns the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


def broken_links(page: Path, text: str) -> list[str]:
    """Returns the links of a page to files and headings that do not exist."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    broken = []
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(f"{link}: no file")
        elif heading and heading not in {anchor(one) for one in re.findall(r"^#+ (.*)$", target.read_text(), re.M)}:
            broken.append(f"{link}: no heading")
    return broken


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    pages = [path for path in ROOT.rglob("*.md")
             if not any(part == "target" or part.startswith(".") for part in path.relative_to(ROOT).parts)]
    assert len(pages) > 70
    broken = {path.relative_to(ROOT).as_posix(): broken_links(path, path.read_text()) for path in pages}
    assert {page: links for page, links in broken.items() if links} == {}


def test_planted_link_is_found() -> None:
    text = "[a](glossary.md) [b](nothing.md) [c](alerts.md#nothing) [d](https://example.com/x) [e](alerts.md#configuration)"
    assert broken_links(ROOT / "docs" / "x.md", text) == ["nothing.md: no file", "alerts.md#nothing: no heading"]
