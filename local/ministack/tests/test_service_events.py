"""Events of the services: stacks, executions, alarms, API calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, TARGET, Gateway, until
from functions import function
from queues import Queue, make_queue, rule, service_role
from stacks import Stack

HUB = "333333333333"


def gather(queue: Queue, found: list[dict[str, Any]], enough: Any) -> list[dict[str, Any]]:
    """Collect a queue's events until there are enough."""
    def collected() -> Any:
        found.extend(json.loads(message["Body"]) for message in queue.take())
        return enough(found)

    until(collected, "the events")
    return found


# --- CloudFormation ---


def test_rolled_back_stack_publishes_its_first_cause(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-stacks")
    rule(gateway, "gw-stacks", {"source": ["aws.cloudformation"], "detail": {"stack-id": [{"wildcard": "*:stack/gw-published/*"}]}},
         [{"Arn": queue.arn}])
    template = {"Resources": {
        "Good": {"Type": "AWS::SQS::Queue"},
        "Bad": {"Type": "AWS::SQS::Queue", "DependsOn": "Good", "Properties": {"RedrivePolicy": "nothing"}}}}
    with Stack(gateway, "gw-published") as stack:
        made = stack.create(template)
        assert made["StackStatus"] == "ROLLBACK_COMPLETE"

        def of_stack(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [one for one in events if one["detail-type"] == "CloudFormation Stack Status Change"]

        events = gather(queue, [], lambda found: any(
            one["detail"]["status-details"]["status"] == "ROLLBACK_COMPLETE" for one in of_stack(found)))
        arn = made["StackId"]
        assert {(one["source"], *one["resources"], one["account"]) for one in events} == {("aws.cloudformation", arn, TARGET)}
        assert [one["detail"]["status-details"]["status"] for one in of_stack(events)] == [
            "CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
        assert set(of_stack(events)[0]["detail"]) == {"stack-id", "status-details", "client-request-token"}
        failed = next(one["detail"] for one in events if one["detail-type"] == "CloudFormation Resource Status Change"
                      and one["detail"]["status-details"]["status"] == "CREATE_FAILED")
        assert (failed["stack-id"], failed["logical-resource-id"], failed["resource-type"]) == (arn, "Bad", "AWS::SQS::Queue")
        assert failed["status-details"]["status-reason"] == stack.reasons("CREATE_FAILED")[0]


# --- Step Functions ---


def test_failed_timed_out_and_aborted_executions_are_published(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-executions")
    rule(gateway, "gw-executions", {"source": ["aws.states"], "detail": {
        "stateMachineArn": [{"suffix": ":gw-published"}], "status": ["FAILED", "TIMED_OUT", "ABORTED"]}}, [{"Arn": queue.arn}])
    client = gateway.client("stepfunctions")
    states = {"Choose": {"Type": "Choice", "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "Fail"}], "Default": "Wait"},
              "Fail": {"Type": "Fail", "Error": "E", "Cause": "C"}, "Wait": {"Type": "Wait", "Seconds": 30, "End": True}}
    machine = client.create_state_machine(
        name="gw-published", roleArn=service_role(gateway, "gw-published", "states.amazonaws.com", []),
        definition=json.dumps({"StartAt": "Choose", "TimeoutSeconds": 1, "States": states}))["stateMachineArn"]
    arns = {name: client.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"fail": name == "failed"}))["executionArn"]
            for name in ("failed", "aborted", "late")}
    client.stop_execution(executionArn=arns["aborted"])
    events = gather(queue, [], lambda found: len(found) == 3)
    assert {one["resources"][0]: one["detail"]["status"] for one in events} == {
        arns["failed"]: "FAILED", arns["aborted"]: "ABORTED", arns["late"]: "TIMED_OUT"}
    assert {one["detail-type"] for one in events} == {"Step Functions Execution Status Change"}
    failed = next(one["detail"] for one in events if one["detail"]["status"] == "FAILED")
    assert (failed["error"], failed["cause"], failed["name"]) == ("E", "C", "failed")


# --- Alarms ---


def alarm(gateway: Gateway, name: str, **options: Any) -> str:
    client = gateway.client("cloudwatch")
    client.put_metric_alarm(AlarmName=name, Namespace="gw", MetricName=name, Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
                            ComparisonOperator="GreaterThanOrEqualToThreshold", Dimensions=[{"Name": "Job", "Value": "a"}], **options)
    return f"arn:aws:cloudwatch:{REGION}:{TARGET}:alarm:{name}"


def test_alarms_publish_the_new_and_the_former_state(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-alarms")
    rule(gateway, "gw-alarms", {"source": ["aws.cloudwatch"], "detail": {"alarmName": [{"prefix": "gw-published-"}]}}, [{"Arn": queue.arn}])
    client = gateway.client("cloudwatch")
    arn = alarm(gateway, "gw-published-alarm", AlarmDescription="what to do")
    client.put_composite_alarm(AlarmName="gw-published-composite", AlarmRule="ALARM(gw-published-alarm)")
    for value in ("ALARM", "OK"):
        client.set_alarm_state(AlarmName="gw-published-alarm", StateValue=value, StateReason=f"because {value}")
    events = gather(queue, [], lambda found: len([one for one in found if "composite" in one["detail"]["alarmName"]]) >= 3)
    own = [one for one in events if one["detail"]["alarmName"] == "gw-published-alarm"]
    assert [(one["detail"]["previousState"]["value"], one["detail"]["state"]["value"], one["detail"]["state"]["reason"]) for one in own] == [
        ("INSUFFICIENT_DATA", "ALARM", "because ALARM"), ("ALARM", "OK", "because OK")]
    assert own[1]["detail"]["previousState"]["reason"] == "because ALARM"
    assert own[0]["resources"] == [arn]
    assert own[0]["detail-type"] == "CloudWatch Alarm State Change"
    configuration = own[0]["detail"]["configuration"]
    assert configuration["description"] == "what to do"
    assert configuration["metrics"][0]["metricStat"] == {
        "metric": {"namespace": "gw", "name": "gw-published-alarm", "dimensions": {"Job": "a"}}, "period": 60, "stat": "Sum"}
    composite = [one["detail"] for one in events if one["detail"]["alarmName"] == "gw-published-composite"]
    assert [one["state"]["value"] for one in composite][-2:] == ["ALARM", "OK"]
    assert composite[-2]["configuration"]["alarmRule"] == "ALARM(gw-published-alarm)"
    assert json.loads(composite[-2]["state"]["reasonData"])["triggeringAlarms"][0]["arn"] == arn


def key(gateway: Gateway, principals: list[str]) -> str:
    policy = [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}, "Action": "kms:*", "Resource": "*"}]
    if principals:
        policy.append({"Effect": "Allow", "Principal": {"Service": principals}, "Action": ["kms:GenerateDataKey*", "kms:Decrypt"],  # type: ignore[dict-item]
                       "Resource": "*"})
    arn: str = gateway.client("kms").create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": policy}))["KeyMetadata"]["Arn"]
    return arn


@pytest.mark.parametrize(("name", "admitted", "principals", "managed", "arrives"), [
    ("gw-act-plain", True, None, False, True),
    ("gw-act-policy", False, None, False, False),
    ("gw-act-key", True, ["cloudwatch.amazonaws.com"], False, True),
    ("gw-act-no-key", True, ["events.amazonaws.com"], False, False),
    ("gw-act-managed", True, None, True, False),
])
def test_topic_and_key_must_admit_cloudwatch(
        gateway: Gateway, name: str, admitted: bool, principals: list[str] | None, managed: bool, arrives: bool) -> None:
    sns, client = gateway.client("sns"), gateway.client("cloudwatch")
    key_id = key(gateway, principals) if principals is not None else "alias/aws/sns" if managed else ""
    topic = sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": key_id} if key_id else {})["TopicArn"]
    arn = f"arn:aws:cloudwatch:{REGION}:{TARGET}:alarm:{name}"
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com" if admitted else "s3.amazonaws.com"}, "Action": "sns:Publish",
        "Resource": topic, "Condition": {"ArnLike": {"aws:SourceArn": arn}, "StringEquals": {"aws:SourceAccount": TARGET}}}]}))
    queue = make_queue(gateway, name, service="sns.amazonaws.com")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    alarm(gateway, name, AlarmActions=[topic])
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="r")
    history = client.describe_alarm_history(AlarmName=name, HistoryItemType="Action")["AlarmHistoryItems"]
    assert [one["HistorySummary"].split(" ")[0] for one in history] == ["Successfully" if arrives else "Failed"]
    if arrives:
        notification = queue.event()
        assert notification["Subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
        message = json.loads(notification["Message"])
        assert (message["AlarmArn"], message["NewStateValue"], message["Region"]) == (arn, "ALARM", "US East (N. Virginia)")
    else:
        assert not queue.take()


def test_alarm_publishes_to_a_topic_of_another_account(gateway: Gateway) -> None:
    name, sns = "gw-act-other", gateway.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = make_queue(gateway, name, service="sns.amazonaws.com")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    client = gateway.client("cloudwatch", SOURCE)
    client.put_metric_alarm(AlarmName=name, Namespace="gw", MetricName=name, Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
                            ComparisonOperator="GreaterThanOrEqualToThreshold", AlarmActions=[topic])
    for admitted in (TARGET, SOURCE):
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic,
            "Condition": {"StringEquals": {"aws:SourceAccount": admitted}}}]}))
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=f"admitted {admitted}")
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="r")
    message = json.loads(queue.event()["Message"])
    assert (message["AWSAccountId"], message["NewStateReason"]) == (SOURCE, f"admitted {SOURCE}")


