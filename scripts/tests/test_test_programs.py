"""Crates whose tests are one program: a file that `tests/main.rs` does not name would not run."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def one_program() -> list[pathlib.Path]:
    manifests = [path for folder in ("crates/*", "functions/*", "local/*", "tests") for path in ROOT.glob(f"{folder}/Cargo.toml")]
    return [path.parent for path in manifests if tomllib.loads(path.read_text())["package"].get("autotests") is False]


def forgotten(crate: pathlib.Path) -> set[str]:
    targets = {target["path"] for target in tomllib.loads((crate / "Cargo.toml").read_text())["test"]}
    named = set(re.findall(r"^mod (\w+);$", (crate / "tests/main.rs").read_text(), re.MULTILINE))
    files = {path.stem for path in crate.glob("tests/*.rs") if f"tests/{path.name}" not in targets}
    folders = {path.parent.name for path in crate.glob("tests/*/mod.rs")}
    return (files | folders) - named


@pytest.mark.parametrize("crate", one_program(), ids=lambda crate: crate.name)
def test_every_test_file_belongs_to_a_program(crate: pathlib.Path) -> None:
    assert forgotten(crate) == set(), f"{crate.relative_to(ROOT)}/tests: name them in tests/main.rs"


def test_a_file_that_main_does_not_name_is_found(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tests/folder").mkdir(parents=True)
    (tmp_path / "Cargo.toml").write_text('[[test]]\nname = "t"\npath = "tests/main.rs"\n')
    for name in ("main.rs", "named.rs", "left.rs", "folder/mod.rs"):
        (tmp_path / "tests" / name).write_text("mod named;\n" if name == "main.rs" else "")
    assert forgotten(tmp_path) == {"left", "folder"}
