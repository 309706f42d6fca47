"""Release files: equal zips of equal binaries, bills of materials by the schema, provenance, differences."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema
import pytest
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from release import compare, provenance, sbom, zips  # noqa: E402

SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"
EPOCH = 1_790_000_000
TREE = """\
0rotate-x v0.1.0 (/somewhere/functions/rotate-x)
1rotation v0.1.0 (/somewhere/crates/rotation)
2ring v0.17.14
3cfg-if v1.0.4
2base64 v0.22.1
1cfg-if v1.0.4

0on-x v0.1.0 (/somewhere/functions/on-x)
1base64 v0.13.0
1rotation v0.1.0 (/somewhere/crates/rotation) (*)
"""
LOCK = "\n".join(
    f'[[package]]\nname = "{name}"\nversion = "{version}"\n' + (f'checksum = "{mark * 64}"\n' if mark else "")
    for name, version, mark in (("ring", "0.17.14", "a"), ("cfg-if", "1.0.4", "b"), ("base64", "0.22.1", "c"), ("base64", "0.13.0", "d"),
                                ("rotation", "0.1.0", "")))
METADATA = {"packages": [
    {"name": "ring", "version": "0.17.14", "license": "Apache-2.0 AND ISC"}, {"name": "cfg-if", "version": "1.0.4", "license": "MIT/Apache-2.0"},
    {"name": "base64", "version": "0.22.1", "license": "MIT OR Apache-2.0"}, {"name": "base64", "version": "0.13.0", "license": None}]}


def built(folder: Path, **binaries: bytes) -> Path:
    """A folder as `make build` writes it."""
    for name, content in binaries.items():
        function = folder / name.replace("_", "-")
        function.mkdir(parents=True)
        (function / "bootstrap").write_bytes(content)
    (folder / "profile").write_text("release\n")
    return folder


def test_equal_binaries_give_equal_zips(tmp_path: Path) -> None:
    one, other = built(tmp_path / "a", f=b"code" * 100) / "f", built(tmp_path / "b-longer", f=b"code" * 100) / "f"
    (one / "data.json").write_text("{}")
    os.utime(one / "bootstrap", (1, 1))
    (one / "bootstrap").chmod(0o700)
    (other / "data.json").write_text("{}")
    for number, function in enumerate((one, other)):
        zips.write(function, tmp_path / f"{number}.zip", EPOCH)
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "0.zip") as archive:
        entries = archive.infolist()
        assert [it.filename for it in entries] == ["bootstrap", "data.json"]
        assert [oct(it.external_attr >> 16) for it in entries] == ["0o100755", "0o100644"]
        assert {it.date_time for it in entries} == {(2026, 9, 21, 14, 13, 20)}
        assert archive.read("bootstrap") == b"code" * 100


def test_time_before_the_format_is_its_earliest(tmp_path: Path) -> None:
    zips.write(built(tmp_path / "a", f=b"x") / "f", tmp_path / "f.zip", 0)
    assert zipfile.ZipFile(tmp_path / "f.zip").infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_unbuilt_function_is_refused(tmp_path: Path) -> None:
    folder = built(tmp_path / "a", f=b"x")
    with pytest.raises(SystemExit, match="has no g; run 'make build' first"):
        zips.functions(folder, ["f", "g"])


# --- Bills of materials ---


def graph() -> sbom.Graph:
    return sbom.Graph(TREE, METADATA, LOCK)


def valid(document: dict[str, Any]) -> None:
    """Raises if a document does not follow CycloneDX's schema."""
    loaded = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")}
    registry: Registry[Any] = Registry().with_resources(
        (uri, Resource.from_contents(it)) for it in loaded.values() for uri in (it.get("$id"),) if uri)
    [schema] = [it for name, it in loaded.items() if name.startswith(f"bom-{sbom.SPEC}")]
    jsonschema.Draft7Validator(schema, registry=registry).validate(document)


def test_bill_of_materials_follows_the_schema() -> None:
    document = sbom.document(graph(), "rotate-x", {"rotate-x.zip": "e" * 64, "rotate-x/bootstrap": "f" * 64}, EPOCH)
    valid(document)
    for change in ({"bomFormat": "SPDX"}, {"serialNumber": "1"}, {"components": [{"type": "library"}]}):
        with pytest.raises(jsonschema.ValidationError):
            valid({**copy.deepcopy(document), **change})


