"""The service models of botocore, as far as a check needs them.

A model is read when the first request of its service arrives, and its shapes when they are first
used.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

from . import data

# Services whose name in a signature is not that of botocore.
_NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions", "email": "sesv2", "tagging": "resourcegroupstaggingapi",
          "elasticfilesystem": "efs", "elasticloadbalancing": "elbv2"}
# Protocols that the decoders know, the preferred one first.
PROTOCOLS = ("json", "query", "rest-json", "rest-xml")
_NUMBERS = ("integer", "long", "float", "double", "bigdecimal", "biginteger", "byte", "short")
# Classes of Java's regular expressions that Python's lack. The replacements stand inside of a
# character class and outside of one.
_CLASSES = {"{ASCII}": r"\x00-\x7F", "{L}": r"a-zA-Z\xAA-\U0010FFFF", "{M}": r"\u0300-\u036F", "{N}": r"0-9", "{Z}": r"\s", "{S}": r"$+<=>^`|~",
            "{P}": r"!-#%-*,-/:;?@\[-\]_{}", "{Alnum}": "a-zA-Z0-9", "{Alpha}": "a-zA-Z", "{Digit}": "0-9", "{Graph}": "!-~", "{Print}": " -~",
            "{Upper}": "A-Z", "{Lower}": "a-z", "{XDigit}": "0-9a-fA-F", "{Space}": r"\s", "{IsAlphabetic}": r"a-zA-Z\xAA-\U0010FFFF",
            "{IsLetter}": r"a-zA-Z\xAA-\U0010FFFF", "{IsDigit}": "0-9", "{LD}": r"a-zA-Z0-9\xAA-\U0010FFFF"}


@lru_cache(maxsize=1024)
def pattern_of(text: str) -> re.Pattern[str] | None:
    """A pattern of a service model, ``None`` if Python has no equivalent.

    The models mean the whole text, whether they write anchors or not.
    """
    # Five or six hexadecimal digits are one character in the models.
    text = re.sub(r"\\u(10[0-9A-F]{4}|1[0-9A-F]{4})(?![0-9A-F])", lambda found: f"\\U{found[1]:0>8}", text)
    translated, position, inside = "", 0, False
    while position < len(text):
        one = text[position]
        pair = text[position:position + 2]
        if pair == r"\p":
            end = text.find("}", position) + 1
            found = _CLASSES.get(text[position + 2:end])
            if found is None:
                return None
            translated += found if inside else f"[{found}]"
            position = end
            continue
        if one == "\\":
            translated += pair
            position += 2
            # A range cannot begin with a class; Java takes the hyphen as itself.
            if inside and pair[1:] in "wds" and text[position:position + 1] == "-":
                translated += "\\-"
                position += 1
            continue
        # A bracket in a class is itself in the models; Python warns about it.
        if inside and one == "[":
            translated += "\\"
        inside = (inside or one == "[") and one != "]"
        translated += one
        position += 1
    try:
        return re.compile(translated)
    except re.error:
        return None


class Shape:
    """A shape of a model. Members are keyed by their names on the wire."""

    def __init__(self, service: Service, name: str) -> None:
        raw = service.raw["shapes"][name]
        self._service = service
        self._raw = raw
        self.name = name
        kind = str(raw["type"])
        self.kind = "number" if kind in _NUMBERS else kind
        self.whole = kind in ("integer", "long", "biginteger", "byte", "short")
        self.smallest: float | None = raw.get("min")
        self.largest: float | None = raw.get("max")
        further = data.further_values().get((service.name, name), frozenset())
        self.values = frozenset(raw["enum"]) | further if "enum" in raw else None
        self.sensitive = bool(raw.get("sensitive"))
        self.union = bool(raw.get("union")) or (service.name, name) in data.unions()
        self.document = bool(raw.get("document"))
        self.flattened = bool(raw.get("flattened"))
        self.payload: str | None = raw.get("payload")
        self.required: tuple[str, ...] = tuple(raw.get("required", ()))
        self.timestamp: str | None = raw.get("timestampFormat")

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """The pattern of a text."""
        return pattern_of(self._raw["pattern"]) if "pattern" in self._raw else None

    @cached_property
    def pattern_text(self) -> str:
        """The pattern as the model has it."""
        return str(self._raw.get("pattern", ""))

    @cached_property
    def members(self) -> dict[str, Member]:
        """The members of a structure by their names on the wire."""
        return {one.wire: one for one in self.by_name.values()}

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """The members of a structure by their names in the API."""
        return {name: Member(self._service, name, ref) for name, ref in self._raw.get("members", {}).items()}

    @cached_property
    def member(self) -> Member:
        """The items of a list."""
        return Member(self._service, "member", self._raw["member"])

    @cached_property
    def key(self) -> Member:
        """The keys of a map."""
        return Member(self._service, "key", self._raw["key"])

    @cached_property
    def value(self) -> Member:
        """The values of a map."""
        return Member(self._service, "value", self._raw["value"])


class Member:
    """A member of a shape: its names, its place in the request or response, and its shape."""

    def __init__(self, service: Service, name: str, ref: dict[str, Any]) -> None:
        self._service = service
        self._ref = ref
        self.name = name
        self.location: str | None = ref.get("location")
        self.location_name = str(ref.get("locationName", name))
        # Only in a body a member is keyed by its other name.
        self.wire = name if self.location else self.location_name
        self.attribute = bool(ref.get("xmlAttribute"))
        self.named = "locationName" in ref
        self.flattened = bool(ref.get("flattened"))
        self.json_text = bool(ref.get("jsonvalue"))

    @cached_property
    def shape(self) -> Shape:
        """The shape of the member."""
        return self._service.shape(self._ref["shape"])

    @property
    def is_flattened(self) -> bool:
        """Return true if the items of a list or map have no element around them."""
        return self.flattened or self.shape.flattened

    @property
    def timestamp(self) -> str | None:
        """The format of a time."""
        return self._ref.get("timestampFormat") or self.shape.timestamp


class Operation:
    """An operation of a service."""

    def __init__(self, service: Service, name: str, raw: dict[str, Any]) -> None:
        self.service = service
        self.name = name
        self.method = str(raw["http"].get("method", "POST"))
        self.uri = str(raw["http"].get("requestUri", "/"))
        self.input = service.shape(raw["input"]["shape"]) if "input" in raw else None
        self.output = service.shape(raw["output"]["shape"]) if "output" in raw else None
        self.deprecated = bool(raw.get("deprecated"))
        self.wrapper: str | None = raw.get("output", {}).get("resultWrapper")
        self._errors: list[str] = [one["shape"] for one in raw.get("errors", ())]

    @cached_property
    def error_codes(self) -> frozenset[str]:
        """The codes of the errors that the operation declares."""
        shapes = self.service.raw["shapes"]
        return frozenset(shapes[name].get("error", {}).get("code", name) for name in self._errors)


class Service:
    """A service and its operations."""

    def __init__(self, name: str, raw: dict[str, Any]) -> None:
        self.name = name
        self.raw = raw
        metadata = raw["metadata"]
        self.offered: tuple[str, ...] = tuple(metadata.get("protocols") or [metadata["protocol"]])
        self.protocol = next((one for one in PROTOCOLS if one in self.offered), str(metadata["protocol"]))
        self.version = str(metadata["apiVersion"])
        self.target = str(metadata.get("targetPrefix", ""))
        self.json_version = str(metadata.get("jsonVersion", "1.1"))
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, Operation] = {}

    def shape(self, name: str) -> Shape:
        """The shape of a name."""
        found = self._shapes.get(name)
        if found is None:
            found = self._shapes[name] = Shape(self, name)
        return found

    def operation(self, name: str) -> Operation | None:
        """The operation of a name."""
        found = self._operations.get(name)
        if found is None and name in self.raw["operations"]:
            found = self._operations[name] = Operation(self, name, self.raw["operations"][name])
        return found

    @cached_property
    def operations(self) -> list[Operation]:
        """Every operation."""
        return [found for name in self.raw["operations"] if (found := self.operation(name))]


_loader = Loader()


@lru_cache(maxsize=64)
def service_of(signed: str) -> Service | None:
    """The model of the service that a signature names, ``None`` if botocore has none."""
    name = _NAMES.get(signed, signed)
    try:
        return Service(name, _loader.load_service_model(name, "service-2"))
    except UnknownServiceError:
        return None
