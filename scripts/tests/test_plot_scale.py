"""The picture of the copy monitor's scale shows the numbers of the table beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "copy-monitor.md"
PICTURE = ROOT / "docs" / "images" / "copy-monitor-scale.svg"


def drawn(page: Path, picture: Path) -> str:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "plot-scale"), str(page), str(picture)], check=True, capture_output=True)
    return picture.read_text()


def parts(svg: str) -> tuple[list[str], list[float]]:
    """What it is made of, without ids, which are hashes: words, and numbers to be compared with some room for another machine's rounding."""
    plain = re.sub(r'( id="[^"]*"|url\(#[^)]*\)|xlink:href="[^"]*")', "", svg)
    number = re.compile(r"-?\d+\.\d+|-?\d+")
    return number.sub("0", plain).split(), [float(one) for one in number.findall(plain)]


def corners(svg: str, jobs: int) -> list[list[tuple[float, float]]]:
    """The corners of one number of jobs' line in each panel."""
    tree = ElementTree.fromstring(svg)
    lines = [one.find("{*}path") for one in tree.iter("{http://www.w3.org/2000/svg}g") if one.get("id") == f"jobs-{jobs}"]
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", one.get("d", ""))] for one in lines if one is not None]


def test_the_picture_in_the_docs_is_the_one_of_the_table(tmp_path: Path) -> None:
    words, numbers = parts(drawn(PAGE, tmp_path / "again.svg"))
    kept_words, kept_numbers = parts(PICTURE.read_text())
    assert words == kept_words, "run `make plot`"
    assert numbers == pytest.approx(kept_numbers, abs=0.05), "run `make plot`"


def test_the_picture_is_the_same_every_time(tmp_path: Path) -> None:
    assert drawn(PAGE, tmp_path / "a.svg") == drawn(PAGE, tmp_path / "b.svg")


def test_a_number_that_changes_in_the_table_changes_the_picture(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = PAGE.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| 200 | 1000 |"))
    cells = row.split("|")
    cells[8] = " 12 "
    page.write_text(text.replace(row, "|".join(cells)))
    before, after = corners(PICTURE.read_text(), 200), corners(drawn(page, tmp_path / "other.svg"), 200)
    assert len(before) == len(after) == 6
    changed = [panel for panel, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert changed == [0], "the statements of the usual run are the first panel's"


def test_every_row_is_drawn_and_a_flat_line_is_flat_on_an_axis_from_zero() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \| \d+ \|", line)]
    svg = PICTURE.read_text()
    for jobs in (10, 50, 200):
        mine = [line.split("|") for line in rows if line.startswith(f"| {jobs} |")]
        lines = corners(svg, jobs)
        assert mine and all(len(line) == len(mine) for line in lines)
        assert len({y for _, y in lines[0]}) == len({cells[8] for cells in mine})
