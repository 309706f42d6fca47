"""Resource types of monitoring templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, SOURCE, TARGET, Gateway
from queues import make_queue
from stacks import Stack


def attribute(resource: str, name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [resource, name]}


def test_a_bus_with_its_policies_is_made_changed_and_deleted(gateway: Gateway) -> None:
    def template(account: str, dead_letters: str) -> dict[str, Any]:
        return {"Resources": {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "gw-cfn-bus", "DeadLetterConfig": {"Arn": dead_letters}}},
            "Policy": {"Type": "AWS::Events::EventBusPolicy", "Properties": {
                "EventBusName": {"Ref": "Bus"}, "StatementId": "spokes", "Statement": {
                    "Effect": "Allow", "Principal": {"AWS": account}, "Action": "events:PutEvents", "Resource": attribute("Bus", "Arn")}}},
            "Org": {"Type": "AWS::Events::EventBusPolicy", "Properties": {
                "EventBusName": {"Ref": "Bus"}, "StatementId": "org", "Action": "events:PutEvents", "Principal": "*",
                "Condition": {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-localcloud"}}}},
            "Outputs": {"Policy": {"Value": {"Ref": "Policy"}}}}

    client = gateway.client("events")

    def statements() -> dict[str, Any]:
        return {one["Sid"]: one["Principal"] for one in json.loads(client.describe_event_bus(Name="gw-cfn-bus")["Policy"])["Statement"]}

    with Stack(gateway, "gw-cfn-bus") as stack:
        queue = f"arn:aws:sqs:{REGION}:{TARGET}:lost"
        assert stack.create(template(SOURCE, queue))["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        assert stack.outputs()["Policy"] == "gw-cfn-bus|spokes"
        assert client.describe_event_bus(Name="gw-cfn-bus")["DeadLetterConfig"] == {"Arn": queue}
        assert statements() == {"spokes": {"AWS": SOURCE}, "org": "*"}
        assert stack.update(template("333333333333", f"{queue}-2"))["StackStatus"] == "UPDATE_COMPLETE"
        assert statements() == {"spokes": {"AWS": "333333333333"}, "org": "*"}
        assert client.describe_event_bus(Name="gw-cfn-bus")["DeadLetterConfig"] == {"Arn": f"{queue}-2"}
        assert stack.delete() == "DELETE_COMPLETE"
    assert "gw-cfn-bus" not in [one["Name"] for one in client.list_event_buses()["EventBuses"]]


@pytest.mark.parametrize(("properties", "reason"), [
    ({"EventPattern": {"source": [{"prefix": 1}]}}, "Event pattern is not valid"),
    ({"EventPattern": {"source": "text"}}, "Event pattern is not valid"),
    ({}, "must be specified"),
    ({"EventPattern": {"source": ["x"]}, "EventBusName": "gw-no-bus"}, "does not exist"),
    ({"EventPattern": {"source": ["x"]}, "Targets": [
        {"Id": "hub", "Arn": f"arn:aws:events:{REGION}:{SOURCE}:event-bus/default"}]}, "RoleArn is required"),
    ({"EventPattern": {"source": ["x"]}, "Targets": [
        {"Id": str(number), "Arn": f"arn:aws:sqs:{REGION}:{TARGET}:q"} for number in range(6)]}, "at most 5"),
])
def test_a_rule_that_eventbridge_refuses_fails_its_stack(gateway: Gateway, properties: dict[str, Any], reason: str) -> None:
    with Stack(gateway, "gw-cfn-bad-rule") as stack:
        made = stack.create({"Resources": {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}})
        assert made["StackStatus"] == "ROLLBACK_COMPLETE"
        assert reason in stack.reasons("CREATE_FAILED")[0]


def test_a_composite_alarm_follows_its_alarms_and_needs_them(gateway: Gateway) -> None:
    composite = {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {
        "AlarmName": "gw-cfn-composite", "AlarmDescription": "any", "AlarmActions": [],
        "AlarmRule": {"Fn::Sub": 'ALARM("${One}") OR ALARM("${Two}")'}}}
    one = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "Namespace": "gw", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold"}}
    client = gateway.client("cloudwatch")
    with Stack(gateway, "gw-cfn-composite") as stack:
        made = stack.create({"Resources": {"One": one, "Two": one, "Any": composite}, "Outputs": {
            "One": {"Value": {"Ref": "One"}}, "Arn": {"Value": attribute("Any", "Arn")}}})
        assert made["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        assert stack.outputs()["Arn"] == f"arn:aws:cloudwatch:{REGION}:{TARGET}:alarm:gw-cfn-composite"
        client.set_alarm_state(AlarmName=stack.outputs()["One"], StateValue="ALARM", StateReason="r")
        found = client.describe_alarms(AlarmNames=["gw-cfn-composite"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
        assert (found["StateValue"], found["AlarmDescription"]) == ("ALARM", "any")
        assert stack.delete() == "DELETE_COMPLETE", stack.reasons("DELETE_FAILED")
    with Stack(gateway, "gw-cfn-composite-alone") as stack:
        alone = {**composite, "Properties": {**composite["Properties"], "AlarmRule": "ALARM(gw-nothing)"}}
        assert stack.create({"Resources": {"Any": alone}})["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "do not exist" in stack.reasons("CREATE_FAILED")[0]


def trail_template(bucket_policy: bool) -> dict[str, Any]:
    statements = [
        {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "s3:GetBucketAcl", "Resource": "arn:aws:s3:::gw-cfn-trail"},
        {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "s3:PutObject",
         "Resource": f"arn:aws:s3:::gw-cfn-trail/AWSLogs/{SOURCE}/*",
         "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"},
                       "ArnLike": {"aws:SourceArn": f"arn:aws:cloudtrail:*:{SOURCE}:trail/*"}}}]
    return {"Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "gw-cfn-trail"}},
        **({"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {
            "Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}}} if bucket_policy else {}),
        "Trail": {"Type": "AWS::CloudTrail::Trail", "DependsOn": "Policy" if bucket_policy else "Bucket", "Properties": {
            "TrailName": "gw-cfn-trail", "S3BucketName": {"Ref": "Bucket"}, "IsLogging": True, "IsMultiRegionTrail": False,
            "EnableLogFileValidation": True, "EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]}}},
        "Outputs": {"Arn": {"Value": attribute("Trail", "Arn")}, "Name": {"Value": {"Ref": "Trail"}}}}


def test_a_trail_logs_as_its_template_says_and_needs_its_bucket(gateway: Gateway) -> None:
    client = gateway.client("cloudtrail", SOURCE)
    with Stack(gateway, "gw-cfn-trail", SOURCE) as stack:
        assert stack.create(trail_template(True))["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        assert stack.outputs() == {"Name": "gw-cfn-trail", "Arn": f"arn:aws:cloudtrail:{REGION}:{SOURCE}:trail/gw-cfn-trail"}
        assert client.get_trail_status(Name="gw-cfn-trail")["IsLogging"]
        assert client.get_trail(Name="gw-cfn-trail")["Trail"]["LogFileValidationEnabled"]
        assert client.get_event_selectors(TrailName="gw-cfn-trail")["EventSelectors"][0]["ReadWriteType"] == "WriteOnly"
        stopped = trail_template(True)
        stopped["Resources"]["Trail"]["Properties"]["IsLogging"] = False
        assert stack.update(stopped)["StackStatus"] == "UPDATE_COMPLETE"
        assert not client.get_trail_status(Name="gw-cfn-trail")["IsLogging"]
        assert stack.delete() == "DELETE_COMPLETE"
    assert not client.describe_trails(trailNameList=["gw-cfn-trail"])["trailList"]
    with Stack(gateway, "gw-cfn-trail-closed", SOURCE) as stack:
        assert stack.create(trail_template(False))["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "Incorrect S3 bucket policy" in stack.reasons("CREATE_FAILED")[0]


def test_a_table_has_its_time_to_live_encryption_and_recovery(gateway: Gateway) -> None:
    def template(**more: Any) -> dict[str, Any]:
        return {"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {
            "TableName": "gw-cfn-table", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}], **more}}}}

    client = gateway.client("dynamodb")
    with Stack(gateway, "gw-cfn-table") as stack:
        made = stack.create(template(
            TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True}, SSESpecification={"SSEEnabled": True, "SSEType": "KMS"},
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}))
        assert made["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        life = client.describe_time_to_live(TableName="gw-cfn-table")["TimeToLiveDescription"]
        assert life == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
        assert client.describe_table(TableName="gw-cfn-table")["Table"]["SSEDescription"]["SSEType"] == "KMS"
        backups = client.describe_continuous_backups(TableName="gw-cfn-table")["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        assert stack.update(template())["StackStatus"] == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
        assert client.describe_time_to_live(TableName="gw-cfn-table")["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
        assert "SSEDescription" not in client.describe_table(TableName="gw-cfn-table")["Table"]


def test_database_events_reach_matching_subscriptions(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-databases", service="sns.amazonaws.com")
    template = {"Resources": {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "gw-databases", "Subscription": [
            {"Protocol": "sqs", "Endpoint": queue.arn}]}},
        "Policy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": ["events.rds.amazonaws.com", "redshift.amazonaws.com"]},
                "Action": "sns:Publish", "Resource": {"Ref": "Topic"}, "Condition": {"StringEquals": {"aws:SourceAccount": TARGET}}}]}}},
        "Rds": {"Type": "AWS::RDS::EventSubscription", "Properties": {
            "SnsTopicArn": {"Ref": "Topic"}, "SourceType": "db-instance", "EventCategories": ["failure"]}},
        "Redshift": {"Type": "AWS::Redshift::EventSubscription", "Properties": {
            "SubscriptionName": "gw-clusters", "SnsTopicArn": {"Ref": "Topic"}, "SourceType": "cluster", "SourceIds": ["mine"],
            "Severity": "ERROR"}}}}

    def happens(service: str, source_type: str, source: str, category: str, severity: str = "ERROR") -> int:
        status, answer = gateway.call("POST", "database-event", {
            "service": service, "account": TARGET, "source_type": source_type, "source": source, "event_id": f"{service.upper()}-EVENT-2001", "message": "it happened",
            "categories": [category], "severity": severity})
        assert status == 200, answer
        return int(answer["published"])

    with Stack(gateway, "gw-databases") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        assert [happens("rds", "db-instance", "db", "failure"), happens("rds", "db-instance", "db", "backup"),
                happens("rds", "db-cluster", "db", "failure")] == [1, 0, 0]
        notification = queue.event()
        assert (notification["Subject"], json.loads(notification["Message"])["Source ID"]) == ("RDS Notification Message", "db")
        assert [happens("redshift", "cluster", "mine", "management"), happens("redshift", "cluster", "other", "management"),
                happens("redshift", "cluster", "mine", "management", "INFO")] == [1, 0, 0]
        message = json.loads(queue.event()["Message"])
        assert (message["Resource"], message["Severity"], message["Category"]) == ("mine", "ERROR", ["Management"])
    assert happens("rds", "db-instance", "db", "failure") == 0


def test_a_change_set_adds_and_removes_what_a_condition_decides(gateway: Gateway) -> None:
    client = gateway.client("cloudformation")
    template = {
        "Parameters": {"Two": {"Type": "String", "Default": "no"}}, "Conditions": {"HasTwo": {"Fn::Equals": [{"Ref": "Two"}, "yes"]}},
        "Resources": {"One": {"Type": "AWS::SQS::Queue"}, "Two": {"Type": "AWS::SQS::Queue", "Condition": "HasTwo"}}}

    def changed(two: str, name: str) -> tuple[str, list[tuple[str, str]]]:
        client.create_change_set(StackName="gw-conditions", ChangeSetName=name, TemplateBody=json.dumps(template), Parameters=[
            {"ParameterKey": "Two", "ParameterValue": two}])
        found = client.describe_change_set(StackName="gw-conditions", ChangeSetName=name)
        return found["Status"], [(one["ResourceChange"]["Action"], one["ResourceChange"]["LogicalResourceId"]) for one in found["Changes"]]

    with Stack(gateway, "gw-conditions") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE"
        assert changed("no", "same") == ("FAILED", [])
        assert changed("yes", "more") == ("CREATE_COMPLETE", [("Add", "Two")])
        client.execute_change_set(StackName="gw-conditions", ChangeSetName="more")
        assert stack.settled()["StackStatus"] == "UPDATE_COMPLETE"
        assert changed("no", "less") == ("CREATE_COMPLETE", [("Remove", "Two")])
