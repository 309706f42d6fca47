"""Checks rendered templates against the limits of CloudFormation, IAM and Lambda.

Each limit has the page that states it. Lengths are those with the longest values that the
parameters allow, because CloudFormation refuses only while it creates the resource, after minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from . import samples
from .templates import Renderer, Template, longest_values

# CloudFormation user guide, "CloudFormation quotas". `sam deploy` uploads the template, so that
# the limit of 51,200 bytes for a template in the request does not apply:
# scripts/tests/test_deploy.py checks resolve_s3 in samconfig/.
TEMPLATE_BYTES = 1_000_000
COUNTS = {"parameters": 200, "resources": 500, "outputs": 200, "mappings": 200}
MAPPING_KEYS = 200
NAME_LENGTH = 255
DESCRIPTION_BYTES = 1024
PARAMETER_VALUE_BYTES = samples.VALUE_BYTES
PARAMETER_DESCRIPTION = 4000
# IAM user guide, "IAM and AWS STS quotas": white space does not count.
INLINE_POLICIES_OF_ROLE = 10_240
MANAGED_POLICY = 6_144
TRUST_POLICY = 2_048
ROLE_DESCRIPTION = 1_000
# Lambda developer guide, "Lambda quotas".
ENVIRONMENT_BYTES = 4_096
FUNCTION_DESCRIPTION = 256
# S3 user guide, "Bucket policies": 20 KB. SNS and SQS: 30 KB and 8,192 bytes by their quotas; KMS
# developer guide, "Quotas": 32 KB.
RESOURCE_POLICY_BYTES = {
    "AWS::S3::BucketPolicy": 20_480, "Custom::BucketPolicyStatements": 20_480,
    "AWS::SNS::TopicPolicy": 30_720, "AWS::SQS::QueuePolicy": 8_192, "AWS::KMS::Key": 32_768,
}
# EventBridge user guide, "Amazon EventBridge quotas"; CloudWatch Logs API reference, PutMetricFilter
# and PutSubscriptionFilter.
TEXTS = {
    ("AWS::Events::Rule", "EventPattern"): 2_048,
    ("AWS::Events::EventBusPolicy", "Statement"): 10_240,
    ("AWS::Logs::MetricFilter", "FilterPattern"): 1_024,
    ("AWS::Logs::SubscriptionFilter", "FilterPattern"): 1_024,
}
# Lengths of names: the quotas or the API reference of each service.
NAMES = {
    ("AWS::Lambda::Function", "FunctionName"): 64,
    ("AWS::IAM::Role", "RoleName"): 64,
    ("AWS::IAM::Policy", "PolicyName"): 128,
    ("AWS::CloudWatch::Alarm", "AlarmName"): 255,
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
    ("AWS::Events::Rule", "Name"): 64,
    ("AWS::Events::EventBus", "Name"): 256,
    ("AWS::Logs::LogGroup", "LogGroupName"): 512,
    ("AWS::StepFunctions::StateMachine", "StateMachineName"): 80,
    ("AWS::CloudTrail::Trail", "TrailName"): 128,
    ("AWS::SNS::Topic", "TopicName"): 256,
    ("AWS::SQS::Queue", "QueueName"): 80,
    ("AWS::DynamoDB::Table", "TableName"): 255,
    ("AWS::S3::Bucket", "BucketName"): 63,
    ("AWS::RDS::EventSubscription", "SubscriptionName"): 255,
    ("AWS::Redshift::EventSubscription", "SubscriptionName"): 255,
    ("AWS::KMS::Alias", "AliasName"): 256,
}
DESCRIPTIONS = {
    "AWS::Lambda::Function": FUNCTION_DESCRIPTION, "AWS::IAM::Role": ROLE_DESCRIPTION,
    "AWS::CloudWatch::Alarm": 1024, "AWS::Events::Rule": 512, "AWS::KMS::Key": 8192,
    "AWS::EC2::SecurityGroup": 255,
}


def compact(value: Any) -> str:
    """Returns a policy as IAM counts it: without white space."""
    return json.dumps(value, separators=(",", ":"))


def check_template(template: Template) -> Iterator[str]:
    """Yields a sentence for each limit of the template's text that is exceeded."""
    where = f"templates/{template.name}.yaml"
    size = max(len(template.text.encode()), len(json.dumps(template.resources).encode()))
    if size > TEMPLATE_BYTES:
        yield f"{where}: {size} bytes, CloudFormation takes {TEMPLATE_BYTES}"
    for part, limit in COUNTS.items():
        count = len(getattr(template, part))
        if count > limit:
            yield f"{where}: {count} {part}, CloudFormation takes {limit}"
        for name in getattr(template, part):
            if len(name) > NAME_LENGTH:
                yield f"{where}: the name {name} has {len(name)} characters, CloudFormation takes {NAME_LENGTH}"
    for name, mapping in template.mappings.items():
        if len(mapping) > MAPPING_KEYS:
            yield f"{where}: mapping {name} has {len(mapping)} keys, CloudFormation takes {MAPPING_KEYS}"
    if len(template.description.encode()) > DESCRIPTION_BYTES:
        yield f"{where}: the description has more than {DESCRIPTION_BYTES} bytes"
    for name, parameter in template.parameters.items():
        if len(parameter.get("Description", "")) > PARAMETER_DESCRIPTION:
            yield f"{where}: the description of {name} has more than {PARAMETER_DESCRIPTION} characters"
        if len(str(parameter.get("Default", "")).encode()) > PARAMETER_VALUE_BYTES:
            yield f"{where}: the default of {name} has more than {PARAMETER_VALUE_BYTES} bytes"
    for name, output in template.outputs.items():
        if len(output.get("Description", "").encode()) > DESCRIPTION_BYTES:
            yield f"{where}: the description of output {name} has more than {DESCRIPTION_BYTES} bytes"


