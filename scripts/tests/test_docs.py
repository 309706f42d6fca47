"""What the docs say is proved by a test names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rotation-conformance.md"


def test_every_line_of_the_conformance_names_tests_that_exist() -> None:
    sources = "".join(path.read_text() for place in ("crates", "tests", "functions") for path in (ROOT / place).rglob("*.rs"))
    functions = set(re.findall(r"fn (\w+)", sources))
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        said, by = row[-3].strip(), row[-2]
        assert by.strip() or said.startswith("does not apply"), f"nothing proves: {row[1]}"
        for name in re.findall(r"`([\w/.-]+)`", by):
            place = (ROOT / name, ROOT / "tests" / "tests" / name, ROOT / "tests" / "tests" / f"{name}.rs")
            assert name in functions or any(path.exists() for path in place), f"there is no {name}"
