"""What is fetched is pinned by hash, and compared; advisories end the check of dependencies."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = sorted((ROOT / "local").glob("**/*.txt"))
ADVISORY = """```toml
[advisory]
id = "RUSTSEC-2099-0001"
package = "{package}"
date = "2099-02-03"
{kind}
[versions]
patched = {patched}
```

# Planted

A planted advisory.
"""


def test_every_python_package_has_hashes() -> None:
    assert len(REQUIREMENTS) >= 9
    for path in REQUIREMENTS:
        lines = path.read_text().replace("\\\n", " ").splitlines()
        pins = [line for line in lines if line.strip() and not line.startswith(("#", "-r "))]
        assert pins, path
        for pin in pins:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][^\s;]*(\s+--hash=sha256:[0-9a-f]{64})+", pin.strip()), f"{path}: {pin[:60]}"


def test_installers_demand_hashes() -> None:
    setup = (ROOT / "local" / "cloud" / "src" / "setup.rs").read_text()
    assert setup.count('"--require-hashes"') == setup.count('"install"') - setup.count('["install", program') == 2


def test_crates_that_are_installed_have_a_hash() -> None:
    setup = (ROOT / "local" / "cloud" / "src" / "setup.rs").read_text()
    for crate in re.findall(r'Origin::Cargo\(\s*"([^"]+)",\s*"[^"]+",\s*([^\[]*?),?\s*&\[', setup):
        assert re.fullmatch(r'"[0-9a-f]{64}"', crate[1].strip()), crate
    assert "scripts/verify-crate" in setup
    check = (ROOT / "policies" / "check").read_text()
    assert re.search(r"version=\S+ sha256=[0-9a-f]{64}\n", check)
    assert check.index("scripts/verify-crate") < check.index("cargo install")


# --- scripts/verify-crate ---


def verify(tmp_path: Path, content: bytes, wanted: str, cargo: str = "exit 0") -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "home" / "registry" / "cache" / "index"
    folder.mkdir(parents=True)
    (folder / "tool-1.2.3.crate").write_bytes(content)
    (tmp_path / "cargo").write_text(f"#!/bin/sh\n{cargo}\n")
    (tmp_path / "cargo").chmod(0o755)
    return subprocess.run([str(ROOT / "scripts" / "verify-crate"), "tool", "1.2.3", wanted], capture_output=True, text=True, check=False,
                          env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "CARGO_HOME": str(tmp_path / "home")})


def test_crate_with_the_expected_hash_is_accepted(tmp_path: Path) -> None:
    result = verify(tmp_path, b"source", hashlib.sha256(b"source").hexdigest())
    assert result.returncode == 0, result.stderr


def test_crate_with_another_hash_is_refused(tmp_path: Path) -> None:
    wanted = hashlib.sha256(b"source").hexdigest()
    result = verify(tmp_path, b"changed", wanted)
    assert result.returncode == 1 and f"expected {wanted}; do not build it" in result.stderr


def test_crate_that_cannot_be_downloaded_is_refused(tmp_path: Path) -> None:
    result = verify(tmp_path, b"source", hashlib.sha256(b"source").hexdigest(), "exit 101")
    assert result.returncode == 1 and "cargo cannot download tool 1.2.3" in result.stderr


# --- scripts/advisories ---


def database(folder: Path, package: str, patched: str, kind: str = "") -> Path:
    place = folder / "crates" / package
    place.mkdir(parents=True)
    (place / "RUSTSEC-2099-0001.md").write_text(ADVISORY.format(package=package, patched=patched, kind=kind))
    return folder


def advisories(checkout: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "advisories", checkout / "scripts")
    (checkout / "fuzz").mkdir()
    for lock in ("Cargo.lock", "fuzz/Cargo.lock"):
        shutil.copy(ROOT / lock, checkout / lock)
    return subprocess.run([str(checkout / "scripts" / "advisories")], capture_output=True, text=True, check=False, env={
        "PATH": path, "HOME": str(checkout), "SLUICE_CACHE": str(checkout / "cache"), "GIT_CONFIG_GLOBAL": str(checkout / "gitconfig"),
        **environment})


@pytest.fixture(scope="module")
def tools() -> str:
    """PATH with cargo-audit in front, from $SLUICE_AUDIT or its environment."""
    if found := os.environ.get("SLUICE_AUDIT"):
        return f"{found}:{os.environ['PATH']}"
    cloud = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "sluice-cloud"
    return subprocess.run([str(cloud), "exec", "deny", "sh", "-c", "echo $PATH"], check=True, capture_output=True, text=True).stdout.strip()


def test_vulnerable_crate_ends_the_check(tmp_path: Path, tools: str) -> None:
    found = advisories(tmp_path / "checkout", tools, ADVISORY_DB=str(database(tmp_path / "db", "tokio", "[]")))
    assert found.returncode == 1 and "RUSTSEC-2099-0001" in found.stdout + found.stderr
    assert f"database {tmp_path / 'db'}, whose newest advisory is of 2099-02-03" in found.stdout


def test_unsound_crate_ends_the_check(tmp_path: Path, tools: str) -> None:
    found = advisories(tmp_path / "checkout", tools, ADVISORY_DB=str(database(tmp_path / "db", "tokio", "[]", 'informational = "unsound"')))
    assert found.returncode == 1, found.stdout + found.stderr


@pytest.mark.parametrize("place", ["advisory-db", "shared/advisory-db"])
def test_database_beside_the_checkout_is_used(tmp_path: Path, tools: str, place: str) -> None:
    database(tmp_path / place, "tokio", '[">= 0.0.1"]')
    found = advisories(tmp_path / "checkout", tools)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"database ../{place}, whose newest advisory is of 2099-02-03" in found.stdout and "none applies" in found.stdout


def test_without_a_database_it_says_that_it_did_not_check(tmp_path: Path, tools: str) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    # git finds nothing there, as without a network.
    (checkout / "gitconfig").write_text(f'[url "file://{tmp_path}/nowhere"]\n\tinsteadOf = https://\n')
    found = advisories(checkout, tools)
    assert (found.returncode, found.stdout.split(":")[0]) == (0, "advisories not checked")


def test_database_is_fetched_and_an_old_copy_serves_without_a_network(tmp_path: Path, tools: str) -> None:
    upstream = database(tmp_path / "upstream", "tokio", '[">= 0.0.1"]')
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(upstream)]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=x"]):
        subprocess.run([*git, *words], check=True)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "gitconfig").write_text(f'[url "file://{upstream}"]\n\tinsteadOf = https://github.com/rustsec/advisory-db\n')
    first = advisories(checkout, tools)
    assert first.returncode == 0 and "newest advisory is of 2099-02-03" in first.stdout, first.stdout + first.stderr
    shutil.rmtree(upstream)
    again = subprocess.run([str(checkout / "scripts" / "advisories")], capture_output=True, text=True, check=False, env={
        "PATH": tools, "HOME": str(checkout), "SLUICE_CACHE": str(checkout / "cache"), "GIT_CONFIG_GLOBAL": str(checkout / "gitconfig")})
    assert again.returncode == 0 and "newest advisory is of 2099-02-03" in again.stdout, again.stdout + again.stderr


def test_wrong_database_is_refused(tmp_path: Path, tools: str) -> None:
    found = advisories(tmp_path / "checkout", tools, ADVISORY_DB=str(tmp_path))
    assert found.returncode == 2 and "expected a copy of" in found.stderr
