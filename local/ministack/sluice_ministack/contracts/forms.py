"""The parameters of a Query request as a tree, ``Tags.member.1.Key=...`` and the like.

The inverse of botocore's ``QuerySerializer`` (serialize.py).
"""

from __future__ import annotations

from typing import Any

from .check import Undecoded
from .markup import scalar
from .model import Member, Shape


def _nested(form: dict[str, str]) -> dict[str, Any]:
    """The names split at their dots. A value that also has parts below it is kept under the empty
    name.
    """
    tree: dict[str, Any] = {}
    for name, value in form.items():
        place = tree
        *folders, last = name.split(".")
        for folder in folders:
            below = place.get(folder)
            if not isinstance(below, dict):
                below = place[folder] = {} if below is None else {"": below}
            place = below
        if isinstance(place.get(last), dict):
            place[last][""] = value
        else:
            place[last] = value
    return tree


def decode(form: dict[str, str], shape: Shape | None) -> dict[str, Any]:
    """The input of an operation; what the shape does not know stays as it is."""
    tree = _nested(form)
    return tree if shape is None else _structure(tree, shape)


def _structure(tree: Any, shape: Shape) -> Any:
    if not isinstance(tree, dict):
        return Undecoded("a single value", "an object")
    flattened = {member.shape.member.location_name: member for member in shape.members.values()
                 if member.shape.kind == "list" and member.is_flattened and member.shape.member.named}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        # The items of a flattened list have the name of the item, if it has one.
        member = flattened.get(name) or shape.members.get(name)
        found[member.wire if member else name] = _member(value, member) if member else value
    return found


def _member(value: Any, member: Member) -> Any:
    shape = member.shape
    if shape.kind == "structure":
        return _structure(value, shape)
    if shape.kind == "list":
        return _list(value, member)
    if shape.kind == "map":
        return _map(value, member)
    if not isinstance(value, str):
        return Undecoded("an object", "a single value")
    return scalar(value, member)


def _numbered(tree: Any, name: str | None) -> list[Any] | Undecoded:
    """The items below ``name`` (or right here) by their numbers."""
    if name is not None:
        if tree == "":  # an empty list
            return []
        if not isinstance(tree, dict) or list(tree) != [name]:
            seen = ", ".join(tree) if isinstance(tree, dict) else "a single value"
            return Undecoded(seen, f"items {name}.1, {name}.2 and so on")
        tree = tree[name]
    if not isinstance(tree, dict) or not all(key.isdecimal() for key in tree):
        return Undecoded("items without numbers", "numbered items")
    if sorted(map(int, tree)) != list(range(1, len(tree) + 1)):
        return Undecoded(f"items with the numbers {', '.join(tree)}", "the numbers from 1 without a gap")
    return [tree[key] for key in sorted(tree, key=int)]


def _list(tree: Any, member: Member) -> Any:
    item = member.shape.member
    items = _numbered(tree, None if member.is_flattened else item.location_name)
    return items if isinstance(items, Undecoded) else [_member(one, item) for one in items]


def _map(tree: Any, member: Member) -> Any:
    shape = member.shape
    entries = _numbered(tree, None if member.is_flattened else "entry")
    if isinstance(entries, Undecoded):
        return entries
    found: dict[str, Any] = {}
    key, value = shape.key, shape.value
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {key.location_name, value.location_name}:
            return Undecoded("an entry without key and value", f"{key.location_name} and {value.location_name}")
        found[str(entry[key.location_name])] = _member(entry[value.location_name], value)
    return found
