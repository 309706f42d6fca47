"""Zips that depend on nothing but the binaries: sorted entries, one time, one mode, no extra fields."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path

# The earliest time of the format.
EARLIEST = 315_532_800


def functions(folder: Path, only: list[str]) -> list[Path]:
    """Returns the folders of the built functions, each with its binary."""
    found = sorted(path.parent for path in folder.glob("*/bootstrap") if path.is_file())
    missing = sorted(set(only) - {path.name for path in found})
    if missing or not found:
        raise SystemExit(f"attest: {folder} has no {', '.join(missing) or 'functions'}; run 'make build' first")
    return [path for path in found if not only or path.name in only]


def write(function: Path, target: Path, epoch: int) -> None:
    """Writes the zip of one function; `epoch` is the time of every entry."""
    moment = time.gmtime(max(epoch, EARLIEST))[:6]
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(it for it in function.rglob("*") if it.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(function).as_posix(), moment)
            entry.create_system = 3
            # Regular files; Lambda runs `bootstrap`, which everybody may read and execute.
            entry.external_attr = (0o100755 if path.name == "bootstrap" else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=9)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