# --- API calls ---


@pytest.fixture(scope="module")
def trail(gateway: Gateway) -> Iterator[str]:
    """A trail in the source account that also writes to a log group; its name."""
    logs, client = gateway.client("logs", SOURCE), gateway.client("cloudtrail", SOURCE)
    gateway.client("s3", SOURCE).create_bucket(Bucket="gw-trail")
    logs.create_log_group(logGroupName="/gw/trail")
    client.create_trail(Name="gw-trail", S3BucketName="gw-trail",
                        CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{SOURCE}:log-group:/gw/trail:*")
    client.start_logging(Name="gw-trail")
    yield "gw-trail"
    client.delete_trail(Name="gw-trail")


def calls(gateway: Gateway, name: str, state: str, account: str = SOURCE) -> Queue:
    queue = make_queue(gateway, name, account)
    rule(gateway, name, {"source": ["aws.secretsmanager"], "detail-type": ["AWS API Call via CloudTrail"], "detail": {
        "requestParameters": {"secretId": [{"wildcard": f"*{name}*"}]}}}, [{"Arn": queue.arn}], account, State=state)
    return queue


def test_secret_changes_are_published_without_the_value(gateway: Gateway, trail: str) -> None:
    queue = calls(gateway, "gw-calls", "ENABLED")
    secrets = gateway.client("secretsmanager", SOURCE)
    secrets.create_secret(Name="gw-calls", SecretString="first-hidden")
    role = gateway.role("gw-calls", [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}], SOURCE)
    gateway.as_role("secretsmanager", role).put_secret_value(SecretId="gw-calls", SecretString="second-hidden")
    secrets.update_secret(SecretId="gw-calls", Description="d")
    secrets.get_secret_value(SecretId="gw-calls")
    secrets.cancel_rotate_secret(SecretId="gw-calls")
    secrets.delete_secret(SecretId="gw-calls", RecoveryWindowInDays=7)
    events = gather(queue, [], lambda found: len(found) == 4)
    details = [one["detail"] for one in events]
    # Reads do not reach a rule that is just enabled.
    assert [one["eventName"] for one in details] == ["PutSecretValue", "UpdateSecret", "CancelRotateSecret", "DeleteSecret"]
    assert "hidden" not in json.dumps(events)
    first = details[0]
    assert (first["eventSource"], first["readOnly"], first["managementEvent"], first["recipientAccountId"]) == (
        "secretsmanager.amazonaws.com", False, True, SOURCE)
    assert first["requestParameters"]["secretId"] == "gw-calls"
    assert "errorCode" not in first
    identity = first["userIdentity"]
    assert (identity["type"], identity["arn"], identity["sessionContext"]["sessionIssuer"]["arn"]) == (
        "AssumedRole", f"arn:aws:sts::{SOURCE}:assumed-role/gw-calls/test", role["Arn"])
    assert details[1]["userIdentity"]["type"] == "Root"
    assert details[3]["requestParameters"]["recoveryWindowInDays"] == 7


