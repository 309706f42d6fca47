"""Metrics out of logs, and alarms evaluated with missing data."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, TARGET, Gateway, started, until
from functions import function
from queues import make_queue, rule
from stacks import Stack
from stub_redshift import StubRedshift

HOUR = 3600


def log(gateway: Gateway, group: str, *lines: str) -> None:
    client = gateway.client("logs")
    for made, name in ((client.create_log_group, {"logGroupName": group}),
                       (client.create_log_stream, {"logGroupName": group, "logStreamName": "s"})):
        try:
            made(**name)
        except client.exceptions.ResourceAlreadyExistsException:
            pass
    now = int(time.time() * 1000)
    client.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": now, "message": line} for line in lines])


def total(gateway: Gateway, namespace: str, name: str, dimensions: dict[str, str] | None = None, stat: str = "Sum") -> float | None:
    """One statistic of the last hour, ``None`` when there is no such metric."""
    now = time.time()
    points = gateway.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=name, StartTime=datetime.fromtimestamp(now - HOUR, UTC), EndTime=datetime.fromtimestamp(now + 60, UTC),
        Period=2 * HOUR, Statistics=[stat], Dimensions=[{"Name": key, "Value": value} for key, value in (dimensions or {}).items()])["Datapoints"]
    return sum(point[stat] for point in points) if points else None


def emf(namespace: str, dimensions: list[list[str]], metrics: list[str], **values: Any) -> str:
    return json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": namespace, "Dimensions": dimensions, "Metrics": [{"Name": name, "Unit": "Count"} for name in metrics]}]}, **values})


# --- Embedded metric format ---


def test_embedded_metric_format_line_becomes_metrics(gateway: Gateway) -> None:
    line = emf("gw/emf", [["Job"], ["Job", "Kind"], []], ["Files", "Rows"], Job="orders", Kind="copy", Files=3, Rows=[10, 20], Other=1)
    function(gateway, "gw-emf", f"def handler(event, context):\n    print({line!r})\n    print('plain')\n")
    for _ in range(2):
        gateway.client("lambda").invoke(FunctionName="gw-emf", Payload="{}")
    assert total(gateway, "gw/emf", "Files", {"Job": "orders"}) == 6
    assert total(gateway, "gw/emf", "Rows", {"Job": "orders", "Kind": "copy"}) == 60
    assert total(gateway, "gw/emf", "Rows", {"Job": "orders", "Kind": "copy"}, "SampleCount") == 4
    listed = gateway.client("cloudwatch").list_metrics(Namespace="gw/emf", MetricName="Files")["Metrics"]
    assert sorted(len(one["Dimensions"]) for one in listed) == [0, 1, 2]
    assert total(gateway, "gw/emf", "Other", {"Job": "orders"}) is None


@pytest.mark.parametrize(("name", "line"), [
    ("dimension-missing", emf("gw/bad", [["Job"]], ["dimension-missing"], **{"dimension-missing": 1})),
    ("dimension-number", emf("gw/bad", [["Job"]], ["dimension-number"], Job=1, **{"dimension-number": 1})),
    ("value-text", emf("gw/bad", [[]], ["value-text"], **{"value-text": "1"})),
    ("too-many", emf("gw/bad", [[]], ["too-many", *(f"m{number}" for number in range(100))], **{"too-many": 1})),
    ("no-time", json.dumps({"_aws": {"CloudWatchMetrics": [{"Namespace": "gw/bad", "Dimensions": [[]], "Metrics": [{"Name": "no-time"}]}]},
                            "no-time": 1})),
    ("wrapped", json.dumps({"message": emf("gw/bad", [[]], ["wrapped"], wrapped=1)})),
])
def test_a_line_that_is_no_embedded_metric_gives_none(gateway: Gateway, name: str, line: str) -> None:
    log(gateway, "/gw/emf-bad", line)
    assert total(gateway, "gw/bad", name) is None


# --- Metric filters ---

DENIED = '{ ($.eventName = "GetSecretValue") && (($.errorCode = "AccessDenied*") || ($.errorCode = "*UnauthorizedOperation")) }'


def record(name: str, **more: Any) -> str:
    return json.dumps({"eventName": name, "userIdentity": {"type": "Root"}, **more})


@pytest.mark.parametrize(("name", "pattern", "lines", "matches"), [
    ("gw-f-all", "", ["a", "b"], 2),
    ("gw-f-term", "ERROR", ["ERROR x", "error x", "an ERROR"], 2),
    ("gw-f-phrase", '"not found" -debug', ["it is not found", "debug: not found", "found not"], 1),
    ("gw-f-either", "?ERROR ?FATAL", ["ERROR", "FATAL", "WARN"], 2),
    ("gw-f-json", DENIED, [record("GetSecretValue", errorCode="AccessDenied"), record("GetSecretValue", errorCode="AccessDeniedException"),
                           record("GetSecretValue"), record("PutSecretValue", errorCode="AccessDenied"), "AccessDenied"], 2),
    ("gw-f-exists", '{ $.userIdentity.type = "Root" && $.errorCode NOT EXISTS }', [record("A"), record("A", errorCode="x")], 1),
    ("gw-f-number", "{ $.size >= 10 && $.items[0].ok IS TRUE }", [json.dumps({"size": size, "items": [{"ok": ok}]})
                                                                for size, ok in ((10, True), (9, True), (11, False))], 1),
    ("gw-f-regex", "{ $.name = %^in/.*csv$% }", [json.dumps({"name": name}) for name in ("in/a.csv", "out/a.csv")], 1),
    ("gw-f-not", '{ $.name != "a" }', [json.dumps({"name": name}) for name in ("a", "b")] + ["{}"], 1),
])
def test_a_metric_filter_counts_what_its_pattern_matches(gateway: Gateway, name: str, pattern: str, lines: list[str], matches: int) -> None:
    log(gateway, f"/gw/{name}", "before the filter")
    gateway.client("logs").put_metric_filter(logGroupName=f"/gw/{name}", filterName="f", filterPattern=pattern, metricTransformations=[
        {"metricNamespace": "gw/filters", "metricName": name, "metricValue": "1"}])
    log(gateway, f"/gw/{name}", *lines)
    assert total(gateway, "gw/filters", name) == matches


def test_metric_filter_reads_value_and_dimensions(gateway: Gateway) -> None:
    log(gateway, "/gw/f-values", "before")
    client = gateway.client("logs")
    client.put_metric_filter(logGroupName="/gw/f-values", filterName="sized", filterPattern="{ $.size > 0 }", metricTransformations=[
        {"metricNamespace": "gw/values", "metricName": "size", "metricValue": "$.size", "dimensions": {"Job": "$.job"}}])
    client.put_metric_filter(logGroupName="/gw/f-values", filterName="default", filterPattern="{ $.size > 0 }", metricTransformations=[
        {"metricNamespace": "gw/values", "metricName": "count", "metricValue": "1", "defaultValue": 0}])
    log(gateway, "/gw/f-values", "nothing")
    assert total(gateway, "gw/values", "count") == 0
    log(gateway, "/gw/f-values", json.dumps({"size": 5, "job": "a"}), json.dumps({"size": 7, "job": "a"}), json.dumps({"size": 9}))
    assert total(gateway, "gw/values", "size", {"Job": "a"}) == 12
    assert total(gateway, "gw/values", "count") == 3


@pytest.mark.parametrize("pattern", ["{ $.a = }", "{ $.a = 1", "{ a = 1 }", "[a, b]"])
def test_a_pattern_that_cannot_be_read_is_refused(gateway: Gateway, pattern: str) -> None:
    log(gateway, "/gw/f-refused", "x")
    with pytest.raises(ClientError, match="Invalid metric filter pattern"):
        gateway.client("logs").put_metric_filter(logGroupName="/gw/f-refused", filterName="f", filterPattern=pattern, metricTransformations=[
            {"metricNamespace": "n", "metricName": "m", "metricValue": "1"}])


# --- Alarms ---


class Alarm:
    """An alarm of one metric, and time for it; the clock starts in the middle of a period."""

    def __init__(self, gateway: Gateway, name: str, **options: Any) -> None:
        self.gateway, self.name = gateway, name
        self.client = gateway.client("cloudwatch")
        # In the future, so that no other evaluation sees this alarm's data.
        self.start = time.time() // 60 * 60 + 30 + HOUR
        self.client.put_metric_alarm(**{
            "AlarmName": name, "Namespace": "gw/alarms", "MetricName": name, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 3,
            "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold", **options})

    def put(self, minute: int, value: float, **dimensions: str) -> None:
        self.client.put_metric_data(Namespace="gw/alarms", MetricData=[{
            "MetricName": self.name, "Value": value, "Timestamp": datetime.fromtimestamp(self.start + 60 * minute, UTC),
            "Dimensions": [{"Name": key, "Value": one} for key, one in dimensions.items()]}])

    def state(self, minute: int) -> str:
        """The state after an evaluation in that minute."""
        assert self.gateway.call("POST", "tick", {"at": self.start + 60 * minute}) == (200, {})
        return str(self.describe()["StateValue"])

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_alarms(AlarmNames=[self.name])["MetricAlarms"][0]
        return found


# The two tables of the page on missing data: the newest five datapoints (0 good, X breaching, -
# missing), then the state for missing, ignore, breaching and notBreaching. K keeps it.
ALL_OF_THREE = [
    ("0-X-X", "OK", "OK", "OK", "OK"),
    ("0----", "OK", "OK", "OK", "OK"),
    ("-----", "INSUFFICIENT_DATA", "K", "ALARM", "OK"),
    ("0XX-X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("--X--", "ALARM", "K", "ALARM", "OK"),
]
TWO_OF_THREE = [
    ("0-X-X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("00X0X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0-X--", "OK", "OK", "ALARM", "OK"),
    ("----0", "OK", "OK", "ALARM", "OK"),
    ("---X-", "ALARM", "K", "ALARM", "OK"),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
CASES = [(needed, points, treatment, state)
         for needed, table in ((3, ALL_OF_THREE), (2, TWO_OF_THREE)) for points, *states in table
         for treatment, state in zip(TREATMENTS, states, strict=True)]


@pytest.mark.parametrize(("needed", "points", "treatment", "state"), CASES)
def test_missing_data_is_treated_as_in_the_pages_tables(gateway: Gateway, needed: int, points: str, treatment: str, state: str) -> None:
    name = f"gw-missing-{needed}-{points}-{treatment}"
    alarm = Alarm(gateway, name, DatapointsToAlarm=needed, TreatMissingData=treatment)
    for minute, point in enumerate(points):
        if point != "-":
            alarm.put(minute, 1 if point == "X" else 0)
    before = "OK" if state == "ALARM" else "ALARM"
    alarm.client.set_alarm_state(AlarmName=name, StateValue=before, StateReason="before")
    assert alarm.state(5) == (before if state == "K" else state)
    alarm.client.delete_alarms(AlarmNames=[name])


def test_breaching_silence_publishes_one_alarm(gateway: Gateway) -> None:
    topic = gateway.client("sns").create_topic(Name="gw-silence")["TopicArn"]
    queue = make_queue(gateway, "gw-silence", service="sns.amazonaws.com")
    gateway.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    alarm = Alarm(gateway, "gw-silence", EvaluationPeriods=2, ComparisonOperator="LessThanThreshold", TreatMissingData="breaching",
                  AlarmActions=[topic], OKActions=[topic])
    for minute in range(4):
        alarm.put(minute, 1)
    # The unfinished minute does not count as missing data.
    assert [alarm.state(4), alarm.state(5), alarm.state(6)] == ["OK", "OK", "OK"]
    assert [alarm.state(8), alarm.state(9)] == ["ALARM", "ALARM"]
    assert "no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching]" in alarm.describe()["StateReason"]
    alarm.put(9, 1)
    alarm.put(10, 1)
    assert alarm.state(11) == "OK"
    published = until(lambda: queue.take(), "the notifications")
    assert [json.loads(json.loads(one["Body"])["Message"])["NewStateValue"] for one in published] == ["OK", "ALARM", "OK"]
    alarm.client.delete_alarms(AlarmNames=["gw-silence"])


def test_an_alarm_looks_at_its_own_dimensions_only_and_at_once(gateway: Gateway) -> None:
    alarm = Alarm(gateway, "gw-dimensions", EvaluationPeriods=1, Dimensions=[{"Name": "Job", "Value": "a"}])
    alarm.start = time.time()
    alarm.put(0, 5, Job="b")
    alarm.put(0, 5)
    assert alarm.describe()["StateValue"] == "INSUFFICIENT_DATA"
    alarm.put(0, 5, Job="a")
    found = alarm.describe()
    assert found["StateValue"] == "ALARM"
    assert "1 out of the last 1 datapoints [5.0] was greater than or equal to the threshold (1.0)" in found["StateReason"]
    alarm.client.delete_alarms(AlarmNames=["gw-dimensions"])


def test_unfinished_period_does_not_hide_finished_ones(gateway: Gateway) -> None:
    alarm = Alarm(gateway, "gw-unfinished", EvaluationPeriods=1, TreatMissingData="notBreaching")
    alarm.put(0, 1)
    alarm.put(1, 0)
    assert [alarm.state(0), alarm.state(1), alarm.state(2)] == ["ALARM", "ALARM", "OK"]
    # A value that already breaches changes the state at once.
    alarm.put(3, 0)
    alarm.put(4, 1)
    assert alarm.state(4) == "ALARM"
    alarm.client.delete_alarms(AlarmNames=["gw-unfinished"])


def metric(identifier: str, name: str) -> dict[str, Any]:
    return {"Id": identifier, "ReturnData": False, "MetricStat": {
        "Metric": {"Namespace": "gw/alarms", "MetricName": name}, "Period": 60, "Stat": "Sum"}}


def test_an_alarm_on_an_expression_is_evaluated(gateway: Gateway) -> None:
    expression = {"Id": "e", "Expression": "100 * FILL(failed, 0) / SUM([failed, loaded])", "ReturnData": True}
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "AlarmName": "gw-math", "EvaluationPeriods": 1, "Threshold": 10, "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": [expression, metric("failed", "gw-math-failed"), metric("loaded", "gw-math-loaded")]}}}}
    client = gateway.client("cloudwatch")

    def put(name: str, value: float) -> None:
        client.put_metric_data(Namespace="gw/alarms", MetricData=[{"MetricName": name, "Value": value}])

    def state() -> str:
        return str(client.describe_alarms(AlarmNames=["gw-math"])["MetricAlarms"][0]["StateValue"])

    with Stack(gateway, "gw-math") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        put("gw-math-loaded", 8)
        assert state() == "OK"
        put("gw-math-failed", 2)
        assert state() == "ALARM"
        assert client.describe_alarms(AlarmNames=["gw-math"])["MetricAlarms"][0]["Metrics"][0]["Expression"] == expression["Expression"]


def test_full_queue_raises_alarm_and_composite_alarm(gateway: Gateway) -> None:
    events = make_queue(gateway, "gw-depth-events")
    rule(gateway, "gw-depth", {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["gw-depth-all"]}}, [{"Arn": events.arn}])
    queue = make_queue(gateway, "gw-depth")
    alarm = Alarm(gateway, "gw-depth", Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible", Statistic="Maximum",
                  EvaluationPeriods=1, Dimensions=[{"Name": "QueueName", "Value": "gw-depth"}], TreatMissingData="notBreaching")
    alarm.client.put_composite_alarm(AlarmName="gw-depth-all", AlarmRule='ALARM("gw-depth")')
    alarm.start = time.time()
    assert alarm.state(0) == "OK"
    queue.client.send_message(QueueUrl=queue.url, MessageBody="lost")
    assert alarm.state(0) == "ALARM"

    states: list[str] = []

    def published() -> bool:
        states.extend(json.loads(one["Body"])["detail"]["state"]["value"] for one in events.take())
        return "ALARM" in states

    until(published, "the composite alarm's event")
    alarm.client.delete_alarms(AlarmNames=["gw-depth-all"])
    alarm.client.delete_alarms(AlarmNames=["gw-depth"])


def test_every_account_is_evaluated(gateway: Gateway) -> None:
    client = gateway.client("cloudwatch", "333333333333")
    client.put_metric_alarm(AlarmName="gw-elsewhere", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
                            Threshold=1, ComparisonOperator="LessThanThreshold", TreatMissingData="breaching")
    assert gateway.call("POST", "tick", {}) == (200, {})
    assert client.describe_alarms(AlarmNames=["gw-elsewhere"])["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert f"arn:aws:cloudwatch:{REGION}:{TARGET}:alarm:gw-elsewhere" not in [
        one["AlarmArn"] for one in gateway.client("cloudwatch").describe_alarms()["MetricAlarms"]]


def test_with_shortened_periods_silence_is_an_alarm_by_the_clock(redshift: StubRedshift, tmp_path: Path) -> None:
    settings = {"SLUICE_METRIC_PERIOD_SCALE": "0.02", "SLUICE_ALARM_EVALUATION_SECONDS": "0.2"}
    with started(redshift, tmp_path, **settings) as quick:
        client = quick.client("cloudwatch")

        def state() -> str:
            return str(client.describe_alarms(AlarmNames=["quick"])["MetricAlarms"][0]["StateValue"])

        def beat() -> bool:
            client.put_metric_data(Namespace="n", MetricData=[{"MetricName": "beat", "Value": 1}])
            return state() == "OK"

        client.put_metric_alarm(AlarmName="quick", Namespace="n", MetricName="beat", Statistic="Sum", Period=60, EvaluationPeriods=1,
                                Threshold=1, ComparisonOperator="LessThanThreshold", TreatMissingData="breaching")
        until(beat, "the alarm is quiet while it beats")
        until(lambda: state() == "ALARM", "silence raises the alarm")


def test_a_message_gets_older_as_the_clock_of_a_tick_goes_on(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-age")
    alarm = Alarm(gateway, "gw-age", Namespace="AWS/SQS", MetricName="ApproximateAgeOfOldestMessage", Statistic="Maximum", Threshold=600,
                  EvaluationPeriods=1, Dimensions=[{"Name": "QueueName", "Value": "gw-age"}], TreatMissingData="notBreaching")
    alarm.start = time.time()
    queue.client.send_message(QueueUrl=queue.url, MessageBody="waits")
    assert [alarm.state(minute) for minute in (0, 9, 11)] == ["OK", "OK", "ALARM"]
    assert len(queue.take()) == 1
    # The minute in which it was too old counts until a whole one without it is over.
    assert [alarm.state(12), alarm.state(13)] == ["ALARM", "OK"]
    alarm.client.delete_alarms(AlarmNames=["gw-age"])