def test_bill_of_materials_lists_crates_with_their_checksums() -> None:
    document = sbom.document(graph(), "rotate-x", {"rotate-x.zip": "e" * 64}, EPOCH)
    found = {it["purl"]: (it.get("licenses", [{}])[0].get("expression"), it.get("hashes", [{}])[0].get("content")) for it in document["components"]}
    assert found == {
        "pkg:cargo/base64@0.22.1": ("MIT OR Apache-2.0", "c" * 64), "pkg:cargo/cfg-if@1.0.4": ("MIT OR Apache-2.0", "b" * 64),
        "pkg:cargo/ring@0.17.14": ("Apache-2.0 AND ISC", "a" * 64), "pkg:cargo/rotation@0.1.0": (None, None)}
    edges = {it["ref"]: it["dependsOn"] for it in document["dependencies"]}
    assert edges["pkg:cargo/ring@0.17.14"] == ["pkg:cargo/cfg-if@1.0.4"]
    assert edges["pkg:cargo/rotate-x@0.1.0"] == ["pkg:cargo/cfg-if@1.0.4", "pkg:cargo/rotation@0.1.0"]
    assert document["metadata"]["component"]["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "e" * 64}]
    assert "/somewhere" not in json.dumps(document)


def test_crate_that_was_listed_before_keeps_what_is_below_it() -> None:
    found = [it["purl"] for it in sbom.document(graph(), "on-x", {"z": "e" * 64}, EPOCH)["components"]]
    assert found == ["pkg:cargo/base64@0.13.0", "pkg:cargo/base64@0.22.1", "pkg:cargo/cfg-if@1.0.4", "pkg:cargo/ring@0.17.14",
                     "pkg:cargo/rotation@0.1.0"]


def test_number_of_a_bill_depends_on_the_files_alone() -> None:
    numbers = [sbom.document(graph(), "on-x", {"z": mark * 64}, EPOCH)["serialNumber"] for mark in "eef"]
    assert numbers[0] == numbers[1] != numbers[2]


def test_unreadable_tree_is_refused() -> None:
    with pytest.raises(SystemExit, match="expected a line of `cargo tree --prefix depth`, found '├── ring'"):
        sbom.Graph("├── ring", METADATA, LOCK)


# --- Provenance ---


def test_provenance_names_files_commit_and_what_decided_the_build() -> None:
    found = provenance.statement({"f.zip": "a" * 64}, "c" * 40, False, {"function": "f", "arch": "arm64"}, {"Cargo.lock": "b" * 64},
                                 {"rustc": "rustc 1"}, EPOCH)
    assert (found["_type"], found["predicateType"]) == ("https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1")
    assert found["subject"] == [{"name": "f.zip", "digest": {"sha256": "a" * 64}}]
    definition = found["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"] == [
        {"name": "source", "digest": {"gitCommit": "c" * 40}}, {"name": "Cargo.lock", "digest": {"sha256": "b" * 64}}]
    assert definition["externalParameters"] == {"function": "f", "arch": "arm64"}
    # SLSA provenance v1, "Model": these are required.
    assert definition["buildType"].startswith("urn:") and found["predicate"]["runDetails"]["builder"]["id"].startswith("urn:")


def test_provenance_says_that_the_checkout_was_changed() -> None:
    found = provenance.statement({}, "c" * 40, True, {}, {}, {}, EPOCH)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert found[0]["annotations"] == {"uncommittedChanges": True}


# --- The script ---


def test_attest_writes_equal_files_for_equal_binaries(tmp_path: Path) -> None:
    folders = [built(tmp_path / name, cfn_bucket_policy=b"\x7fELF code", on_rotation=b"other") for name in ("one", "second")]
    for number, folder in enumerate(folders):
        subprocess.run([sys.executable, str(ROOT / "scripts" / "attest"), "--functions", str(folder), "--output", str(tmp_path / str(number))],
                       check=True, capture_output=True, text=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
    assert list(compare.differences(tmp_path / "0", tmp_path / "1")) == []
    names = {it.name for it in (tmp_path / "0").iterdir()}
    assert names == {"SHA256SUMS", *(f"{name}.{kind}" for name in ("cfn-bucket-policy", "on-rotation") for kind in ("zip", "cdx.json", "intoto.json"))}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "0", check=True)
    for name in ("cfn-bucket-policy", "on-rotation"):
        document = json.loads((tmp_path / "0" / f"{name}.cdx.json").read_text())
        valid(document)
        crates = {it["name"]: it for it in document["components"]}
        assert {"lambda-kit", "tokio", "rustls"} <= crates.keys() and "hashes" in crates["tokio"] and "syn" not in crates
        assert str(ROOT) not in json.dumps(document)
        subjects = {it["name"]: it["digest"]["sha256"] for it in json.loads((tmp_path / "0" / f"{name}.intoto.json").read_text())["subject"]}
        assert subjects == {f"{name}.zip": zips.sha256(tmp_path / "0" / f"{name}.zip"),
                            f"{name}/bootstrap": zips.sha256(folders[0] / name / "bootstrap")}


def test_attest_refuses_functions_of_a_debug_build(tmp_path: Path) -> None:
    folder = built(tmp_path / "one", f=b"x")
    (folder / "profile").write_text("debug\n")
    result = subprocess.run([sys.executable, str(ROOT / "scripts" / "attest"), "--functions", str(folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "is not the output of a release build; run 'make build' first" in result.stderr


# --- Differences ---


def test_differences_are_named_by_entry_and_section(tmp_path: Path) -> None:
    binary = Path(sys.executable).resolve().read_bytes()
    position = binary.index(b"GCC: (") if b"GCC: (" in binary else 0
    folders = []
    for name, content in (("a", binary), ("b", binary[:position + 5] + b"!" + binary[position + 6:])):
        folder = tmp_path / name
        folder.mkdir()
        zips.write(built(tmp_path / f"of-{name}", f=content) / "f", folder / "f.zip", EPOCH)
        (folder / "equal").write_text("same")
        folders.append(folder)
    (folders[0] / "extra").write_text("x")
    found = list(compare.differences(*folders))
    assert found[0] == f"extra: only in {folders[0]}"
    assert found[1].startswith(f"f.zip: bootstrap: 1 of {len(binary)} bytes differ, the first at {position + 5}")
    assert not position or found[1].endswith(", in .comment") and len(found) == 2


@pytest.mark.parametrize(("change", "sentence"), [
    ({"epoch": EPOCH + 86400}, "date_time (2026, 9, 21, 14, 13, 20) against (2026, 9, 22, 14, 13, 20)"),
    ({"content": b"longer"}, "4 against 6 bytes"),
    ({"further": "data"}, "entries bootstrap against bootstrap, data"),
])
def test_differences_of_zips_are_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    for name, given in (("a", {}), ("b", change)):
        function = built(tmp_path / f"of-{name}", f=given.get("content", b"code")) / "f"
        if "further" in given:
            (function / given["further"]).write_text("x")
        (tmp_path / name).mkdir()
        zips.write(function, tmp_path / name / "f.zip", given.get("epoch", EPOCH))
    [found] = compare.differences(tmp_path / "a", tmp_path / "b")
    assert sentence in found


# --- The build ---

CARGO = '''#!/bin/sh
{ echo "$@"; echo "RUSTFLAGS=$RUSTFLAGS"; echo "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"; } >"$LOG"
mkdir -p target/lambda/f
'''


def run_build(tmp_path: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs scripts/build-functions with a stand-in for cargo."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cargo").write_text(CARGO)
    (tmp_path / "bin" / "cargo").chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "build-functions", checkout / "scripts")
    (checkout / "functions" / "on-x").mkdir(parents=True)
    (checkout / "functions" / "on-x" / "Cargo.toml").write_text("")
    log = tmp_path / "log"
    result = subprocess.run([str(checkout / "scripts" / "build-functions")], capture_output=True, text=True, check=False, env={
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": "/home/somebody", "LOG": str(log), **environment})
    return result, log.read_text() if log.exists() else ""


def test_build_keeps_paths_out_of_the_binaries(tmp_path: Path) -> None:
    result, log = run_build(tmp_path, CARGO_TARGET_DIR="/elsewhere/target", RUSTFLAGS="-C debuginfo=0", SOURCE_DATE_EPOCH="7", ARCH="arm64")
    assert result.returncode == 0, result.stderr
    words, flags, epoch = log.splitlines()
    assert flags == (f"RUSTFLAGS=-C debuginfo=0 --remap-path-prefix={tmp_path}/checkout=/sluice --remap-path-prefix=/home/somebody/.cargo=/cargo "
                     "--remap-path-prefix=/elsewhere/target=/target")
    assert epoch == "SOURCE_DATE_EPOCH=7"
    assert "--arm64" in words and "--exclude=end-to-end" in words and "--locked" in words and "--bin" not in words
    assert (tmp_path / "checkout" / "target" / "lambda" / "profile").read_text() == "release\n"


def test_build_of_named_functions_names_their_binaries(tmp_path: Path) -> None:
    result, log = run_build(tmp_path, FUNCTIONS="on-x")
    assert result.returncode == 0 and log.splitlines()[0].endswith("--bin on-x"), result.stderr


@pytest.mark.parametrize(("environment", "sentence"), [
    ({"ARCH": "riscv"}, "ARCH must be x86_64 or arm64, found 'riscv'"),
    ({"FUNCTIONS": "on-y"}, "FUNCTIONS names 'on-y'; expected a folder of functions/"),
    ({"CARGO_HOME": "/home/some body/.cargo"}, "the path /home/some body/.cargo has a space; build in a folder without"),
])
def test_build_refuses_what_it_cannot_do(tmp_path: Path, environment: dict[str, str], sentence: str) -> None:
    result, log = run_build(tmp_path, **environment)
    assert result.returncode == 2 and sentence in result.stderr and not log


def test_packages_that_are_no_function_are_the_same_everywhere() -> None:
    build = (ROOT / "scripts" / "build-functions").read_text()
    attest = (ROOT / "scripts" / "attest").read_text()
    listed = build.split("others=(")[1].split(")")[0].split()
    assert json.dumps(listed).strip("[]") in attest
