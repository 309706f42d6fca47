"""XML of requests and answers as a tree, and the values of texts.

The inverse of botocore's ``RestXMLSerializer`` (serialize.py), and stricter than its
``BaseXMLResponseParser`` (parsers.py), which leaves out what it does not know.
"""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element

from .check import ISO, Undecoded
from .model import Member, Shape

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def scalar(text: str, member: Member) -> Any:
    """The value of a text in XML, a form, an address or a header."""
    shape = member.shape
    if shape.kind == "number":
        if not _NUMBER.fullmatch(text):
            return Undecoded("a text", "a number")
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    if shape.kind == "boolean":
        return text == "true" if text in ("true", "false") else Undecoded("a text", "true or false")
    if shape.kind == "timestamp":
        return _time(text, member)
    if shape.kind == "blob":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Undecoded("a text that is not Base64", "bytes in Base64")
    return text


def _time(text: str, member: Member) -> Any:
    form = member.timestamp or ("rfc822" if member.location == "header" else "iso8601")
    if form == "unixTimestamp":
        return float(text) if _NUMBER.fullmatch(text) else Undecoded("a text", "seconds since 1970")
    if form == "iso8601":
        return text if ISO.fullmatch(text) else Undecoded("a text", "a time in ISO 8601")
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return Undecoded("a text", "a time as in mail headers")


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rsplit("}", 1)[-1]


def decode(element: Element, shape: Shape) -> Any:
    """The value of an element."""
    found: dict[str, Any] = {}
    for attribute, text in element.attrib.items():
        for member in shape.members.values():
            if member.attribute and member.location_name.rsplit(":", 1)[-1] == local(attribute):
                found[member.wire] = text
    for child in element:
        name = local(child.tag)
        member_or_none = shape.members.get(name)
        if member_or_none is None or member_or_none.attribute:
            found[name] = (child.text or "") if not len(child) else {}
            continue
        _put(found, child, member_or_none)
    return found


def _put(found: dict[str, Any], child: Element, member: Member) -> None:
    shape = member.shape
    if member.is_flattened and shape.kind == "list":
        found.setdefault(member.wire, []).append(_value(child, shape.member))
    elif member.is_flattened and shape.kind == "map":
        found.setdefault(member.wire, {}).update(_entry(child, shape))
    elif member.wire in found:
        found[member.wire] = Undecoded("the element twice", "one element")
    else:
        found[member.wire] = _value(child, member)


def _value(element: Element, member: Member) -> Any:
    shape = member.shape
    if shape.kind == "structure":
        return decode(element, shape)
    if shape.kind == "list":
        item = shape.member
        others = {local(one.tag) for one in element} - {item.location_name}
        if others:
            return Undecoded(f"the elements {', '.join(sorted(others))}", f"elements {item.location_name}")
        return [_value(one, item) for one in element]
    if shape.kind == "map":
        found: dict[str, Any] = {}
        for one in element:
            found.update(_entry(one, shape))
        return found
    if len(element):
        return Undecoded("elements", "a text")
    return scalar(element.text or "", member)


def _entry(element: Element, shape: Shape) -> dict[str, Any]:
    parts = {local(one.tag): one for one in element}
    key, value = parts.get(shape.key.location_name), parts.get(shape.value.location_name)
    if key is None or value is None:
        return {"": Undecoded(f"an entry of {', '.join(parts) or 'nothing'}", f"{shape.key.location_name} and {shape.value.location_name}")}
    return {key.text or "": _value(value, shape.value)}