def check_longest(template: Template) -> Iterator[str]:
    """Yields a sentence for each limit that the longest values of the parameters exceed."""
    for warehouse, (false, other_form) in samples.WAREHOUSES.items():
        values = longest_values(template)
        values.update({name: it for name, it in other_form.items() if name in values})
        yield from check_rendered(template, Renderer(template, values, lambda it: it not in false), warehouse)


def check_rendered(template: Template, renderer: Renderer, warehouse: str = "") -> Iterator[str]:
    """Yields a sentence for each limit that a resource exceeds."""
    attached: dict[str, list[Any]] = {}
    resources = dict(renderer.resources())
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Policy":
            document = resource["Properties"]["PolicyDocument"]
            for role in template.resources[name]["Properties"]["Roles"]:
                attached.setdefault(role.get("Ref", ""), []).append(document)
    for name, resource in resources.items():
        where = f"{template.name}: {name}"
        properties = resource["Properties"]
        kind = resource["Type"]
        if kind == "AWS::IAM::Role":
            documents = [it["PolicyDocument"] for it in properties.get("Policies", [])]
            documents += attached.get(name, [])
            yield from _over(where, "inline policies", inline_size(documents), INLINE_POLICIES_OF_ROLE)
            trust = len(compact(properties["AssumeRolePolicyDocument"]))
            yield from _over(where, "trust policy", trust, TRUST_POLICY)
        if kind == "AWS::IAM::ManagedPolicy":
            yield from _over(where, "managed policy", len(compact(properties["PolicyDocument"])), MANAGED_POLICY)
        if kind in RESOURCE_POLICY_BYTES:
            policy = properties.get("PolicyDocument") or properties.get("KeyPolicy") or properties.get("Statements", {})
            yield from _over(where, "policy", len(compact(policy)), RESOURCE_POLICY_BYTES[kind])
        if kind == "AWS::Lambda::Function":
            variables = properties.get("Environment", {}).get("Variables", {})
            yield from _over(where, "environment", len(compact(variables).encode()), ENVIRONMENT_BYTES)
        for (of, key), limit in (NAMES | TEXTS).items():
            if of == kind and key in properties:
                value = properties[key]
                length = len(value if isinstance(value, str) else compact(value))
                yield from _over(where, key, length, limit)
        for key in ("Description", "AlarmDescription", "GroupDescription"):
            if kind in DESCRIPTIONS and key in properties:
                yield from _over(where, key, len(str(properties[key])), DESCRIPTIONS[kind])


def inline_size(documents: list[Any]) -> int:
    """Returns the length of all inline policies of a role together, as IAM counts it."""
    return sum(len(compact(document)) for document in documents)


def _over(where: str, what: str, length: int, limit: int) -> Iterator[str]:
    if length > limit:
        yield f"{where}: {what} of {length} characters, AWS takes {limit}"
