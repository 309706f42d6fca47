"""Asynchronous invocations and event source mappings of queues."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, TARGET, Gateway, until
from functions import function, invoke_later
from queues import make_queue, rule
from stacks import Stack

FAILING = """
def handler(event, context):
    print("ID", context.aws_request_id)
    raise ValueError("broken by " + str(event["n"]))
"""


def allow(action: str, resource: str) -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Action": action, "Resource": resource}]


def check_record(record: dict[str, Any], arn: str, count: int) -> None:
    assert record["version"] == "1.0"
    assert record["timestamp"].endswith("Z")
    context = record["requestContext"]
    assert (context["functionArn"], context["condition"], context["approximateInvokeCount"]) == (f"{arn}:$LATEST", "RetriesExhausted", count)
    assert record["requestPayload"] == {"n": 1}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "broken by 1"


def test_failed_event_goes_to_the_queue_after_three_attempts(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-failed", service="")
    arn = function(gateway, "gw-failed", FAILING, allow("sqs:SendMessage", queue.arn))
    gateway.client("lambda").put_function_event_invoke_config(
        FunctionName="gw-failed", DestinationConfig={"OnFailure": {"Destination": queue.arn}})
    invoke_later(gateway, "gw-failed", {"n": 1})
    record = queue.event()
    check_record(record, arn, 3)
    events = gateway.client("logs").filter_log_events(logGroupName="/aws/lambda/gw-failed", filterPattern="ID")["events"]
    printed = [one["message"].split()[1] for one in events if one["message"].startswith("ID ")]
    assert printed == [record["requestContext"]["requestId"]] * 3


def test_a_failed_event_is_recorded_on_a_bus_as_lambdas_event(gateway: Gateway) -> None:
    bus = f"arn:aws:events:{REGION}:{TARGET}:event-bus/default"
    queue = make_queue(gateway, "gw-failed-bus")
    rule(gateway, "gw-failed-bus", {"source": ["lambda"], "detail": {"requestContext": {"condition": ["RetriesExhausted"]}}},
         [{"Arn": queue.arn}])
    arn = function(gateway, "gw-failed-bus", FAILING, allow("events:PutEvents", bus))
    gateway.client("lambda").put_function_event_invoke_config(
        FunctionName="gw-failed-bus", Qualifier="$LATEST", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": bus}})
    invoke_later(gateway, "gw-failed-bus", {"n": 1})
    event = queue.event()
    assert (event["detail-type"], event["resources"]) == ("Lambda Function Invocation Result - Failure", [f"{arn}:$LATEST", bus])
    check_record(event["detail"], arn, 1)


def test_a_failed_event_is_recorded_on_a_topic_and_at_a_function(gateway: Gateway) -> None:
    sns, client = gateway.client("sns"), gateway.client("lambda")
    topic = sns.create_topic(Name="gw-failed-topic")["TopicArn"]
    queue = make_queue(gateway, "gw-failed-topic", service="sns.amazonaws.com")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    arn = function(gateway, "gw-failed-topic", FAILING, allow("sns:Publish", topic))
    client.put_function_event_invoke_config(FunctionName="gw-failed-topic", MaximumRetryAttempts=0,
                                            DestinationConfig={"OnFailure": {"Destination": topic}})
    invoke_later(gateway, "gw-failed-topic", {"n": 1})
    check_record(json.loads(queue.event()["Message"]), arn, 1)
    other = function(gateway, "gw-failed-other", "import json\ndef handler(event, context):\n    print('GOT', json.dumps(event))\n")
    arn = function(gateway, "gw-failed-function", FAILING, allow("lambda:InvokeFunction", other))
    client.put_function_event_invoke_config(FunctionName="gw-failed-function", MaximumRetryAttempts=0,
                                            DestinationConfig={"OnFailure": {"Destination": other}})
    invoke_later(gateway, "gw-failed-function", {"n": 1})

    def got() -> list[str]:
        try:
            events = gateway.client("logs").filter_log_events(logGroupName="/aws/lambda/gw-failed-other")["events"]
        except ClientError:
            return []
        return [one["message"][4:] for one in events if one["message"].startswith("GOT ")]

    check_record(json.loads(until(got, "the record at the function")[0]), arn, 1)


def test_lost_record_is_counted_in_a_metric(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-failed-role", service="")
    function(gateway, "gw-failed-role", FAILING)
    gateway.client("lambda").put_function_event_invoke_config(
        FunctionName="gw-failed-role", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": queue.arn}})
    invoke_later(gateway, "gw-failed-role", {"n": 1})
    cloudwatch = gateway.client("cloudwatch")
    until(lambda: cloudwatch.list_metrics(Namespace="AWS/Lambda", MetricName="DestinationDeliveryFailures", Dimensions=[
        {"Name": "FunctionName", "Value": "gw-failed-role"}])["Metrics"], "the metric")
    assert not queue.take()


def test_a_dead_letter_queue_of_a_function_gets_the_event_itself(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-dead", service="")
    function(gateway, "gw-dead", FAILING, allow("sqs:SendMessage", queue.arn), DeadLetterConfig={"TargetArn": queue.arn})
    gateway.client("lambda").put_function_event_invoke_config(FunctionName="gw-dead", MaximumRetryAttempts=0)
    invoke_later(gateway, "gw-dead", {"n": 1})
    message = queue.one()
    attributes = queue.attributes(message)
    assert json.loads(message["Body"]) == {"n": 1}
    assert (attributes["ErrorCode"], attributes["ErrorMessage"]) == ("200", "broken by 1")
    assert message["MessageAttributes"]["ErrorCode"]["DataType"] == "Number"


def test_latest_and_no_qualifier_are_one_configuration(gateway: Gateway) -> None:
    function(gateway, "gw-qualified", FAILING)
    client = gateway.client("lambda")
    client.put_function_event_invoke_config(FunctionName="gw-qualified", Qualifier="$LATEST", MaximumRetryAttempts=1)
    assert client.get_function_event_invoke_config(FunctionName="gw-qualified")["MaximumRetryAttempts"] == 1


# --- Event source mappings ---

REPORTING = """
import json
def handler(event, context):
    answer = json.loads(event["Records"][0]["body"])["answer"]
    failed = [one["messageId"] for one in event["Records"] if json.loads(one["body"]).get("fail")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]} if answer == "report" else answer
