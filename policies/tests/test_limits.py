"""The limits of CloudFormation, IAM and Lambda, with the longest values of the parameters."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import pytest
from contracts import limits, samples, templates, too_long
from contracts.templates import Template


def named(every: list[Template], name: str) -> Template:
    return next(it for it in every if it.name == name)


def test_templates_are_within_cloudformation_quotas(all_templates: list[Template]) -> None:
    sentences = [it for template in all_templates for it in limits.check_template(template)]
    assert not sentences, "\n".join(sentences)


def test_what_may_get_too_long_is_in_scripts_limits(all_templates: list[Template]) -> None:
    covered = {(it.template, it.resource) for it in too_long.limits()}
    exceeded = set()
    for template in all_templates:
        for sentence in limits.check_longest(template):
            name, resource, _ = sentence.split(": ", 2)
            assert (name, resource) in covered, f"{sentence}; bound a parameter, or add a line to scripts/limits"
            exceeded.add((name, resource))
    assert exceeded == covered, f"can no longer be too long, remove them from scripts/limits: {covered - exceeded}"


@pytest.mark.parametrize("limit", too_long.limits(), ids=lambda it: f"{it.stack}-{it.resource}")
def test_script_computes_the_length_that_is_rendered(all_templates: list[Template], limit: too_long.Limit) -> None:
    template = named(all_templates, limit.template)
    source = random.Random(f"{limit.stack} {limit.what}")
    for _ in range(6):
        values = templates.longest_values(template)
        for term in limit.terms:
            values[term.partition("*")[0]] = some(source, term)
        for false, other_form in samples.WAREHOUSES.values():
            values.update({name: it for name, it in other_form.items() if name in values})
            rendered = limit.rendered(template, values, false)
            estimate = limit.estimate(values)
            assert rendered <= estimate, f"FIXED of '{limit.what}' must be at least {limit.fixed + rendered - estimate}"
            assert estimate - rendered <= 700, f"FIXED of '{limit.what}' can be {limit.fixed + rendered - estimate + 200}"


def some(source: random.Random, term: str) -> str:
    """Returns a list or a text of random length that is not longer than a parameter's value."""
    if "*" not in term:
        return "".join(source.choices('abc-"\\\n', k=source.randrange(1, 1500)))
    items = ["a" * source.randrange(3, 64) for _ in range(source.randrange(1, 60))]
    return ",".join(items)[: samples.VALUE_BYTES].rstrip(",")


def with_resource(template: Template, name: str, **properties: Any) -> Template:
    """Returns the template with other properties of one resource."""
    resource = template.resources[name]
    changed = {**resource, "Properties": {**resource["Properties"], **properties}}
    return dataclasses.replace(template, resources={**template.resources, name: changed})


# Wrong templates: a name, a change of a template, and a part of the sentence that names it.
PLANTED: list[tuple[str, str, Callable[[Template], Template], str]] = [
    ("201 parameters", "copy-job", lambda it: dataclasses.replace(
        it, parameters={f"P{n}": {"Type": "String", "Default": ""} for n in range(201)} | it.parameters),
     "parameters, CloudFormation takes 200"),
    ("501 resources", "network", lambda it: dataclasses.replace(
        it, resources={f"R{n}": {"Type": "AWS::SNS::Topic"} for n in range(501)} | it.resources),
     "resources, CloudFormation takes 500"),
    ("201 outputs", "warehouse", lambda it: dataclasses.replace(
        it, outputs={f"O{n}": {"Value": "x"} for n in range(201)}), "outputs, CloudFormation takes 200"),
    ("a mapping of 201 keys", "copy-target", lambda it: dataclasses.replace(
        it, mappings={"Wide": {str(n): {"a": 1} for n in range(201)}}), "mapping Wide has 201 keys"),
    ("a template of more than a megabyte", "copy-job", lambda it: dataclasses.replace(
        it, text=it.text + "#" * limits.TEMPLATE_BYTES), "CloudFormation takes 1000000"),
    ("a default that is too long", "copy-job", lambda it: dataclasses.replace(
        it, parameters=it.parameters | {"Long": {"Type": "String", "Default": "x" * 4097}}),
     "the default of Long has more than 4096 bytes"),
    ("a description that is too long", "copy-job", lambda it: dataclasses.replace(
        it, description="x" * 1025), "the description has more than 1024 bytes"),
]
PLANTED_RESOURCES: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("a policy of 10,241 characters", "copy-job", "CopyJobRole", {"Policies": [{"PolicyDocument": "x" * 10_239}]},
     "CopyJobRole: inline policies of 10241 characters, AWS takes 10240"),
    ("an environment of more than 4 KB", "copy-job", "CopyJobFunction",
     {"Environment": {"Variables": {"TEXT": "x" * 4_090}}}, "CopyJobFunction: environment of 4101 characters"),
    ("a trust policy that is too long", "copy-job", "CopyJobRole", {"AssumeRolePolicyDocument": "x" * 2_048},
     "CopyJobRole: trust policy of 2050 characters"),
    ("a function's name made from the stack's", "copy-job", "CopyJobFunction",
     {"FunctionName": {"Fn::Sub": "${AWS::StackName}-job"}}, "CopyJobFunction: FunctionName of 132 characters, AWS takes 64"),
    ("a role's name made from the stack's", "copy-job", "CopyJobRole",
     {"RoleName": {"Ref": "AWS::StackName"}}, "CopyJobRole: RoleName of 128 characters, AWS takes 64"),
    ("a rule's name made from the stack's", "copy-target", "MonitorSchedule",
     {"Name": {"Ref": "AWS::StackName"}}, "MonitorSchedule: Name of 128 characters, AWS takes 64"),
    ("an event pattern that is too long", "copy-target", "MonitorStatements",
     {"EventPattern": {"source": ["x" * 2_048]}}, "MonitorStatements: EventPattern of 2063 characters, AWS takes 2048"),
    ("an alarm's description that is too long", "copy-target", "MonitorErrorsAlarm",
     {"AlarmDescription": "x" * 1025}, "MonitorErrorsAlarm: AlarmDescription of 1025 characters"),
]


@pytest.mark.parametrize(("name", "template", "change", "expected"), PLANTED, ids=[it[0] for it in PLANTED])
def test_planted_template_is_refused(
    all_templates: list[Template], name: str, template: str, change: Callable[[Template], Template], expected: str
) -> None:
    found = list(limits.check_template(change(named(all_templates, template))))
    assert any(expected in sentence for sentence in found), found


@pytest.mark.parametrize(
    ("name", "template", "resource", "properties", "expected"), PLANTED_RESOURCES, ids=[it[0] for it in PLANTED_RESOURCES])
def test_planted_resource_is_refused(
    all_templates: list[Template], name: str, template: str, resource: str, properties: dict[str, Any], expected: str
) -> None:
    changed = with_resource(named(all_templates, template), resource, **properties)
    found = list(limits.check_longest(changed))
    assert any(expected in sentence for sentence in found), found
