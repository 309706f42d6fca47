"""Renders templates: SAM's transform, then CloudFormation's functions with given parameters."""

from __future__ import annotations

import base64
import logging
import operator
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from . import samples

ROOT = Path(__file__).resolve().parents[2]
NOTHING = object()

# The transform reads the Region of the environment and reports metrics that nobody collects.
os.environ.setdefault("AWS_DEFAULT_REGION", samples.REGION)
logging.getLogger("samtranslator").setLevel(logging.ERROR)


class RenderError(Exception):
    """A template uses what this renderer does not know."""


@dataclass(frozen=True)
class Template:
    """A template after SAM's transform."""

    name: str
    text: str
    parameters: dict[str, dict[str, Any]]
    conditions: dict[str, Any]
    mappings: dict[str, Any]
    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]
    description: str
    rules: dict[str, Any] = field(default_factory=dict)


def parse(name: str, text: str) -> Template:
    """Parses a template and applies SAM's transform if the template names it."""
    body = yaml_parse(text)
    parameters = body.get("Parameters", {})
    if body.get("Transform"):
        for resource in body["Resources"].values():
            for key in ("CodeUri", "DefinitionUri"):
                # `sam deploy` uploads the folder and puts its address here.
                if isinstance(resource.get("Properties", {}).get(key), str):
                    resource["Properties"][key] = "s3://artifacts/key"
        defaults = {key: parameter.get("Default", "") for key, parameter in parameters.items()}
        body = transform(body, defaults, _NoManagedPolicies())
    return Template(
        name, text, parameters, body.get("Conditions", {}), body.get("Mappings", {}),
        body["Resources"], body.get("Outputs", {}), body.get("Description", ""),
        body.get("Rules", {}),
    )


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def all_templates() -> list[Template]:
    """Returns every template of the repository."""
    paths = sorted((ROOT / "templates").glob("*.yaml"))
    return [parse(path.stem, path.read_text()) for path in paths]


