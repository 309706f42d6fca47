"""Finds the statements of policies in rendered resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .templates import Renderer, Template, renderings


@dataclass(frozen=True)
class Statement:
    """A statement, and where it is written."""

    # The template, or the function that writes the statement.
    origin: str
    resource: str
    kind: str
    # The property that contains it, such as `AssumeRolePolicyDocument`.
    path: tuple[str, ...]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def is_trust(self) -> bool:
        return "AssumeRolePolicyDocument" in self.path

    @property
    def is_identity(self) -> bool:
        return self.kind.startswith("AWS::IAM::") and not self.is_trust

    @property
    def where(self) -> str:
        return f"{self.origin}: {self.resource}: statement {self.body.get('Sid', '(without Sid)')}"


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        if "Effect" in node and ("Action" in node or "NotAction" in node):
            yield path, node
            return
        for key, item in node.items():
            yield from _walk(item, (*path, key))
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item, path)


def of_resource(origin: str, name: str, resource: dict[str, Any]) -> Iterator[Statement]:
    """Yields the statements of a rendered resource, wherever its properties contain some."""
    properties = resource.get("Properties", {})
    kind = resource["Type"]
    if kind == "AWS::Lambda::Permission":
        # A permission becomes a statement of the function's policy. Its function is a name, an ARN
        # or a partial ARN, which no resource type describes.
        conditions = {"SourceArn": "aws:SourceArn", "SourceAccount": "aws:SourceAccount"}
        body: dict[str, Any] = {
            "Sid": name, "Effect": "Allow", "Action": properties["Action"],
            "Principal": {"Service": properties["Principal"]},
        }
        given = {key: properties[it] for it, key in conditions.items() if it in properties}
        if given:
            body["Condition"] = {"StringEquals": given}
        yield Statement(origin, name, kind, ("Permission",), json.dumps(body, sort_keys=True))
        return
    for path, body in _walk(properties, ()):
        yield Statement(origin, name, kind, path, json.dumps(body, sort_keys=True))


def of_renderer(origin: str, renderer: Renderer) -> Iterator[Statement]:
    for name, resource in renderer.resources():
        yield from of_resource(origin, name, resource)


def of_template(template: Template) -> list[Statement]:
    """Returns every statement that any combination of conditions renders, each once."""
    found: dict[Statement, None] = {}
    for _, renderer in renderings(template):
        found.update(dict.fromkeys(of_renderer(template.name, renderer)))
    return list(found)
