"""Names the differences of two folders of release files."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yields a sentence for each file that is in one folder only, or differs."""
    names = [{it.relative_to(folder).as_posix() for it in folder.rglob("*") if it.is_file()} for folder in (one, other)]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {one if name in names[0] else other}"
    for name in sorted(names[0] & names[1]):
        this, that = ((folder / name).read_bytes() for folder in (one, other))
        if this != that:
            yield from of_zip(name, one / name, other / name) if name.endswith(".zip") else [f"{name}: {extent(this, that)}"]


def of_zip(name: str, one: Path, other: Path) -> list[str]:
    """Returns the differences of two zips by entry, and by section of a binary."""
    found = []
    with zipfile.ZipFile(one) as this, zipfile.ZipFile(other) as that:
        entries = [it.namelist() for it in (this, that)]
        if entries[0] != entries[1]:
            return [f"{name}: entries {', '.join(entries[0])} against {', '.join(entries[1])}"]
        for entry in entries[0]:
            left, right = this.read(entry), that.read(entry)
            if left != right:
                found.append(f"{name}: {entry}: {extent(left, right)}")
            a, b = this.getinfo(entry), that.getinfo(entry)
            for field in ("date_time", "external_attr", "compress_type", "extra"):
                if getattr(a, field) != getattr(b, field):
                    found.append(f"{name}: {entry}: {field} {getattr(a, field)!r} against {getattr(b, field)!r}")
    return found or [f"{name}: the compressed data differs, not the entries"]


def extent(one: bytes, other: bytes) -> str:
    """Returns how two contents differ: their lengths, or the bytes and the sections with these."""
    if len(one) != len(other):
        return f"{len(one)} against {len(other)} bytes"
    positions = [number for number, (left, right) in enumerate(zip(one, other, strict=True)) if left != right]
    names = sorted({section(one, position) for position in positions} - {""})
    where = f", in {', '.join(names)}" if names else ""
    return f"{len(positions)} of {len(one)} bytes differ, the first at {positions[0]}{where}"


def section(binary: bytes, position: int) -> str:
    """Returns the section of a 64-bit little-endian ELF file that has a byte, or nothing."""
    if binary[:6] != b"\x7fELF\x02\x01":
        return ""
    start, size, count, names = struct.unpack_from("<Q", binary, 40)[0], *struct.unpack_from("<HHH", binary, 58)
    headers = [struct.unpack_from("<IIQQQQ", binary, start + size * number) for number in range(count)]
    for name, kind, _, _, offset, length in headers:
        if kind not in (0, 8) and offset <= position < offset + length:
            text = headers[names][4] + name
            return binary[text:binary.index(b"\0", text)].decode()
    return ""


def main() -> None:
    found = list(differences(Path(sys.argv[1]), Path(sys.argv[2])))
    print("\n".join(found) or f"the files in {sys.argv[1]} and {sys.argv[2]} are equal")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
