"""The roles of a template after SAM's transform: who assumes them, and what they may do.

Functions of CloudFormation stay readable: a role is described as it is written, not with samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .templates import Template

# Too long to read in every ARN.
PSEUDO = {"${AWS::Partition}": "PARTITION", "${AWS::Region}": "REGION", "${AWS::AccountId}": "ACCOUNT"}


@dataclass(frozen=True)
class Grant:
    """A statement of a role's policies."""

    sid: str
    # The conditions of the template under which the statement is there.
    only: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    # Conditions of IAM.
    conditions: tuple[str, ...]
    # The template's comment.
    reason: str


@dataclass(frozen=True)
class Trust:
    """A statement of a role's trust policy."""

    sid: str
    only: tuple[str, ...]
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """A role of a template."""

    template: str
    name: str
    description: str
    only: tuple[str, ...]
    trusted: tuple[Trust, ...]
    grants: tuple[Grant, ...]


def roles(template: Template) -> list[Role]:
    """Returns the roles of a template in its order."""
    shared: dict[str, list[tuple[str, Any]]] = {}
    for name, resource in template.resources.items():
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for role in resource["Properties"].get("Roles", []):
                shared.setdefault(role["Ref"], []).append((name, resource["Properties"]["PolicyDocument"]))
    comments = dict(_comments(template.text))
    found = []
    for name, resource in template.resources.items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        properties = resource["Properties"]
        documents = [(name, it["PolicyDocument"]) for it in properties.get("Policies", [])] + shared.get(name, [])
        found.append(Role(
            template.name, name, " ".join(str(properties.get("Description", "")).split()),
            (resource["Condition"],) if "Condition" in resource else (),
            tuple(_trusted(properties["AssumeRolePolicyDocument"])),
            tuple(grant for owner, document in documents for grant in _grants(document, owner, comments)),
        ))
    return found


def _trusted(document: dict[str, Any]) -> Iterator[Trust]:
    for only, body in _statements(document):
        principals = tuple(text(it) for value in body["Principal"].values() for it in _listed(value))
        yield Trust(str(body.get("Sid", "")), only, principals, tuple(_listed(body["Action"])), tuple(_conditions(body)))


def _grants(document: dict[str, Any], owner: str, comments: dict[tuple[str, str], str]) -> Iterator[Grant]:
    for only, body in _statements(document):
        sid = str(body.get("Sid", ""))
        yield Grant(
            sid, only, tuple(_listed(body["Action"])),
            tuple(line for it in _listed(body["Resource"]) for line in text(it).split("\n")),
            tuple(_conditions(body)), comments.get((owner, sid), ""))


def _statements(document: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yields the statements of a policy, each with the conditions under which it is there."""
    for one in _listed(document["Statement"]):
        yield from _chosen(one, ())


def _chosen(node: dict[str, Any], only: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if "Fn::If" in node:
        condition, this, other = node["Fn::If"]
        yield from _chosen(this, (*only, condition))
        yield from _chosen(other, (*only, f"not {condition}"))
    elif "Effect" in node:
        yield only, node
    elif node != {"Ref": "AWS::NoValue"}:
        raise ValueError(f"not a statement: {node}")


def _conditions(body: dict[str, Any]) -> Iterator[str]:
    condition = body.get("Condition", {})
    if "Fn::If" in condition:
        name, this, other = condition["Fn::If"]
        for limit, branch in ((name, this), (f"not {name}", other)):
            if branch != {"Ref": "AWS::NoValue"}:
                yield from (f"{it} if {limit}" for it in _conditions({"Condition": branch}))
        return
    for operator, keys in condition.items():
        for key, value in keys.items():
            yield f"{operator} {key} = {' or '.join(text(it) for it in _listed(value))}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(node: Any) -> str:
    """Returns a value of a template as a person reads it."""
    if isinstance(node, dict) and len(node) == 1:
        (key, argument), = node.items()
        match key:
            case "Ref":
                return PSEUDO.get(f"${{{argument}}}", f"${{{argument}}}")
            case "Fn::GetAtt":
                return f"${{{argument if isinstance(argument, str) else '.'.join(argument)}}}"
            case "Fn::Sub":
                return _substituted(argument)
            case "Fn::If":
                name, this, other = argument
                branches = [(name, this), (f"not {name}", other)]
                given = [f"{text(it)} if {limit}" for limit, it in branches if it != {"Ref": "AWS::NoValue"}]
                return " or ".join(given)
            case "Fn::Split":
                return f"each of {text(argument[1])}"
            case "Fn::Join":
                return str(argument[0]).join(text(it) for it in _listed(argument[1]))
            case "Fn::Select":
                if argument[0] == 4 and argument[1].get("Fn::Split", [""])[0] == ":":
                    return f"(account of {text(argument[1]['Fn::Split'][1])})"
                return f"part {argument[0]} of {text(argument[1])}"
        raise ValueError(f"unknown function: {node}")
    if isinstance(node, list):
        return ", ".join(text(it) for it in node)
    return str(node).lower() if isinstance(node, bool) else str(node)


def _substituted(argument: Any) -> str:
    written, values = (argument, {}) if isinstance(argument, str) else argument
    for name, value in values.items():
        written = written.replace(f"${{{name}}}", text(value))
    for name, short in PSEUDO.items():
        written = written.replace(name, short)
    return str(written)


def _comments(written: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields the comment above each Sid of a template's text, by resource and Sid."""
    lines = written.splitlines()
    resource = ""
    for number, line in enumerate(lines):
        if named := re.match(r"  ([A-Za-z0-9]+):\s*$", line):
            resource = named[1]
        sid = re.match(r"\s+(?:- )?Sid: (\S+)\s*$", line)
        if not sid:
            continue
        above = number - 1
        # The comment is above Fn::If where a statement is inside of it.
        while above > 0 and re.match(r"\s+- (!If|[A-Za-z]+)\s*$", lines[above]):
            above -= 1
        comment: list[str] = []
        while above > 0 and lines[above].strip().startswith("#"):
            comment.insert(0, lines[above].strip().lstrip("# "))
            above -= 1
        if comment:
            yield (resource, sid[1]), " ".join(comment)
