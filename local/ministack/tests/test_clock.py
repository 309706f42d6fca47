"""Schedules, rotations and alarms by the gateway's clock.

These tests set the clock forward and wait for what then happens by itself; no test waits for real
minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, TARGET, Gateway, started, until
from functions import function
from queues import make_queue, service_role
from stub_redshift import StubRedshift
from test_rotation import CODE, GRANTS

MINUTE = 60
HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def clocked(redshift: StubRedshift, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that goes by its clock."""
    place = tmp_path_factory.mktemp("clocked")
    with started(redshift, place, SLUICE_CLOCK_SECONDS="0.1", SLUICE_ALARM_EVALUATION_SECONDS="0.1") as running:
        yield running


def advance(gateway: Gateway, seconds: float) -> None:
    """Set the gateway's clock forward."""
    status, answer = gateway.call("POST", "clock", {})
    assert status == 200, answer
    assert gateway.call("POST", "clock", {"ahead": answer["ahead"] + seconds})[0] == 200


def lines(gateway: Gateway, name: str, text: str) -> int:
    """The number of lines with a text in a function's log."""
    try:
        events = gateway.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except ClientError as error:
        # A function without invocations has no log group.
        assert error.response["Error"]["Code"] == "ResourceNotFoundException"
        return 0
    return sum(text in event["message"] for event in events)


def runs(gateway: Gateway, name: str) -> int:
    """The number of runs of a function of ``scheduled_function``."""
    return lines(gateway, name, "ran on schedule")


def scheduled_function(gateway: Gateway, name: str, expression: str) -> None:
    """A function that a scheduled rule of the same name invokes."""
    arn = function(gateway, name, "def handler(event, context):\n    print('ran on schedule')\n")
    gateway.client("lambda").add_permission(
        FunctionName=name, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=f"arn:aws:events:{REGION}:{TARGET}:rule/{name}")
    client = gateway.client("events")
    client.put_rule(Name=name, ScheduleExpression=expression)
    client.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": arn}])


def test_rate_rule_invokes_its_function_every_minute(clocked: Gateway) -> None:
    scheduled_function(clocked, "clock-rate", "rate(1 minute)")
    assert runs(clocked, "clock-rate") == 0
    for expected in (1, 2):
        advance(clocked, MINUTE)
        until(lambda expected=expected: runs(clocked, "clock-rate") == expected, f"run {expected}")


def test_cron_rule_invokes_its_function_at_the_next_hour(clocked: Gateway) -> None:
    scheduled_function(clocked, "clock-cron", "cron(0 * * * ? *)")
    # A cron rule counts from the sweep that saw it first.
    queue = make_queue(clocked, "clock-swept")
    client = clocked.client("events")
    client.put_rule(Name="clock-swept", ScheduleExpression="rate(1 minute)")
    client.put_targets(Rule="clock-swept", Targets=[{"Id": "queue", "Arn": queue.arn}])
    advance(clocked, MINUTE)
    queue.one("the sweep")
    client.remove_targets(Rule="clock-swept", Ids=["queue"])
    before = runs(clocked, "clock-cron")
    advance(clocked, HOUR)
    until(lambda: runs(clocked, "clock-cron") == before + 1, "the run of the next hour")


def test_scheduler_schedule_starts_by_the_clock(clocked: Gateway) -> None:
    queue = make_queue(clocked, "clock-schedule", service="")
    role = service_role(clocked, "clock-schedule", "scheduler.amazonaws.com", [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}])
    clocked.client("scheduler").create_schedule(
        Name="clock-schedule", ScheduleExpression="rate(2 hours)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": queue.arn, "RoleArn": role, "Input": '{"job": 1}'})
    assert not queue.take()
    advance(clocked, 2 * HOUR)
    assert queue.event("the schedule's message") == {"job": 1}


def test_rotation_schedule_rotates_the_secret(clocked: Gateway) -> None:
    rotator = function(clocked, "clock-rotator", CODE, GRANTS)
    clocked.client("lambda").add_permission(
        FunctionName="clock-rotator", StatementId="rotation", Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com", SourceAccount=TARGET)
    client = clocked.client("secretsmanager")
    arn = client.create_secret(Name="clock-rotation", SecretString='{"password": "old"}')["ARN"]

    def current() -> str:
        stages: dict[str, list[str]] = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        return next(version for version, found in stages.items() if "AWSCURRENT" in found)

    def rotated_at() -> Any:
        return client.describe_secret(SecretId=arn).get("LastRotatedDate")

    first = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator,
                                 RotationRules={"ScheduleExpression": "rate(4 hours)"})["VersionId"]
    until(rotated_at, "the rotation that RotateSecret starts")
    assert current() == first
    at = rotated_at()
    advance(clocked, 4 * HOUR)
    until(lambda: rotated_at() != at, "the scheduled rotation")
    assert current() != first
    assert (rotated_at() - at).total_seconds() >= 4 * HOUR


def test_rotation_that_failed_is_started_again_when_due(clocked: Gateway) -> None:
    rotator = function(clocked, "clock-failing", CODE, GRANTS)
    clocked.client("lambda").add_permission(
        FunctionName="clock-failing", StatementId="rotation", Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com", SourceAccount=TARGET)
    client = clocked.client("secretsmanager")
    arn = client.create_secret(Name="clock-failing", SecretString='{"password": "old", "fail": "setSecret"}')["ARN"]

    client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator, RotationRules={"AutomaticallyAfterDays": 1})
    until(lambda: lines(clocked, "clock-failing", "STEP setSecret") == 3, "three attempts")
    client.put_secret_value(SecretId=arn, SecretString='{"password": "old"}')
    advance(clocked, 24 * HOUR)
    until(lambda: client.describe_secret(SecretId=arn).get("LastRotatedDate"), "the rotation is reattempted and ends")


def test_alarm_changes_its_state_by_the_clock(clocked: Gateway) -> None:
    client = clocked.client("cloudwatch")

    def state() -> str:
        return str(client.describe_alarms(AlarmNames=["clock-silence"])["MetricAlarms"][0]["StateValue"])

    client.put_metric_alarm(AlarmName="clock-silence", Namespace="clock", MetricName="beat", Statistic="Sum", Period=MINUTE,
                            EvaluationPeriods=1, Threshold=0, ComparisonOperator="LessThanOrEqualToThreshold",
                            TreatMissingData="notBreaching")
    until(lambda: state() == "OK", "silence is not breaching")
    client.put_metric_data(Namespace="clock", MetricData=[{"MetricName": "beat", "Value": 0}])
    advance(clocked, MINUTE)
    until(lambda: state() == "ALARM", "the finished minute is breaching")
    advance(clocked, 5 * MINUTE)
    until(lambda: state() == "OK", "the alarm is over")


def test_clock_is_never_set_back(clocked: Gateway) -> None:
    advance(clocked, 1)
    status, answer = clocked.call("POST", "clock", {"ahead": 0})
    assert status == 400
    assert "cannot be set back" in answer["message"]


def test_without_clock_only_ticks_start_schedules(gateway: Gateway) -> None:
    queue = make_queue(gateway, "clock-off")
    client = gateway.client("events")
    created = gateway.call("POST", "clock", {})[1]["now"]
    client.put_rule(Name="clock-off", ScheduleExpression="rate(1 minute)")
    client.put_targets(Rule="clock-off", Targets=[{"Id": "queue", "Arn": queue.arn}])
    assert gateway.call("POST", "tick", {"at": created + 30}) == (200, {})
    assert not queue.take()
    assert gateway.call("POST", "tick", {"at": created + 2 * MINUTE}) == (200, {})
    queue.one("the tick's event")