def test_call_of_a_function_names_it_and_a_session_does_not(gateway: Gateway, trail: str) -> None:
    queue = calls(gateway, "gw-scope", "ENABLED")
    gateway.client("secretsmanager", SOURCE).create_secret(Name="gw-scope", SecretString="first")
    allowed = [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}]
    code = """
import boto3, os
def handler(event, context):
    client = boto3.client("secretsmanager", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.put_secret_value(SecretId="gw-scope", SecretString="second")
"""
    arn = function(gateway, "gw-scope", code, allowed, SOURCE)
    answer = gateway.client("lambda", SOURCE).invoke(FunctionName="gw-scope")
    assert "FunctionError" not in answer, answer["Payload"].read()
    other = gateway.role("gw-scope-other", allowed, SOURCE)
    found = gateway.client("sts", SOURCE).assume_role(RoleArn=other["Arn"], RoleSessionName="gw-scope")["Credentials"]
    gateway.as_role("secretsmanager", found).put_secret_value(SecretId="gw-scope", SecretString="third")
    events = gather(queue, [], lambda found: len(found) == 2)
    identities = [one["detail"]["userIdentity"] for one in events]
    assert [one["arn"].rsplit("/", 1)[-1] for one in identities] == ["gw-scope", "gw-scope"]
    assert [one.get("inScopeOf") for one in identities] == [
        {"issuerType": "AWS::Lambda::Function", "credentialsIssuedTo": arn}, None]
    gateway.client("lambda", SOURCE).delete_function(FunctionName="gw-scope")


