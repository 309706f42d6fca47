"""Event buses of other accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, TARGET, Gateway
from queues import Queue, make_queue, put_event, rule, service_role

HUB = "333333333333"


def bus_arn(name: str, account: str = HUB) -> str:
    return f"arn:aws:events:{REGION}:{account}:event-bus/{name}"


def allow(gateway: Gateway, bus: str, principal: Any, **more: Any) -> None:
    gateway.client("events", HUB).put_permission(EventBusName=bus, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "spokes", "Effect": "Allow", "Principal": principal, "Action": "events:PutEvents", "Resource": bus_arn(bus), **more}]}))


@pytest.fixture(scope="module")
def sender_role(gateway: Gateway) -> str:
    return service_role(gateway, "gw-bus-sender", "events.amazonaws.com", [
        {"Effect": "Allow", "Action": "events:PutEvents", "Resource": f"arn:aws:events:{REGION}:{HUB}:event-bus/*"}], SOURCE)


class Way:
    """A bus of the hub with a queue behind it, and a rule of the source account that sends there.
    """

    def __init__(self, gateway: Gateway, name: str, role: str) -> None:
        self.gateway, self.name = gateway, name
        gateway.client("events", HUB).create_event_bus(Name=name)
        self.received = make_queue(gateway, f"{name}-received", HUB)
        rule(gateway, name, {"account": [SOURCE]}, [{"Arn": self.received.arn}], HUB, name)
        self.lost = make_queue(gateway, f"{name}-lost", SOURCE)
        self.rule = rule(gateway, name, {"source": [name]}, [
            {"Arn": bus_arn(name), "RoleArn": role, "DeadLetterConfig": {"Arn": self.lost.arn}}], SOURCE)

    def send(self, **fields: Any) -> str:
        return put_event(self.gateway, self.name, {"n": 1}, SOURCE, **fields)

    def lost_attributes(self) -> dict[str, str]:
        return self.lost.attributes(self.lost.one())


def test_event_on_another_bus_keeps_its_origin(gateway: Gateway, sender_role: str) -> None:
    way = Way(gateway, "gw-hub", sender_role)
    allow(gateway, "gw-hub", {"AWS": SOURCE})
    sent = way.send(Time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), Resources=["arn:aws:s3:::x"])
    event = way.received.event()
    assert event == {"version": "0", "id": sent, "source": "gw-hub", "account": SOURCE, "time": "2026-01-02T03:04:05Z", "region": REGION,
                     "resources": ["arn:aws:s3:::x"], "detail-type": "T", "detail": {"n": 1}}
    assert not way.lost.take()


def test_bus_that_rejects_the_account_is_not_retried(gateway: Gateway, sender_role: str) -> None:
    way = Way(gateway, "gw-hub-closed", sender_role)
    allow(gateway, "gw-hub-closed", {"AWS": TARGET})
    sent = way.send()
    message = way.lost.one()
    attributes = way.lost.attributes(message)
    assert json.loads(message["Body"])["id"] == sent
    assert (attributes["ERROR_CODE"], attributes["RULE_ARN"], attributes["TARGET_ARN"]) == (
        "CROSS_ACCOUNT_INGESTION_FAILED", way.rule, bus_arn("gw-hub-closed"))
    assert "events:PutEvents" in attributes["ERROR_MESSAGE"]
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes
    assert not way.received.take()


def test_event_for_a_missing_bus_goes_to_the_dead_letter_queue(gateway: Gateway, sender_role: str) -> None:
    way = Way(gateway, "gw-hub-gone", sender_role)
    gateway.client("events", HUB).delete_event_bus(Name="gw-hub-gone")
    way.send()
    assert way.lost_attributes()["ERROR_CODE"] == "CROSS_ACCOUNT_INGESTION_FAILED"


@pytest.mark.parametrize(("name", "service", "statements", "code"), [
    ("gw-bus-nothing", "events.amazonaws.com", [], "NO_PERMISSIONS"),
    ("gw-bus-untrusted", "lambda.amazonaws.com", [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}],
     "FAILED_TO_ASSUME_ROLE"),
])
def test_the_rules_role_must_be_able_to_put_events(gateway: Gateway, name: str, service: str, statements: list[dict[str, Any]],
                                                   code: str) -> None:
    way = Way(gateway, name, service_role(gateway, name, service, statements, SOURCE))
    allow(gateway, name, "*")
    way.send()
    assert way.lost_attributes()["ERROR_CODE"] == code
    assert not way.received.take()


def test_an_organisation_is_admitted_by_its_id(gateway: Gateway, sender_role: str) -> None:
    for name, organisation in (("gw-hub-ours", "o-localcloud"), ("gw-hub-theirs", "o-someoneelse")):
        way = Way(gateway, name, sender_role)
        allow(gateway, name, "*", Condition={"StringEquals": {"aws:PrincipalOrgID": organisation}})
        way.send()
        assert (way.received if organisation == "o-localcloud" else way.lost).one()
        assert not (way.lost if organisation == "o-localcloud" else way.received).take()


@pytest.fixture
def relay(gateway: Gateway) -> Iterator[tuple[Queue, Queue]]:
    """The hub forwards every event of the source account to the target's default bus."""
    gateway.client("events", HUB).create_event_bus(Name="gw-hub-relay")
    allow(gateway, "gw-hub-relay", {"AWS": SOURCE})
    gateway.client("events", TARGET).put_permission(EventBusName="default", StatementId="hub", Action="events:PutEvents", Principal=HUB)
    role = service_role(gateway, "gw-bus-relay", "events.amazonaws.com", [{"Effect": "Allow", "Action": "events:*", "Resource": "*"}], HUB)
    lost = make_queue(gateway, "gw-relay-lost", HUB)
    third = make_queue(gateway, "gw-relay-third")
    rule(gateway, "gw-relay", {"source": ["gw-relay"]}, [
        {"Arn": bus_arn("default", TARGET), "RoleArn": role, "DeadLetterConfig": {"Arn": lost.arn}}], HUB, "gw-hub-relay")
    rule(gateway, "gw-relay", {"source": ["gw-relay"]}, [{"Arn": third.arn}])
    yield third, lost
    gateway.client("events", TARGET).remove_permission(StatementId="hub")


