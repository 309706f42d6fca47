"""Targets of rules: permissions, retries, dead-letter queues."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, TARGET, Gateway, until
from functions import function
from queues import make_queue, put_event, rule, service_role

MISSING = {
    "queue": f"arn:aws:sqs:{REGION}:{TARGET}:gw-not-there",
    "topic": f"arn:aws:sns:{REGION}:{TARGET}:gw-not-there",
    "function": f"arn:aws:lambda:{REGION}:{TARGET}:function:gw-not-there",
    "bus": f"arn:aws:events:{REGION}:{TARGET}:event-bus/gw-not-there",
}


def failed(gateway: Gateway, name: str, target: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Event and attributes in the dead-letter queue of a rule with this target."""
    lost = make_queue(gateway, f"{name}-dlq")
    rule(gateway, name, {"source": [name]}, [{**target, "DeadLetterConfig": {"Arn": lost.arn}}])
    put_event(gateway, name, {"key": "value"})
    message = lost.one("the event in the dead-letter queue")
    return json.loads(message["Body"]), lost.attributes(message)


@pytest.mark.parametrize("kind", sorted(MISSING))
def test_a_missing_target_goes_to_the_dead_letter_queue_at_once(gateway: Gateway, kind: str) -> None:
    event, attributes = failed(gateway, f"gw-missing-{kind}", {"Arn": MISSING[kind], "Input": '{"other": 1}'})
    assert event["detail"] == {"key": "value"}
    assert attributes.pop("ERROR_MESSAGE")
    assert attributes == {"ERROR_CODE": "NO_RESOURCE", "TARGET_ARN": MISSING[kind],
                          "RULE_ARN": f"arn:aws:events:{REGION}:{TARGET}:rule/gw-missing-{kind}"}


def topic(gateway: Gateway, name: str, statement: dict[str, Any] | None, **attributes: str) -> str:
    client = gateway.client("sns")
    arn: str = client.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    if statement is not None:
        client.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": arn, **statement}]}))
    return arn


def test_unadmitted_event_goes_to_the_dead_letter_queue(gateway: Gateway) -> None:
    targets = {
        "queue": make_queue(gateway, "gw-denied-queue", service="").arn,
        "other-rule": make_queue(gateway, "gw-denied-other-rule", source=f"arn:aws:events:{REGION}:{TARGET}:rule/another").arn,
        "topic": topic(gateway, "gw-denied-topic", None),
        "conditions": topic(gateway, "gw-denied-conditions", {
            "Principal": {"Service": "events.amazonaws.com"}, "Condition": {"StringEquals": {"aws:SourceAccount": TARGET}}}),
        "function": function(gateway, "gw-denied-function", "def handler(event, context):\n    pass\n"),
    }
    for kind, arn in targets.items():
        _, attributes = failed(gateway, f"gw-denied-{kind}", {"Arn": arn})
        assert attributes["ERROR_CODE"] == "NO_PERMISSIONS", kind
        assert "RETRY_ATTEMPTS" not in attributes


