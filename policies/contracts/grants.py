"""Writes what the templates grant: a page for people, and the smallest permissions boundary."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from .roles import Grant, Role, roles
from .templates import Template

WIDTH = 100
HEAD = """\
# Grants

Every role that the templates create: who may assume it, and each statement of its policies with
actions, resources and conditions. This page is generated from the templates; to change it, change a
template, and run `SLUICE_UPDATE_GOLDEN=1 target/debug/sluice-cloud exec gateway-tests python -m
pytest policies/tests/test_roles.py`.

`${Name}` is a parameter or a resource of the same template. PARTITION, REGION and ACCOUNT are those
of the stack. "Only if" names a condition of the template. Every role has the path `RolePath` and
the permissions boundary `PermissionsBoundaryArn`, if one is given.
"""


def page(templates: list[Template]) -> str:
    """Returns docs/security/grants.md."""
    parts = [HEAD]
    for template in templates:
        found = roles(template)
        if found:
            parts.append(f"\n## {template.name}\n")
            parts += ["\n".join(_role(role)) + "\n" for role in found]
    return "\n".join(parts)


def _role(role: Role) -> Iterator[str]:
    yield f"### {role.template}: {role.name}"
    yield ""
    if role.description:
        yield from textwrap.wrap(role.description, WIDTH)
        yield ""
    if role.only:
        yield f"Only if {' and '.join(role.only)}."
        yield ""
    for trust in role.trusted:
        actions = "" if trust.actions == ("sts:AssumeRole",) else f" by {', '.join(_code(it) for it in trust.actions)}"
        yield from _item(f"Assumed by {', '.join(_code(it) for it in trust.principals)}{actions}{_only(trust.only)}")
        for it in trust.conditions:
            yield from _item(f"Condition: {_code(it)}", 1)
    for grant in role.grants:
        yield from _grant(grant)


def _grant(grant: Grant) -> Iterator[str]:
    yield from _item(f"**{grant.sid}**{_only(grant.only)}{': ' + grant.reason if grant.reason else ''}")
    yield from _item(f"Actions: {', '.join(_code(it) for it in grant.actions)}", 1)
    for it in grant.resources:
        yield from _item(f"Resource: {_code(it)}", 1)
    for it in grant.conditions:
        yield from _item(f"Condition: {_code(it)}", 1)


def _only(conditions: tuple[str, ...]) -> str:
    return f" (only if {' and '.join(conditions)})" if conditions else ""


def _code(value: str) -> str:
    return f"`{value}`"


def _item(content: str, level: int = 0) -> list[str]:
    indent = "  " * level
    return textwrap.wrap(content, WIDTH, initial_indent=f"{indent}- ", subsequent_indent=f"{indent}  ",
                         break_long_words=False, break_on_hyphens=False)


def granted_actions(templates: list[Template]) -> set[str]:
    """Returns every action that a role of the templates has."""
    return {action for template in templates for role in roles(template) for grant in role.grants for action in grant.actions}


def boundary(templates: list[Template]) -> dict[str, Any]:
    """Returns the smallest permissions boundary by actions: those of all roles, and nothing else.

    A boundary grants nothing. What a role may do with an action is in its own policies, whose
    resources are those of one stack; a boundary for every stack cannot name them.
    """
    services: dict[str, list[str]] = {}
    for action in sorted(granted_actions(templates)):
        services.setdefault(action.split(":")[0], []).append(action)
    statements = [
        {"Sid": "Sluice" + "".join(it.capitalize() for it in service.split("-")), "Effect": "Allow",
         "Action": actions, "Resource": "*"}
        for service, actions in services.items()]
    return {"Version": "2012-10-17", "Statement": statements}


def boundary_text(templates: list[Template]) -> str:
    """Returns docs/security/permissions-boundary.json."""
    return json.dumps(boundary(templates), indent=2) + "\n"
