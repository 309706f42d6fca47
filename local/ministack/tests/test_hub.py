"""A hub and a spoke made by templates: a failure in one account is delivered once to a queue and an
endpoint of another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, Gateway, until
from endpoints import Endpoint, confirmed
from functions import function
from queues import service_role
from stacks import Stack

HUB = "333333333333"
NOTIFY = """
import boto3, json, os
def handler(event, context):
    failures = []
    for record in event["Records"]:
        one = json.loads(record["body"])
        failures.append({"itemIdentifier": record["messageId"]} if one["detail"].get("poison") else None)
        if failures[-1] is None:
            boto3.client("sns").publish(TopicArn=os.environ["TOPIC"], Subject=one["detail-type"][:100], MessageStructure="json",
                                        Message=json.dumps({"default": "x", "http": json.dumps(one), "sqs": json.dumps(one)}))
    return {"batchItemFailures": [one for one in failures if one]}
"""


def get(resource: str, attribute: str = "Arn") -> dict[str, Any]:
    return {"Fn::GetAtt": [resource, attribute]}


def policy(principal: Any, action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource, **more}]}


def hub_template(endpoint: str) -> dict[str, Any]:
    key_policy = policy({"AWS": f"arn:aws:iam::{HUB}:root"}, "kms:*", "*")
    role_policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "Resource": get("Queue")},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "Topic"}},
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": get("Key")}]}
    return {
        "Resources": {
            "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key_policy}},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": get("Key")}},
            "Http": {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": endpoint}},
            "Inbox": {"Type": "AWS::SQS::Queue"},
            "InboxPolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Inbox"}], "PolicyDocument": policy(
                {"Service": "sns.amazonaws.com"}, "sqs:SendMessage", get("Inbox"), Condition={"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}})}},
            "Sqs": {"Type": "AWS::SNS::Subscription", "Properties": {
                "TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": get("Inbox"), "RawMessageDelivery": True}},
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "gw-alerts"}},
            "BusPolicy": {"Type": "AWS::Events::EventBusPolicy", "Properties": {
                "EventBusName": {"Ref": "Bus"}, "StatementId": "spokes", "Statement": {
                    "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": get("Bus"),
                    "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-localcloud"}}}}},
            "Lost": {"Type": "AWS::SQS::Queue"},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 5, "RedrivePolicy": {
                "deadLetterTargetArn": get("Lost"), "maxReceiveCount": 1}}},
            "QueuePolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": policy(
                {"Service": "events.amazonaws.com"}, "sqs:SendMessage", get("Queue"), Condition={"ArnEquals": {"aws:SourceArn": get("Rule")}})}},
            "Rule": {"Type": "AWS::Events::Rule", "Properties": {
                "EventBusName": {"Ref": "Bus"}, "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
                "EventPattern": {"account": [SOURCE]}, "Targets": [{"Id": "queue", "Arn": get("Queue")}]}},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
                "Policies": [{"PolicyName": "p", "PolicyDocument": role_policy}]}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {
                "Runtime": "python3.11", "Handler": "index.handler", "Role": get("Role"), "Timeout": 20, "Code": {"ZipFile": NOTIFY},
                "Environment": {"Variables": {"TOPIC": {"Ref": "Topic"}}}}},
            "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
                "EventSourceArn": get("Queue"), "FunctionName": {"Ref": "Function"}, "FunctionResponseTypes": ["ReportBatchItemFailures"]}},
        },
        "Outputs": {"Bus": {"Value": get("Bus")}, "Inbox": {"Value": {"Ref": "Inbox"}}, "Topic": {"Value": {"Ref": "Topic"}},
                    "Lost": {"Value": {"Ref": "Lost"}}, "Function": {"Value": {"Ref": "Function"}}},
    }


def spoke_template(bus: str) -> dict[str, Any]:
    patterns = {
        "Rotations": {"source": ["aws.secretsmanager"], "detail": {"eventName": ["RotationFailed"]}},
        "Stacks": {"source": ["aws.cloudformation"], "detail-type": ["CloudFormation Stack Status Change"], "detail": {
            "stack-id": [{"wildcard": "*:stack/gw-hub-*"}], "status-details": {"status": ["ROLLBACK_COMPLETE"]}}},
        "Machines": {"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"], "name": ["gw-hub"]}},
        "Alarms": {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["gw-hub"], "state": {"value": ["ALARM", "OK"]}}},
        "Denied": {"source": ["aws.secretsmanager"], "detail": {"eventName": ["GetSecretValue"], "errorCode": [{"exists": True}]}},
        "Poison": {"source": ["gw-poison"]},
    }
    rules = {name: {"Type": "AWS::Events::Rule", "Properties": {
        "EventPattern": pattern, "State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" if name == "Denied" else "ENABLED", "Targets": [{
            "Id": "hub", "Arn": bus, "RoleArn": get("Role"), "DeadLetterConfig": {"Arn": get("Lost")},
            "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}}]}} for name, pattern in patterns.items()}
    trail = "arn:aws:s3:::gw-hub-trail"
    return {"Resources": {
        **rules,
        "Role": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}]},
            "Policies": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}]}}]}},
        "Lost": {"Type": "AWS::SQS::Queue"},
        "LostPolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Lost"}], "PolicyDocument": policy(
            {"Service": "events.amazonaws.com"}, "sqs:SendMessage", get("Lost"))}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "gw-hub-trail"}},
        "BucketPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": policy(
            {"Service": "cloudtrail.amazonaws.com"}, ["s3:GetBucketAcl", "s3:PutObject"], [trail, f"{trail}/*"])}},
        "Trail": {"Type": "AWS::CloudTrail::Trail", "DependsOn": "BucketPolicy", "Properties": {
            "S3BucketName": {"Ref": "Bucket"}, "IsLogging": True}},
    }, "Outputs": {"Lost": {"Value": {"Ref": "Lost"}}}}


class Alerting:
    """Both stacks, and the messages that the hub's subscribers receive."""

    def __init__(self, gateway: Gateway, hub: Stack, spoke: Stack, endpoint: Endpoint) -> None:
        self.gateway, self.hub, self.spoke, self.endpoint = gateway, hub, spoke, endpoint

    def inbox(self) -> list[dict[str, Any]]:
        client, url = self.gateway.client("sqs", HUB), self.hub.outputs()["Inbox"]
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for one in found:
            client.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in found]

    def delivered(self, count: int = 1) -> list[dict[str, Any]]:
        """This number of events from the queue, which the endpoint received too."""
        events: list[dict[str, Any]] = []

        def enough() -> bool:
            events.extend(self.inbox())
            return len(events) >= count and len(self.endpoint.received) >= count

        until(enough, f"{count} messages at both subscribers")
        assert len(events) == count
        at_endpoint = [json.loads(json.loads(body)["Message"])["id"] for _, body in self.endpoint.received]
        assert sorted(at_endpoint) == sorted(one["id"] for one in events)
        assert {one["account"] for one in events} == {SOURCE}
        self.endpoint.received.clear()
        return events

    def lost(self) -> list[Any]:
        found = self.gateway.client("sqs", SOURCE).receive_message(QueueUrl=self.spoke.outputs()["Lost"]).get("Messages", [])
        return list(found)


