"""Queues in tests: make one that services may write to, and read it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import REGION, TARGET, Gateway, until

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "policies"))
from contracts import events  # noqa: E402


def published_shape(text: str) -> None:
    """Fails if the local cloud delivered an event in another shape than the one that AWS publishes."""
    try:
        event = json.loads(text)
    except ValueError:
        return
    # Other kinds are events that a test made up.
    if events.is_described(event):
        found = [*events.check(event, "delivered"), *events.check_resources(event, "delivered")]
        assert not found, (found, event)


@dataclass
class Queue:
    """One queue and a client of its account."""

    client: Any
    url: str
    arn: str

    def take(self) -> list[dict[str, Any]]:
        """The messages in the queue, which are deleted."""
        found = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
        for message in found:
            published_shape(message["Body"])
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return list(found)

    def one(self, what: str = "a message") -> dict[str, Any]:
        """The next message, deleted from the queue; fails when none comes."""
        found: list[dict[str, Any]] = until(self.take, what)
        assert len(found) == 1, [message["Body"] for message in found]
        return found[0]

    def event(self, what: str = "an event") -> dict[str, Any]:
        """The body of the next message."""
        body: dict[str, Any] = json.loads(self.one(what)["Body"])
        return body

    def attributes(self, message: dict[str, Any]) -> dict[str, str]:
        """The message attributes as text."""
        return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


def make_queue(gateway: Gateway, name: str, account: str = TARGET, service: str = "events.amazonaws.com", source: str = "",
               **attributes: str) -> Queue:
    """A queue whose policy admits a service (none for ``""``), for one ``aws:SourceArn`` if given.
    """
    client = gateway.client("sqs", account)
    arn = f"arn:aws:sqs:{REGION}:{account}:{name}"
    if service:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": arn,
                     **({"Condition": {"ArnEquals": {"aws:SourceArn": source}}} if source else {})}
        attributes["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return Queue(client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], arn)


def rule(gateway: Gateway, name: str, pattern: dict[str, Any], targets: list[dict[str, Any]], account: str = TARGET,
         bus: str = "default", **options: Any) -> str:
    """A rule with targets; its ARN."""
    client = gateway.client("events", account)
    arn: str = client.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), **options)["RuleArn"]
    client.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": str(number), **one} for number, one in enumerate(targets)])
    return arn


def service_role(gateway: Gateway, name: str, service: str, statements: list[dict[str, Any]], account: str = TARGET) -> str:
    """A role that a service may assume."""
    iam = gateway.client("iam", account)
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return arn


def put_event(gateway: Gateway, source: str, detail: dict[str, Any] | None = None, account: str = TARGET, bus: str = "default",
              **fields: Any) -> str:
    """Put one event; its id."""
    answer = gateway.client("events", account).put_events(Entries=[
        {"Source": source, "DetailType": "T", "Detail": json.dumps(detail or {}), "EventBusName": bus, **fields}])
    assert answer["FailedEntryCount"] == 0, answer
    identifier: str = answer["Entries"][0]["EventId"]
    return identifier