class Renderer:
    """Evaluates a template's functions. Unknown functions are errors, unknown attributes samples."""

    def __init__(
        self,
        template: Template,
        values: dict[str, Any],
        decide: Callable[[str], bool | None] = lambda _: None,
    ) -> None:
        """``decide`` overrides a condition by name; ``None`` leaves it to its expression."""
        self.template = template
        self.values = values
        self.decide = decide
        self.branches: set[tuple[int, int]] = set()

    def condition(self, name: str) -> bool:
        decided = self.decide(name)
        return self.truth({"Condition": name}) if decided is None else decided

    def truth(self, node: Any) -> bool:
        if isinstance(node, dict) and len(node) == 1:
            (key, value), = node.items()
            match key:
                case "Condition":
                    decided = self.decide(value)
                    return self.truth(self.template.conditions[value]) if decided is None else decided
                case "Fn::Equals":
                    left, right = (self.value(item) for item in value)
                    return str(left) == str(right)
                case "Fn::Not":
                    return not self.truth(value[0])
                case "Fn::And":
                    return all([self.truth(item) for item in value])
                case "Fn::Contains":
                    items, wanted = (self.value(item) for item in value)
                    return str(wanted) in [str(item) for item in items]
                case "Fn::EachMemberIn":
                    these, those = (self.value(item) for item in value)
                    return set(map(str, these)) <= set(map(str, those))
                case "Fn::Or":
                    return any([self.truth(item) for item in value])
        raise RenderError(f"{self.template.name}: not a condition: {node}")

    def resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the resources whose condition is true, with evaluated properties."""
        for name, resource in self.template.resources.items():
            if "Condition" not in resource or self.condition(resource["Condition"]):
                yield name, {**resource, "Properties": self.value(resource.get("Properties", {}))}

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (key, argument), = node.items()
            if key == "Ref":
                return self.reference(argument)
            if key.startswith("Fn::"):
                return self.function(key, argument, node)
        evaluated = {key: self.value(item) for key, item in node.items()}
        return {key: item for key, item in evaluated.items() if item is not NOTHING}

    def reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        if name in samples.PSEUDO:
            return samples.PSEUDO[name]
        if name in self.template.parameters:
            value = self.values[name]
            if samples.is_list(self.template.parameters[name]):
                return value.split(",")
            return value
        if name in self.template.resources:
            return samples.reference(name, self.template.resources[name]["Type"], self.named(name))
        raise RenderError(f"{self.template.name}: Ref to unknown {name}")

    def attribute(self, name: str, attribute: str) -> Any:
        if name not in self.template.resources:
            raise RenderError(f"{self.template.name}: GetAtt of unknown {name}")
        kind = self.template.resources[name]["Type"]
        return samples.attribute(name, kind, attribute, self.named(name), self.path(name))

    def path(self, resource: str) -> str:
        """Returns the path that the template gives to a role."""
        path = self.value(self.template.resources[resource].get("Properties", {}).get("Path", "/"))
        return "/" if path is NOTHING else str(path)

    def named(self, resource: str) -> str | None:
        """Returns the name that the template gives to a resource, or None if it gives none."""
        properties = self.template.resources[resource].get("Properties", {})
        for key in samples.NAME_PROPERTIES.get(self.template.resources[resource]["Type"], ()):
            if key in properties:
                name = self.value(properties[key])
                return None if name is NOTHING else str(name)
        return None

    def function(self, key: str, argument: Any, node: dict[str, Any]) -> Any:
        match key:
            case "Fn::GetAtt":
                name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                return self.attribute(name, attribute)
            case "Fn::Sub":
                return self.substitute(argument)
            case "Fn::Join":
                delimiter, items = argument[0], self.value(argument[1])
                return delimiter.join(str(item) for item in items)
            case "Fn::Split":
                return str(self.value(argument[1])).split(argument[0])
            case "Fn::Select":
                index, items = int(self.value(argument[0])), self.value(argument[1])
                if index >= len(items):
                    raise RenderError(f"{self.template.name}: Fn::Select {index} of {items}")
                return items[index]
            case "Fn::If":
                chosen = 1 if self.condition(argument[0]) else 2
                self.branches.add((id(node), chosen))
                return self.value(argument[chosen])
            case "Fn::FindInMap":
                name, first, second = (self.value(item) for item in argument[:3])
                return self.template.mappings[name][str(first)][str(second)]
            case "Fn::GetAZs":
                return [f"{samples.REGION}{letter}" for letter in "abc"]
            case "Fn::Cidr":
                return [f"10.0.{index}.0/24" for index in range(int(self.value(argument[1])))]
            case "Fn::Base64":
                return base64.b64encode(str(self.value(argument)).encode()).decode()
        raise RenderError(f"{self.template.name}: unknown function {key}")

    def substitute(self, argument: Any) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else argument
        local = {key: self.value(item) for key, item in local.items()}

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in local:
                return str(local[name])
            if "." in name:
                return str(self.attribute(*name.split(".", 1)))
            return str(self.reference(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)


def default_values(template: Template) -> dict[str, Any]:
    """Returns the parameters' defaults, and samples for those that have to be given.

    These are the parameters without a default, and for each assertion of the template's rules that
    the defaults break, the empty parameters of that assertion, as few as satisfy it.
    """
    values = {
        name: parameter["Default"] if "Default" in parameter else samples.sample(name, parameter)
        for name, parameter in template.parameters.items()
    }
    for name, assertion in _assertions(template):
        empty = [key for key in _references(assertion) if values.get(key) == ""]
        filled = {key: samples.sample(key, template.parameters[key]) for key in empty}
        choices = [{}, *({key: filled[key]} for key in empty), filled]
        for choice in choices:
            if _holds(template, values | choice, name, assertion):
                values |= choice
                break
        if not _holds(template, values, name, assertion):
            raise RenderError(f"{template.name}: rule {name} refuses the defaults")
    return values


def _assertions(template: Template) -> list[tuple[str, Any]]:
    return [(name, it["Assert"]) for name, rule in template.rules.items() for it in rule["Assertions"]]


def _holds(template: Template, values: dict[str, Any], rule: str, assertion: Any) -> bool:
    renderer = Renderer(template, values)
    condition = template.rules[rule].get("RuleCondition")
    return (condition is not None and not renderer.truth(condition)) or renderer.truth(assertion)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [node["Ref"]] if isinstance(node.get("Ref"), str) else []
        return found + [name for item in node.values() for name in _references(item)]
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    return []


def sample_values(template: Template) -> dict[str, Any]:
    """Returns a sample for each parameter, also for optional ones."""
    return {name: samples.sample(name, it) for name, it in template.parameters.items()}


def longest_values(template: Template) -> dict[str, Any]:
    """Returns the longest value that AWS and the parameter's own rules allow, for each parameter."""
    return {name: samples.longest(name, it) for name, it in template.parameters.items()}


def renderings(template: Template) -> Iterator[tuple[str, Renderer]]:
    """Yields renderers that together reach every branch of every Fn::If.

    These are the defaults as they are, then for a provisioned and for a Serverless warehouse: every
    condition on, every condition off, and each condition alone the other way round.
    """
    yield "defaults", Renderer(template, default_values(template))
    for warehouse, (false, other_form) in samples.WAREHOUSES.items():
        if warehouse == "workgroup" and "UsesWorkgroup" not in template.conditions:
            continue
        values = sample_values(template)
        values.update({name: it for name, it in other_form.items() if name in values})
        yield from _decided(template, warehouse, values, false & set(template.conditions))


def _decided(
    template: Template, warehouse: str, values: dict[str, Any], false: set[str]
) -> Iterator[tuple[str, Renderer]]:
    def renderer(decide: Callable[[str], bool]) -> Renderer:
        return Renderer(template, values, lambda name: name not in false and decide(name))

    yield f"{warehouse}, every condition on", renderer(lambda _: True)
    yield f"{warehouse}, every condition off", renderer(lambda _: False)
    for name in template.conditions:
        yield f"{warehouse}, only {name} off", renderer(partial(operator.ne, name))
        yield f"{warehouse}, only {name} on", renderer(partial(operator.eq, name))