def test_target_gets_the_event_by_role_or_policy(gateway: Gateway) -> None:
    arn = f"arn:aws:events:{REGION}:{TARGET}:rule/gw-admitted"
    by_policy = make_queue(gateway, "gw-admitted-policy", source=arn)
    by_role = make_queue(gateway, "gw-admitted-role", service="")
    role = service_role(gateway, "gw-admitted", "events.amazonaws.com", [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": by_role.arn}])
    behind = make_queue(gateway, "gw-admitted-topic", service="sns.amazonaws.com")
    published = topic(gateway, "gw-admitted", {"Principal": {"Service": "events.amazonaws.com"}})
    gateway.client("sns").subscribe(TopicArn=published, Protocol="sqs", Endpoint=behind.arn)
    rule(gateway, "gw-admitted", {"source": ["gw-admitted"]}, [
        {"Arn": by_policy.arn}, {"Arn": by_role.arn, "RoleArn": role}, {"Arn": published}])
    sent = put_event(gateway, "gw-admitted")
    assert by_policy.event()["id"] == by_role.event()["id"] == sent
    notification = behind.event()
    assert json.loads(notification["Message"])["id"] == sent
    assert "Subject" not in notification


def test_errors_are_retried_until_the_attempts_are_used_up(gateway: Gateway) -> None:
    target = make_queue(gateway, "gw-retried")
    lost = make_queue(gateway, "gw-retried-dlq")
    rule(gateway, "gw-retried", {"source": ["gw-retried"]}, [
        {"Arn": target.arn, "DeadLetterConfig": {"Arn": lost.arn}, "RetryPolicy": {"MaximumRetryAttempts": 3}}])
    gateway.call("POST", "fault", {"action": "sqs:SendMessage", "resource": target.arn, "times": 3, "code": "THROTTLING", "status": 429})
    sent = put_event(gateway, "gw-retried")
    assert target.event("the event after three failures")["id"] == sent
    gateway.call("POST", "fault", {"action": "sqs:SendMessage", "resource": target.arn, "times": 4, "code": "ERROR_FROM_TARGET",
                                   "message": "ill"})
    sent = put_event(gateway, "gw-retried")
    message = lost.one()
    attributes = lost.attributes(message)
    assert json.loads(message["Body"])["id"] == sent
    assert (attributes["ERROR_CODE"], attributes["ERROR_MESSAGE"], attributes["RETRY_ATTEMPTS"],
            attributes["EXHAUSTED_RETRY_CONDITION"]) == ("ERROR_FROM_TARGET", "ill", "3", "MaximumRetryAttempts")
    assert not target.take()


def test_an_event_that_is_too_old_is_not_retried_any_more(gateway: Gateway) -> None:
    target = make_queue(gateway, "gw-aged")
    lost = make_queue(gateway, "gw-aged-dlq")
    rule(gateway, "gw-aged", {"source": ["gw-aged"]}, [
        {"Arn": target.arn, "DeadLetterConfig": {"Arn": lost.arn}, "RetryPolicy": {"MaximumEventAgeInSeconds": 60}}])
    gateway.call("POST", "fault", {"action": "sqs:SendMessage", "resource": target.arn, "times": 6})
    put_event(gateway, "gw-aged")
    attributes = lost.attributes(lost.one())
    # Waits of 1, 2, 4, 8 and 16 seconds; one of 32 would end after more than 60.
    assert (attributes["RETRY_ATTEMPTS"], attributes["EXHAUSTED_RETRY_CONDITION"]) == ("5", "MaximumEventAgeInSeconds")


def test_lost_event_is_counted_in_a_metric(gateway: Gateway) -> None:
    lost = make_queue(gateway, "gw-lost-dlq", service="")
    rule(gateway, "gw-lost", {"source": ["gw-lost"]}, [{"Arn": MISSING["queue"], "DeadLetterConfig": {"Arn": lost.arn}}])
    put_event(gateway, "gw-lost")
    metrics = gateway.client("cloudwatch").list_metrics(Namespace="AWS/Events", Dimensions=[{"Name": "RuleName", "Value": "gw-lost"}])
    assert {one["MetricName"] for one in metrics["Metrics"]} == {"Invocations", "FailedInvocations", "InvocationsFailedToBeSentToDlq"}
    assert not lost.take()


def test_function_target_is_retried_by_lambda(gateway: Gateway) -> None:
    failures = make_queue(gateway, "gw-async-failures", service="")
    arn = function(gateway, "gw-async", "def handler(event, context):\n    raise ValueError(event['detail']['n'])\n")
    client = gateway.client("lambda")
    client.add_permission(FunctionName="gw-async", StatementId="s", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
                          SourceArn=f"arn:aws:events:{REGION}:{TARGET}:rule/gw-async")
    client.put_function_event_invoke_config(FunctionName="gw-async", MaximumRetryAttempts=1,
                                            DestinationConfig={"OnFailure": {"Destination": failures.arn}})
    gateway.client("iam").put_role_policy(RoleName="gw-async", PolicyName="send", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": failures.arn}]}))
    lost = make_queue(gateway, "gw-async-dlq")
    rule(gateway, "gw-async", {"source": ["gw-async"]}, [{"Arn": arn, "DeadLetterConfig": {"Arn": lost.arn}}])
    sent = put_event(gateway, "gw-async", {"n": 7})
    record = failures.event("the destination's record")
    assert record["requestPayload"]["id"] == sent
    assert not lost.take()


def test_a_state_machine_is_started_by_the_targets_role_only(gateway: Gateway) -> None:
    client = gateway.client("stepfunctions")
    definition = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
    machine = client.create_state_machine(name="gw-target-machine", definition=json.dumps(definition),
                                          roleArn=gateway.role("gw-target-machine", [])["Arn"])["stateMachineArn"]
    _, attributes = failed(gateway, "gw-machine-alone", {"Arn": machine})
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    role = service_role(gateway, "gw-machine-starter", "events.amazonaws.com", [
        {"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}])
    rule(gateway, "gw-machine", {"source": ["gw-machine"]}, [{"Arn": machine, "RoleArn": role}])
    sent = put_event(gateway, "gw-machine")
    execution = until(lambda: client.list_executions(stateMachineArn=machine)["executions"], "the execution")[0]
    assert json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"])["id"] == sent


def test_a_request_fails_as_ordered(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-ill", None)
    gateway.call("POST", "fault", {"action": "sns:Publish", "resource": arn, "code": "InternalError", "status": 500})
    client = gateway.client("sns")
    with pytest.raises(client.exceptions.InternalErrorException):
        client.publish(TopicArn=arn, Message="m")
    assert client.publish(TopicArn=arn, Message="m")["MessageId"]
