"""A decoded request or answer compared with the shape of the service model: unknown, missing and
badly typed members, lengths, ranges, patterns and enum values.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .model import Member, Shape

# The longest value that a sentence shows.
_SHOWN = 80
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


@dataclass(frozen=True)
class Problem:
    """One difference: the member, what was found there, and what the model expects."""

    member: str
    found: str
    expected: str


@dataclass(frozen=True)
class Undecoded:
    """A text of a request or answer that is not a value of its type."""

    found: str
    expected: str


def kind_of(value: Any) -> str:
    """The type of a value, in JSON's words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, (str, bytes)):
        return "a text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "null"


def _shown(value: Any, shape: Shape) -> str:
    if isinstance(value, (str, bytes)) and (shape.sensitive or len(value) > _SHOWN):
        return f"a text of {len(value)} characters"
    return "a value that is not shown" if shape.sensitive else repr(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class Checker:
    """Collects the problems of one request or answer.

    Answers of AWS have empty lists and maps where the models require an item, because they share
    the shape with a request ("UnprocessedKeys": {}, page BatchGetItem).
    """

    def __init__(self, answer: bool = False) -> None:
        self.problems: list[Problem] = []
        self._may_be_empty = answer

    def _add(self, path: str, found: str, expected: str) -> None:
        self.problems.append(Problem(path or "the whole", found, expected))

    def member(self, value: Any, member: Member, path: str) -> None:
        """Check the value of a member."""
        if not member.json_text:
            self.value(value, member.shape, path)

    def value(self, value: Any, shape: Shape, path: str) -> None:
        """Check a value against a shape."""
        if isinstance(value, Undecoded):
            self._add(path, value.found, value.expected)
            return
        _BY_KIND[shape.kind](self, value, shape, path)

    def structure(self, value: Any, shape: Shape, path: str) -> None:
        """Check an object and its members; a member that is null counts as absent."""
        if shape.document:
            return
        if not isinstance(value, dict):
            self._add(path, kind_of(value), "an object")
            return
        members = shape.members
        for name, one in value.items():
            if one is None:
                continue
            member = members.get(name)
            if member is None:
                known = ", ".join(sorted(shape.by_name)) or "no members"
                self._add(_join(path, str(name)), "an unknown member", f"one of {known}")
            else:
                self.member(one, member, _join(path, member.name))
        for name in shape.required:
            if value.get(shape.by_name[name].wire) is None:
                self._add(_join(path, name), "nothing", "a value, because the member is required")
        if shape.union and len(given := [name for name, one in value.items() if one is not None and name in members]) != 1:
            self._add(path, f"{len(given)} members of a union ({', '.join(given)})", "exactly one")

    def list(self, value: Any, shape: Shape, path: str) -> None:
        """Check a list and its items."""
        if not isinstance(value, list):
            self._add(path, kind_of(value), "a list")
            return
        self._size(len(value), shape, path, "items")
        member = shape.member
        for number, one in enumerate(value):
            self.member(one, member, f"{path}[{number}]")

    def map(self, value: Any, shape: Shape, path: str) -> None:
        """Check a map, its keys and its values."""
        if not isinstance(value, dict):
            self._add(path, kind_of(value), "an object")
            return
        self._size(len(value), shape, path, "entries")
        for key, one in value.items():
            self.value(key, shape.key.shape, f"a key of {path}")
            self.member(one, shape.value, _join(path, str(key)))

    def string(self, value: Any, shape: Shape, path: str) -> None:
        """Check a text."""
        if not isinstance(value, str):
            self._add(path, kind_of(value), "a text")
            return
        if shape.values is not None and value not in shape.values:
            self._add(path, _shown(value, shape), f"one of {', '.join(sorted(shape.values))}")
            return
        self._size(len(value), shape, path, "characters")
        if shape.pattern is not None and not shape.pattern.fullmatch(value):
            self._add(path, _shown(value, shape), f"a text that matches {shape.pattern_text}")

    def number(self, value: Any, shape: Shape, path: str) -> None:
        """Check a number. A whole number may be written as 5.0."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            # JSON has no numbers for these; AWS writes them as texts.
            if shape.whole or value not in ("NaN", "Infinity", "-Infinity"):
                self._add(path, kind_of(value), "a number")
            return
        if shape.whole and value != int(value):
            self._add(path, repr(value), "a whole number")
        if shape.smallest is not None and value < shape.smallest:
            self._add(path, repr(value), f"at least {shape.smallest}")
        if shape.largest is not None and value > shape.largest:
            self._add(path, repr(value), f"at most {shape.largest}")

    def boolean(self, value: Any, _shape: Shape, path: str) -> None:
        """Check true or false."""
        if not isinstance(value, bool):
            self._add(path, kind_of(value), "true or false")

    def timestamp(self, value: Any, _shape: Shape, path: str) -> None:
        """Check a time: seconds since 1970, or a text in ISO 8601."""
        if isinstance(value, str) and ISO.fullmatch(value):
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._add(path, kind_of(value), "a time")

    def blob(self, value: Any, shape: Shape, path: str) -> None:
        """Check bytes; JSON has them in Base64."""
        if isinstance(value, str):
            try:
                value = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                self._add(path, "a text that is not Base64", "bytes in Base64")
                return
        if not isinstance(value, bytes):
            self._add(path, kind_of(value), "bytes in Base64")
            return
        self._size(len(value), shape, path, "bytes")

    def _size(self, size: int, shape: Shape, path: str, unit: str) -> None:
        if size == 0 and self._may_be_empty and shape.kind in ("list", "map"):
            return
        if shape.smallest is not None and size < shape.smallest:
            self._add(path, f"{size} {unit}", f"at least {shape.smallest} {unit}")
        elif shape.largest is not None and size > shape.largest:
            self._add(path, f"{size} {unit}", f"at most {shape.largest} {unit}")


_BY_KIND: dict[str, Callable[[Checker, Any, Shape, str], None]] = {
    "structure": Checker.structure, "list": Checker.list, "map": Checker.map, "string": Checker.string, "character": Checker.string,
    "number": Checker.number, "boolean": Checker.boolean, "timestamp": Checker.timestamp, "blob": Checker.blob}


def problems_of(value: Any, shape: Shape, answer: bool = False) -> list[Problem]:
    """The differences between a decoded value, of a request or of an ``answer``, and a shape."""
    checker = Checker(answer)
    checker.value(value, shape, "")
    return checker.problems