@pytest.fixture(scope="module")
def alerting(gateway: Gateway) -> Iterator[Alerting]:
    with Endpoint(gateway) as endpoint, Stack(gateway, "gw-night-hub", HUB) as hub, Stack(gateway, "gw-night-spoke", SOURCE) as spoke:
        assert hub.create(hub_template(endpoint.url))["StackStatus"] == "CREATE_COMPLETE", hub.reasons("CREATE_FAILED")
        # A cold start longer than the visibility timeout would fail the messages.
        gateway.client("lambda", HUB).invoke(FunctionName=hub.outputs()["Function"], Payload=json.dumps({"Records": [
            {"messageId": "warm", "body": json.dumps({"detail": {"poison": True}})}]}))
        confirmed(gateway, hub.outputs()["Topic"], HUB)
        made = spoke.create(spoke_template(hub.outputs()["Bus"]))
        assert made["StackStatus"] == "CREATE_COMPLETE", spoke.reasons("CREATE_FAILED")
        yield Alerting(gateway, hub, spoke, endpoint)


def test_failed_rotation_in_a_spoke_is_delivered_once(gateway: Gateway, alerting: Alerting) -> None:
    secrets = gateway.client("secretsmanager", SOURCE)
    arn = secrets.create_secret(Name="gw-hub-rotation", SecretString="s")["ARN"]
    rotator = function(gateway, "gw-hub-rotator", "def handler(event, context):\n    raise ValueError('no')\n", account=SOURCE)
    gateway.client("lambda", SOURCE).add_permission(FunctionName="gw-hub-rotator", StatementId="s", Action="lambda:InvokeFunction",
                                                    Principal="secretsmanager.amazonaws.com", SourceAccount=SOURCE)
    secrets.rotate_secret(SecretId=arn, RotationLambdaARN=rotator, RotationRules={"AutomaticallyAfterDays": 30})
    event = alerting.delivered()[0]
    assert (event["detail"]["eventName"], event["detail"]["additionalEventData"]["SecretId"]) == ("RotationFailed", arn)