"""
READ = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]


class Mapped:
    """A queue whose messages go to the reporting function, once, and its dead-letter queue."""

    def __init__(self, gateway: Gateway, name: str, visibility: int = 60) -> None:
        self.lost = make_queue(gateway, f"{name}-lost", service="")
        self.queue = make_queue(gateway, name, service="", VisibilityTimeout=str(visibility), RedrivePolicy=json.dumps(
            {"deadLetterTargetArn": self.lost.arn, "maxReceiveCount": 1}))
        function(gateway, name, REPORTING, [{"Effect": "Allow", "Action": READ, "Resource": self.queue.arn}])
        self._lambda = gateway.client("lambda")
        # A cold start longer than the visibility timeout would fail the messages.
        warm = {"Records": [{"messageId": "warm", "body": json.dumps({"answer": None})}]}
        self._lambda.invoke(FunctionName=name, Payload=json.dumps(warm))
        self._mapping = self._lambda.create_event_source_mapping(
            EventSourceArn=self.queue.arn, FunctionName=name, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"])["UUID"]

    def left(self) -> int:
        """The number of messages in the queue after the function had some."""
        until(lambda: self._lambda.get_event_source_mapping(UUID=self._mapping)["LastProcessingResult"] != "No records processed", "a batch")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.queue.client.get_queue_attributes(QueueUrl=self.queue.url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())


def test_only_the_reported_messages_of_a_batch_come_back(gateway: Gateway) -> None:
    mapped = Mapped(gateway, "gw-partial", visibility=5)
    mapped.queue.client.send_message_batch(QueueUrl=mapped.queue.url, Entries=[
        {"Id": str(number), "MessageBody": json.dumps({"answer": "report", "fail": number == 1, "number": number})} for number in range(3)])
    assert json.loads(mapped.lost.one("the failed message")["Body"])["number"] == 1
    assert mapped.left() == 0


@pytest.mark.parametrize(("name", "answer", "fails"), [
    ("gw-answer-null", None, False),
    ("gw-answer-empty", {"batchItemFailures": []}, False),
    ("gw-answer-no-list", {}, False),
    ("gw-answer-null-list", {"batchItemFailures": None}, False),
    ("gw-answer-unknown", {"batchItemFailures": [{"itemIdentifier": "nobody"}]}, True),
    ("gw-answer-blank", {"batchItemFailures": [{"itemIdentifier": ""}]}, True),
    ("gw-answer-misnamed", {"batchItemFailures": [{"id": "x"}]}, True),
    ("gw-answer-text", "fine", True),
])
def test_an_answer_that_lambda_cannot_read_fails_the_whole_batch(gateway: Gateway, name: str, answer: Any, fails: bool) -> None:
    mapped = Mapped(gateway, name)
    mapped.queue.client.send_message(QueueUrl=mapped.queue.url, MessageBody=json.dumps({"answer": answer}))
    assert mapped.left() == int(fails)


def test_redrive_returns_messages_to_their_source_queue(gateway: Gateway) -> None:
    lost = make_queue(gateway, "gw-redrive-lost", service="")
    queue = make_queue(gateway, "gw-redrive", service="", VisibilityTimeout="0", RedrivePolicy=json.dumps(
        {"deadLetterTargetArn": lost.arn, "maxReceiveCount": 1}))
    alone = make_queue(gateway, "gw-redrive-alone", service="")
    queue.client.send_message(QueueUrl=queue.url, MessageBody="m")
    queue.client.receive_message(QueueUrl=queue.url)
    until(lambda: not queue.client.receive_message(QueueUrl=queue.url).get("Messages") and "1" == lost.client.get_queue_attributes(
        QueueUrl=lost.url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]["ApproximateNumberOfMessages"], "the message failed")
    with pytest.raises(ClientError, match="must be configured as a Dead Letter Queue"):
        queue.client.start_message_move_task(SourceArn=alone.arn)
    start = [{"Effect": "Allow", "Action": ["sqs:StartMessageMoveTask", *READ], "Resource": lost.arn}]
    with pytest.raises(ClientError, match="sqs:SendMessage"):
        gateway.as_role("sqs", gateway.role("gw-redrive-unable", start)).start_message_move_task(SourceArn=lost.arn)
    able = gateway.as_role("sqs", gateway.role("gw-redrive-able", [
        *start, {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}]))
    able.start_message_move_task(SourceArn=lost.arn)
    task = queue.client.list_message_move_tasks(SourceArn=lost.arn)["Results"][0]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert queue.one()["Body"] == "m"
    assert not lost.take()


def test_a_mapping_needs_a_role_that_may_read_the_queue(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-unread", service="")
    function(gateway, "gw-unread", REPORTING, [{"Effect": "Allow", "Action": READ[:2], "Resource": queue.arn}])
    with pytest.raises(ClientError, match="does not have permissions to call GetQueueAttributes on SQS"):
        gateway.client("lambda").create_event_source_mapping(EventSourceArn=queue.arn, FunctionName="gw-unread")
    with Stack(gateway, "gw-unread") as stack:
        stack.create({"Resources": {"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
            "EventSourceArn": queue.arn, "FunctionName": "gw-unread"}}}})
        assert "GetQueueAttributes" in stack.reasons("CREATE_FAILED")[0]