def test_an_event_is_not_sent_on_to_a_third_account(gateway: Gateway, relay: tuple[Queue, Queue], sender_role: str) -> None:
    third, lost = relay
    rule(gateway, "gw-relay", {"source": ["gw-relay"]}, [{"Arn": bus_arn("gw-hub-relay"), "RoleArn": sender_role}], SOURCE)
    sent = put_event(gateway, "gw-relay", account=SOURCE)
    message = lost.one()
    assert json.loads(message["Body"])["id"] == sent
    assert lost.attributes(message)["ERROR_CODE"] == "THIRD_ACCOUNT_HOP_DETECTED"
    assert not third.take()
    # The same rule sends the hub's own event.
    own = put_event(gateway, "gw-relay", account=HUB, bus="gw-hub-relay")
    event = third.event()
    assert (event["id"], event["account"]) == (own, HUB)
    assert not lost.take()


def test_put_events_across_accounts_needs_both_policies(gateway: Gateway) -> None:
    gateway.client("events", HUB).create_event_bus(Name="gw-hub-direct")
    received = make_queue(gateway, "gw-hub-direct", HUB)
    rule(gateway, "gw-hub-direct", {"account": [SOURCE]}, [{"Arn": received.arn}], HUB, "gw-hub-direct")
    arn = bus_arn("gw-hub-direct")
    entry = {"Source": "mine", "DetailType": "T", "Detail": "{}", "EventBusName": arn}
    able = gateway.as_role("events", gateway.role("gw-bus-able", [
        {"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn}], SOURCE))
    unable = gateway.as_role("events", gateway.role("gw-bus-unable", [], SOURCE))
    with pytest.raises(ClientError, match="no resource-based policy allows"):
        able.put_events(Entries=[entry])
    gateway.client("events", HUB).put_permission(EventBusName="gw-hub-direct", StatementId="s", Action="events:PutEvents", Principal=SOURCE)
    with pytest.raises(ClientError, match="AccessDenied"):
        unable.put_events(Entries=[entry])
    answer = able.put_events(Entries=[entry, {**entry, "Source": "aws.s3"}])
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [None, "NotAuthorizedForSourceException"]
    event = received.event()
    assert (event["id"], event["account"]) == (answer["Entries"][0]["EventId"], SOURCE)


def test_a_permission_for_an_account_names_its_root(gateway: Gateway) -> None:
    client = gateway.client("events", HUB)
    client.create_event_bus(Name="gw-hub-policy")
    client.put_permission(EventBusName="gw-hub-policy", StatementId="org", Action="events:PutEvents", Principal="*",
                          Condition={"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-localcloud"})
    client.put_permission(EventBusName="gw-hub-policy", StatementId="one", Action="events:PutEvents", Principal=SOURCE)
    statements = json.loads(client.describe_event_bus(Name="gw-hub-policy")["Policy"])["Statement"]
    assert [(one["Principal"], one.get("Condition")) for one in statements] == [
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-localcloud"}}), ({"AWS": f"arn:aws:iam::{SOURCE}:root"}, None)]
    with pytest.raises(ClientError, match="does not exist"):
        client.put_permission(EventBusName="gw-no-bus", StatementId="s", Action="events:PutEvents", Principal=SOURCE)