def test_rolled_back_stack_in_a_spoke_is_delivered_once(gateway: Gateway, alerting: Alerting) -> None:
    with Stack(gateway, "gw-hub-bad", SOURCE) as stack:
        stack.create({"Resources": {"Bad": {"Type": "AWS::SQS::Queue", "Properties": {"RedrivePolicy": "nothing"}}}})
        event = alerting.delivered()[0]
    assert event["detail"]["stack-id"].split("/")[1] == "gw-hub-bad"


def test_timed_out_execution_in_a_spoke_is_delivered_once(gateway: Gateway, alerting: Alerting) -> None:
    client = gateway.client("stepfunctions", SOURCE)
    machine = client.create_state_machine(
        name="gw-hub", roleArn=service_role(gateway, "gw-hub-machine", "states.amazonaws.com", [], SOURCE), definition=json.dumps(
            {"StartAt": "Wait", "TimeoutSeconds": 1, "States": {"Wait": {"Type": "Wait", "Seconds": 20, "End": True}}}))["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, name="gw-hub")["executionArn"]
    assert alerting.delivered()[0]["detail"]["executionArn"] == execution


def test_alarm_and_recovery_in_a_spoke_are_delivered_once_each(gateway: Gateway, alerting: Alerting) -> None:
    client = gateway.client("cloudwatch", SOURCE)
    client.put_metric_alarm(AlarmName="gw-hub", Namespace="gw", MetricName="gw-hub", Statistic="Sum", Period=60, EvaluationPeriods=1,
                            Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold")
    for state in ("ALARM", "OK"):
        client.set_alarm_state(AlarmName="gw-hub", StateValue=state, StateReason="r")
    assert {one["detail"]["state"]["value"] for one in alerting.delivered(2)} == {"ALARM", "OK"}


def test_denied_secret_read_in_a_spoke_is_delivered_once(gateway: Gateway, alerting: Alerting) -> None:
    gateway.client("secretsmanager", SOURCE).create_secret(Name="gw-hub-denied", SecretString="s")
    unprivileged = gateway.as_role("secretsmanager", gateway.role("gw-hub-nobody", [], SOURCE))
    with pytest.raises(ClientError, match="AccessDenied"):
        unprivileged.get_secret_value(SecretId="gw-hub-denied")
    detail = alerting.delivered()[0]["detail"]
    assert detail["requestParameters"]["secretId"] == "gw-hub-denied"


def test_rejected_event_stays_in_the_hub(gateway: Gateway, alerting: Alerting) -> None:
    gateway.client("events", SOURCE).put_events(Entries=[
        {"Source": "gw-poison", "DetailType": "T", "Detail": json.dumps({"poison": poison})} for poison in (True, False)])
    assert alerting.delivered()[0]["detail"] == {"poison": False}
    client = gateway.client("sqs", HUB)
    kept = until(lambda: client.receive_message(QueueUrl=alerting.hub.outputs()["Lost"]).get("Messages"), "the event in the dead-letter queue")
    assert json.loads(kept[0]["Body"])["detail"] == {"poison": True}


def test_what_the_hub_does_not_take_is_kept_at_the_spoke(gateway: Gateway, alerting: Alerting) -> None:
    gateway.client("events", HUB).remove_permission(EventBusName="gw-alerts", RemoveAllPermissions=True)
    assert not alerting.lost()
    gateway.client("events", SOURCE).put_events(Entries=[{"Source": "gw-poison", "DetailType": "T", "Detail": "{}"}])
    kept = until(alerting.lost, "the event in the spoke's dead-letter queue")
    assert json.loads(kept[0]["Body"])["source"] == "gw-poison"
    assert not alerting.inbox()
