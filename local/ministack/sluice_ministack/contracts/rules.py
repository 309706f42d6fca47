"""The rules of ``rules.toml``: what AWS requires of a request beyond its service model."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from . import data
from .check import Problem
from .model import Operation

# The keys of each kind of rule, besides service, operations, kind and source.
KINDS = {
    "together": {"members"}, "one": {"members", "unless"}, "at-most-one": {"members"}, "at-least-one": {"members", "unless"},
    "requires": {"member", "needs", "value", "unless-value"}, "excludes": {"member", "other", "value"},
    "limits": {"member", "min", "max", "bytes", "pattern", "values"}}

Rule = dict[str, Any]


@lru_cache(maxsize=1)
def everything() -> dict[tuple[str, str], list[Rule]]:
    """The rules by service and operation."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in data.contents()["rule"]:
        for operation in rule["operations"]:
            found.setdefault((rule["service"], operation), []).append(rule)
    return found


def problems(operation: Operation, tree: Any) -> list[Problem]:
    """The rules that a decoded request breaks."""
    rules = everything().get((operation.service.name, operation.name))
    if not rules or not isinstance(tree, dict) or operation.input is None:
        return []
    members = operation.input.by_name
    given = {name: tree[one.wire] for name, one in members.items() if tree.get(one.wire) is not None}
    found = []
    for rule in rules:
        problem = _problem(rule, given)
        if problem is not None:
            member, seen, expected = problem
            found.append(Problem(member, seen, f"{expected} ({rule['source']})"))
    return found


def _problem(rule: Rule, given: dict[str, Any]) -> tuple[str, str, str] | None:
    """Member, found and expected of a broken rule."""
    if "members" in rule:
        return _of_several(rule, given)
    member = rule["member"]
    if member not in given:
        return None
    if rule["kind"] == "limits":
        return _of_value(rule, given[member])
    if rule["kind"] == "excludes":
        other = rule["other"]
        if other in given and rule.get("value", given[other]) == given[other]:
            return member, f"it with {other}", f"no {member}, or no {other}"
        return None
    needs = rule["needs"]
    if "unless-value" in rule and given[member] == rule["unless-value"]:
        return None
    if "value" in rule:
        return None if given.get(needs) == rule["value"] else (member, f"it without {needs}", f"{needs} to be {str(rule['value']).lower()}")
    return None if needs in given else (member, f"it without {needs}", f"{needs} with it")


def _of_several(rule: Rule, given: dict[str, Any]) -> tuple[str, str, str] | None:
    members = rule["members"]
    there = [name for name in members if name in given]
    names, seen = " and ".join(members), " and ".join(there) or "nothing"
    exempt = any(name in given for name in rule.get("unless", ()))
    if rule["kind"] == "together" and there and len(there) < len(members):
        missing = " and ".join(name for name in members if name not in given)
        return there[0], f"it without {missing}", f"{names} together, or none of them"
    if rule["kind"] in ("one", "at-most-one") and len(there) > 1:
        return there[-1], seen, "only one of them"
    if rule["kind"] in ("one", "at-least-one") and not there and not exempt:
        return " or ".join(members), "nothing", "exactly one of them" if len(members) > 1 else "a value"
    return None


def _of_value(rule: Rule, value: Any) -> tuple[str, str, str] | None:
    member = rule["member"]
    # Texts and lists are never shown: some are passwords.
    size = value if isinstance(value, (int, float)) else len(value) if isinstance(value, (str, list, dict)) else None
    unit = "" if isinstance(value, (int, float)) else " characters" if isinstance(value, str) else " items"
    if size is not None and "min" in rule and size < rule["min"]:
        return member, f"{size}{unit}", f"at least {rule['min']}{unit}"
    if size is not None and "max" in rule and size > rule["max"]:
        return member, f"{size}{unit}", f"at most {rule['max']}{unit}"
    if isinstance(value, str):
        length = len(value.encode())
        if length > rule.get("bytes", length):
            return member, f"{length} bytes", f"at most {rule['bytes']} bytes"
        if "pattern" in rule and not re.fullmatch(rule["pattern"], value, re.DOTALL):
            return member, f"a text of {len(value)} characters", f"a text that matches {rule['pattern']}"
        if "values" in rule and value not in rule["values"]:
            return member, repr(value), f"one of {', '.join(rule['values'])}"
    return None