def test_denied_read_reaches_rules_for_all_management_events(gateway: Gateway, trail: str) -> None:
    wide = calls(gateway, "gw-denied-reads", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
    narrow = make_queue(gateway, "gw-denied-narrow", SOURCE)
    rule(gateway, "gw-denied-narrow", {"source": ["aws.secretsmanager"], "detail": {"eventName": ["GetSecretValue"]}},
         [{"Arn": narrow.arn}], SOURCE)
    hub_bus = f"arn:aws:events:{REGION}:{HUB}:event-bus/gw-reads"
    client = gateway.client("events", HUB)
    client.create_event_bus(Name="gw-reads")
    client.put_permission(EventBusName="gw-reads", StatementId="s", Action="events:PutEvents", Principal=SOURCE)
    at_hub, not_at_hub = make_queue(gateway, "gw-reads-wide", HUB), make_queue(gateway, "gw-reads-narrow", HUB)
    rule(gateway, "gw-reads-wide", {"source": ["aws.secretsmanager"]}, [{"Arn": at_hub.arn}], HUB, "gw-reads",
         State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
    rule(gateway, "gw-reads-narrow", {"source": ["aws.secretsmanager"]}, [{"Arn": not_at_hub.arn}], HUB, "gw-reads")
    sender = service_role(gateway, "gw-reads", "events.amazonaws.com", [
        {"Effect": "Allow", "Action": "events:PutEvents", "Resource": hub_bus}], SOURCE)
    gateway.client("events", SOURCE).put_targets(Rule="gw-denied-reads", Targets=[{"Id": "hub", "Arn": hub_bus, "RoleArn": sender}])
    gateway.client("secretsmanager", SOURCE).create_secret(Name="gw-denied-reads", SecretString="hidden")
    unprivileged = gateway.as_role("secretsmanager", gateway.role("gw-denied-reads", [], SOURCE))
    with pytest.raises(ClientError, match="AccessDenied"):
        unprivileged.get_secret_value(SecretId="gw-denied-reads")
    events = [wide.event(), at_hub.event()]
    assert events[0] == events[1]
    detail = events[0]["detail"]
    assert (detail["eventName"], detail["errorCode"], detail["readOnly"]) == ("GetSecretValue", "AccessDenied", True)
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in detail["errorMessage"]
    assert not narrow.take()
    assert not not_at_hub.take()


def test_the_trails_log_group_has_the_record(gateway: Gateway, trail: str) -> None:
    gateway.client("secretsmanager", SOURCE).create_secret(Name="gw-logged", SecretString="hidden")
    found = gateway.client("logs", SOURCE).filter_log_events(logGroupName="/gw/trail")["events"]
    records = [json.loads(one["message"]) for one in found]
    assert [one["eventName"] for one in records if (one["requestParameters"] or {}).get("name") == "gw-logged"] == ["CreateSecret"]


def test_calls_need_a_trail_that_logs_them(gateway: Gateway) -> None:
    queue = calls(gateway, "gw-unpublished", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS", HUB)
    secrets, client = gateway.client("secretsmanager", HUB), gateway.client("cloudtrail", HUB)
    secrets.create_secret(Name="gw-unpublished", SecretString="s")
    secrets.put_secret_value(SecretId="gw-unpublished", SecretString="t")
    client.create_trail(Name="gw-reads", S3BucketName="b")
    client.put_event_selectors(TrailName="gw-reads", EventSelectors=[{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}])
    secrets.get_secret_value(SecretId="gw-unpublished")
    client.start_logging(Name="gw-reads")
    secrets.put_secret_value(SecretId="gw-unpublished", SecretString="u")
    secrets.describe_secret(SecretId="gw-unpublished")
    assert queue.event()["detail"]["eventName"] == "DescribeSecret"
    assert not queue.take()
    client.delete_trail(Name="gw-reads")
