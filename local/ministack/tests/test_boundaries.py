"""Permissions boundaries of roles, and roles with a path."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import TARGET, Gateway, until
from stacks import Stack

LIST = {"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"}
SNS = {"Effect": "Allow", "Action": "sns:ListTopics", "Resource": "*"}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def boundary(gateway: Gateway, name: str, *statements: dict[str, Any]) -> str:
    arn: str = gateway.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(document(*statements)))["Policy"]["Arn"]
    return arn


def role(boundary_arn: str | None, *statements: dict[str, Any], trusted: str = "lambda.amazonaws.com") -> dict[str, Any]:
    """A template with one role that the account and a service may assume."""
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root", "Service": trusted}})
    properties: dict[str, Any] = {"AssumeRolePolicyDocument": trust, "Path": "/bank/sluice/",
                                  "Policies": [{"PolicyName": "p", "PolicyDocument": document(*statements)}]}
    if boundary_arn:
        properties["PermissionsBoundary"] = boundary_arn
    return {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}},
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}}}


def deployed(stack: Stack, template: dict[str, Any]) -> str:
    there = stack.describe()["StackStatus"] != "DELETE_COMPLETE"
    found = stack.update(template) if there else stack.create(template)
    assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack.reasons("CREATE_FAILED")
    return stack.outputs()["Arn"]


def assumed(gateway: Gateway, arn: str) -> dict[str, str]:
    made: dict[str, str] = gateway.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return made


def decisions(gateway: Gateway, stack: str) -> list[str]:
    """The decisions about PutEvents of the role of a stack, each once."""
    calls = gateway.call("GET", f"calls?principal={stack}-Role&action=events:PutEvents")[1]["calls"]
    return sorted({one["decision"] for one in calls})


def test_boundary_of_a_template_limits_the_role(gateway: Gateway) -> None:
    stack = Stack(gateway, "gw-bounded")
    arn = deployed(stack, role(boundary(gateway, "gw-only-sqs", LIST), LIST, SNS))
    assert arn.startswith(f"arn:aws:iam::{TARGET}:role/bank/sluice/")
    found = gateway.client("iam").get_role(RoleName=arn.rsplit("/", 1)[1])["Role"]
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(":policy/gw-only-sqs")
    session = assumed(gateway, arn)
    gateway.as_role("sqs", session).list_queues()
    with pytest.raises(ClientError, match="AuthorizationError"):
        gateway.as_role("sns", session).list_topics()


def test_boundary_alone_allows_nothing(gateway: Gateway) -> None:
    arn = deployed(Stack(gateway, "gw-bounded-bare"), role(boundary(gateway, "gw-both", LIST, SNS), LIST))
    with pytest.raises(ClientError, match="AuthorizationError"):
        gateway.as_role("sns", assumed(gateway, arn)).list_topics()


def test_update_changes_and_removes_the_boundary(gateway: Gateway) -> None:
    stack = Stack(gateway, "gw-rebounded")
    narrow, wide = boundary(gateway, "gw-narrow", LIST), boundary(gateway, "gw-wide", LIST, SNS)
    refused = []
    for one in (narrow, wide, narrow, None):
        arn = deployed(stack, role(one, LIST, SNS))
        try:
            gateway.as_role("sns", assumed(gateway, arn)).list_topics()
            refused.append(False)
        except ClientError:
            refused.append(True)
    assert refused == [True, False, True, False]


@pytest.mark.parametrize(("named", "sentence"), [
    (f"arn:aws:iam::{TARGET}:policy/gw-nobody-made-it", "does not exist or is not attachable"),
    ("no-arn", "Invalid ARN"),
])
def test_boundary_that_does_not_exist_fails_the_stack(gateway: Gateway, named: str, sentence: str) -> None:
    stack = Stack(gateway, f"gw-no-boundary-{len(named)}")
    assert stack.create(role(named, LIST))["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any(sentence in one for one in stack.reasons("CREATE_FAILED")), stack.reasons("CREATE_FAILED")


def test_boundary_limits_a_role_that_a_service_uses(gateway: Gateway) -> None:
    """A rule sends an event to a bus with a role: the bus gets it only if the boundary allows it."""
    bus = gateway.client("events").create_event_bus(Name="gw-bounded-bus")["EventBusArn"]
    send = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}
    calls = []
    for name, limit in (("gw-bus-no", LIST), ("gw-bus-yes", send)):
        template = role(boundary(gateway, name, limit), send, trusted="events.amazonaws.com")
        template["Resources"]["Rule"] = {"Type": "AWS::Events::Rule", "Properties": {
            "EventPattern": {"source": [name]}, "Targets": [{"Id": "bus", "Arn": bus, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}]}}
        deployed(Stack(gateway, name), template)
        gateway.client("events").put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])
        calls += until(lambda name=name: decisions(gateway, name), f"EventBridge acts with the role of {name}")
    assert calls == ["denied", "allowed"]
