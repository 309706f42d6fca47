"""Scheduled rules and schedules fire on request."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import REGION, TARGET, Gateway
from queues import Queue, make_queue, service_role
from stacks import Stack

HOUR = 3600
DAY = 24 * HOUR


def tick(gateway: Gateway, **what: Any) -> None:
    assert gateway.call("POST", "tick", what) == (200, {})


def test_a_rule_with_a_rate_fires_when_its_time_has_come(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-rate")
    template = {"Resources": {"Rule": {"Type": "AWS::Events::Rule", "Properties": {
        "Name": "gw-rate", "ScheduleExpression": "rate(2 hours)", "Targets": [
            {"Id": "q", "Arn": queue.arn}, {"Id": "i", "Arn": queue.arn, "Input": '{"mode": "full"}'}]}}}}
    with Stack(gateway, "gw-rate") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        now = time.time()
        tick(gateway, at=now)
        tick(gateway, at=now + HOUR)
        assert not queue.take()
        tick(gateway, at=now + 2 * HOUR + 1)
        tick(gateway, at=now + 3 * HOUR)
        bodies = [json.loads(one["Body"]) for one in queue.take()]
        assert {"mode": "full"} in bodies
        event = next(one for one in bodies if "source" in one)
        assert len(bodies) == 2
        assert (event["source"], event["detail-type"], event["resources"]) == (
            "aws.events", "Scheduled Event", [f"arn:aws:events:{REGION}:{TARGET}:rule/gw-rate"])
        assert event["time"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 2 * HOUR + 1))


def test_a_rule_with_cron_fires_once_an_occurrence(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-cron")
    rules = gateway.client("events")
    rules.put_rule(Name="gw-cron", ScheduleExpression="cron(30 4 * * ? *)")
    rules.put_targets(Rule="gw-cron", Targets=[{"Id": "q", "Arn": queue.arn}])
    midnight = time.time() // DAY * DAY + 40 * DAY
    tick(gateway, at=midnight)
    tick(gateway, at=midnight + 4 * HOUR)
    before = len(queue.take())
    tick(gateway, at=midnight + 5 * HOUR)
    tick(gateway, at=midnight + 6 * HOUR)
    assert (before, len(queue.take())) == (0, 1)
    rules.disable_rule(Name="gw-cron")
    tick(gateway, at=midnight + 2 * DAY)
    assert not queue.take()


def test_one_rule_is_fired_by_name(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-one")
    rules = gateway.client("events")
    arn = rules.put_rule(Name="gw-one", ScheduleExpression="rate(1 day)")["RuleArn"]
    rules.put_targets(Rule="gw-one", Targets=[{"Id": "q", "Arn": queue.arn}])
    for _ in range(2):
        tick(gateway, rule=arn)
        assert queue.event()["resources"] == [arn]
    assert gateway.call("POST", "tick", {"rule": f"{arn}-not"})[0] == 404


@pytest.fixture(scope="module")
def behind(gateway: Gateway) -> Queue:
    return make_queue(gateway, "gw-schedule", service="")


def schedule(gateway: Gateway, name: str, target: dict[str, Any], expression: str = "rate(1 hour)", **options: Any) -> str:
    arn: str = gateway.client("scheduler").create_schedule(
        Name=name, ScheduleExpression=expression, FlexibleTimeWindow={"Mode": "OFF"}, Target=target, **options)["ScheduleArn"]
    return arn


def test_schedule_delivers_with_its_role(gateway: Gateway, behind: Queue) -> None:
    send = [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": behind.arn}]
    able = service_role(gateway, "gw-schedule", "scheduler.amazonaws.com", send)
    untrusted = service_role(gateway, "gw-schedule-untrusted", "events.amazonaws.com", send)
    arn = schedule(gateway, "gw-schedule", {"Arn": behind.arn, "RoleArn": able, "Input": '{"job": 1}'})
    tick(gateway, schedule=arn)
    assert behind.event() == {"job": 1}
    tick(gateway, schedule=schedule(gateway, "gw-schedule-untrusted", {"Arn": behind.arn, "RoleArn": untrusted}))
    assert not behind.take()


def test_undelivered_schedule_goes_to_its_dead_letter_queue(gateway: Gateway) -> None:
    lost = make_queue(gateway, "gw-schedule-lost", service="")
    role = service_role(gateway, "gw-schedule-lost", "scheduler.amazonaws.com", [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": lost.arn}])
    missing = f"arn:aws:sqs:{REGION}:{TARGET}:gw-not-there"
    arn = schedule(gateway, "gw-schedule-lost", {"Arn": missing, "RoleArn": role, "DeadLetterConfig": {"Arn": lost.arn}})
    tick(gateway, schedule=arn)
    attributes = lost.attributes(lost.one())
    assert (attributes["SCHEDULE_ARN"], attributes["TARGET_ARN"], attributes["ERROR_CODE"], attributes["RETRY_ATTEMPTS"]) == (
        arn, missing, "NO_RESOURCE", "0")


def test_schedule_of_a_stack_ends_at_its_end_date(gateway: Gateway) -> None:
    behind = make_queue(gateway, "gw-cfn-schedule", service="")
    role = service_role(gateway, "gw-cfn-schedule", "scheduler.amazonaws.com", [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": behind.arn}])
    now = time.time()
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 90 * DAY))
    template = {"Resources": {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": {
        "Name": "gw-cfn-schedule", "ScheduleExpression": "rate(60 days)", "FlexibleTimeWindow": {"Mode": "OFF"}, "EndDate": end,
        "Target": {"Arn": behind.arn, "RoleArn": role, "Input": "{}"}}}}}
    with Stack(gateway, "gw-cfn-schedule") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        tick(gateway, at=now + 61 * DAY)
        assert behind.event() == {}
        tick(gateway, at=now + 122 * DAY)
        assert not behind.take()
