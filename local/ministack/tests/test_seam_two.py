"""Seam 2: the gateway's API for sluice-redshift."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import SOURCE, TARGET, Gateway, until
from stub_redshift import StubRedshift

NAMESPACE = f"arn:aws:redshift:us-east-1:{TARGET}:namespace:11111111-2222-3333-4444-555555555555"
ACTION = "redshift:CreateInboundIntegration"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(account: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": ACTION, "Resource": NAMESPACE, **more}


def authorize(gateway: Gateway, access_key: str, resource_policy: str | None, **context: str) -> dict[str, Any]:
    status, answer = gateway.call("POST", "authorize", {
        "access_key": access_key, "action": ACTION, "resource": NAMESPACE, "region": "us-east-1", "context": context,
        "resource_policy": resource_policy, "resource_account": TARGET})
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


def test_across_accounts_both_policies_must_allow(gateway: Gateway) -> None:
    granted = gateway.role("gw-cross-yes", [{"Effect": "Allow", "Action": ACTION, "Resource": NAMESPACE}], SOURCE)["AccessKeyId"]
    bare = gateway.role("gw-cross-no", [], SOURCE)["AccessKeyId"]
    opened = policy(allow(SOURCE))
    assert authorize(gateway, granted, opened) == {"allowed": True, "message": ""}
    refused = authorize(gateway, granted, None)
    assert not refused["allowed"]
    assert refused["message"] == (
        f"User: arn:aws:sts::{SOURCE}:assumed-role/gw-cross-yes/test is not authorized to perform: {ACTION} on resource: {NAMESPACE} "
        f"because no resource-based policy allows the {ACTION} action")
    refused = authorize(gateway, bare, opened)
    assert f"because no identity-based policy allows the {ACTION} action" in refused["message"]


def test_in_the_resources_account_either_policy_is_enough(gateway: Gateway) -> None:
    granted = gateway.role("gw-same-yes", [{"Effect": "Allow", "Action": ACTION, "Resource": NAMESPACE}])["AccessKeyId"]
    assert authorize(gateway, granted, None)["allowed"]
    bare = gateway.role("gw-same-no", [])
    assert not authorize(gateway, bare["AccessKeyId"], None)["allowed"]
    named = policy({**allow(TARGET), "Principal": {"AWS": bare["Arn"]}})
    assert authorize(gateway, bare["AccessKeyId"], named)["allowed"]


def test_an_explicit_deny_wins_over_every_allow(gateway: Gateway) -> None:
    key = gateway.role("gw-denied", [{"Effect": "Allow", "Action": "*", "Resource": "*"}], SOURCE)["AccessKeyId"]
    refused = authorize(gateway, key, policy(allow(SOURCE), {**allow(SOURCE), "Effect": "Deny"}))
    assert "with an explicit deny in a resource-based policy" in refused["message"]


def test_principal_arn_condition_has_the_role_arn(gateway: Gateway) -> None:
    role = gateway.role("gw-arn", [{"Effect": "Allow", "Action": ACTION, "Resource": NAMESPACE}], SOURCE)
    this = policy(allow(SOURCE, Condition={"ArnEquals": {"aws:PrincipalArn": role["Arn"]}}))
    other = policy(allow(SOURCE, Condition={"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{SOURCE}:role/other"}}))
    assert authorize(gateway, role["AccessKeyId"], this)["allowed"]
    assert not authorize(gateway, role["AccessKeyId"], other)["allowed"]


def test_conditions_see_the_context_of_the_request(gateway: Gateway) -> None:
    guarded = policy(allow(SOURCE, Condition={"StringEquals": {"aws:SourceArn": "arn:aws:s3:::bucket-a"}}))
    assert authorize(gateway, SOURCE, guarded, **{"aws:SourceArn": "arn:aws:s3:::bucket-a"})["allowed"]
    assert not authorize(gateway, SOURCE, guarded, **{"aws:SourceArn": "arn:aws:s3:::bucket-b"})["allowed"]


def test_service_principal_needs_the_resource_policy_only(gateway: Gateway) -> None:
    def authorize_service(document: str | None, account: str) -> dict[str, Any]:
        found: dict[str, Any] = gateway.call("POST", "authorize-service", {
            "service": "redshift.amazonaws.com", "action": "s3:GetBucketNotification", "resource": "arn:aws:s3:::b",
            "context": {"aws:SourceAccount": account}, "resource_policy": document})[1]
        return found

    opened = policy({"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"}, "Action": "s3:GetBucketNotification",
                     "Resource": "arn:aws:s3:::b", "Condition": {"StringEquals": {"aws:SourceAccount": SOURCE}}})
    assert authorize_service(opened, SOURCE)["allowed"]
    assert not authorize_service(opened, TARGET)["allowed"]
    assert "Service: redshift.amazonaws.com is not authorized to perform: s3:GetBucketNotification" in authorize_service(None, SOURCE)["message"]


def test_an_unknown_access_key_is_refused(gateway: Gateway) -> None:
    assert not authorize(gateway, "AKIANOBODY0000000000", None)["allowed"]


@pytest.mark.parametrize("body", [{"access_key": "1"}, {"access_key": 1, "action": "a", "resource": "r"}])
def test_a_request_without_its_fields_is_answered_by_a_sentence(gateway: Gateway, body: dict[str, Any]) -> None:
    status, answer = gateway.call("POST", "authorize", body)
    assert status == 400 and "must be a text" in answer["message"]


def test_unsigned_call_of_the_stand_in_runs_as_its_caller(gateway: Gateway) -> None:
    arn = gateway.client("secretsmanager").create_secret(Name="gw-acting", SecretString="{}")["ARN"]
    reader = gateway.role("gw-acting", [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}])
    stranger = gateway.role("gw-acting-not", [])

    def read(key: str) -> Any:
        return gateway.raw("POST", gateway.url + "/", body=json.dumps({"SecretId": arn}).encode(), headers={
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue",
            "X-Amz-Date": "20260101T000000Z", "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/secretsmanager/aws4_request, "
                             f"SignedHeaders=host, Signature={'0' * 64}"})

    assert read(reader["AccessKeyId"]).status == 200
    refused = read(stranger["AccessKeyId"])
    assert refused.status >= 400 and b"secretsmanager:GetSecretValue" in refused.data


def test_a_client_with_a_wrong_secret_is_still_refused(gateway: Gateway) -> None:
    role = gateway.role("gw-wrong-secret", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    client = gateway.as_role("sqs", {**role, "SecretAccessKey": "wrong"})
    with pytest.raises(client.exceptions.ClientError, match="SignatureDoesNotMatch|InvalidSignature"):
        client.list_queues()


def test_bucket_of_any_account_is_described(gateway: Gateway) -> None:
    s3 = gateway.client("s3", SOURCE)
    s3.create_bucket(Bucket="gw-described")
    assert gateway.call("POST", "bucket", {"bucket": "gw-described"})[1] == {
        "account": SOURCE, "region": "us-east-1", "policy": None, "notifications": {}}
    arn = f"arn:aws:redshift:us-east-1:{SOURCE}:integration:aaaaaaaa-0000-0000-0000-000000000000"
    change = {"bucket": "gw-described", "integration_arn": arn}
    assert gateway.call("POST", "bucket-notification", {**change, "operation": "add"}) == (200, {})
    entry = gateway.call("POST", "bucket", {"bucket": "gw-described"})[1]["notifications"]["QueueConfigurations"]
    assert [(one["Id"], one["Events"]) for one in entry] == [(arn, ["s3:ObjectCreated:*"])]
    assert s3.get_bucket_notification_configuration(Bucket="gw-described")["QueueConfigurations"][0]["Id"] == arn
    assert gateway.call("POST", "bucket-notification", {**change, "operation": "remove"}) == (200, {})
    assert gateway.call("POST", "bucket", {"bucket": "gw-described"})[1]["notifications"] == {}
    assert gateway.call("POST", "bucket", {"bucket": "gw-absent"})[0] == 404
    assert gateway.call("POST", "bucket-notification", {**change, "operation": "both"})[0] == 400


def test_s3_events_arrive_in_order_with_matching_integrations(gateway: Gateway, redshift: StubRedshift) -> None:
    s3 = gateway.client("s3", SOURCE, region="eu-west-1")
    s3.create_bucket(Bucket="gw-events", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    arn = f"arn:aws:redshift:eu-west-1:{SOURCE}:integration:bbbbbbbb-0000-0000-0000-000000000000"
    gateway.call("POST", "bucket-notification", {"bucket": "gw-events", "integration_arn": arn, "operation": "add"})
    for number in range(20):
        s3.put_object(Bucket="gw-events", Key=f"in/{number:02}", Body=b"x" * number)
    # A writer narrows Redshift's entry, then another wipes it.
    narrowed = s3.get_bucket_notification_configuration(Bucket="gw-events")["QueueConfigurations"][0]
    narrowed["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    s3.put_bucket_notification_configuration(Bucket="gw-events", NotificationConfiguration={"QueueConfigurations": [narrowed]})
    s3.put_object(Bucket="gw-events", Key="out/1", Body=b"")
    s3.put_bucket_notification_configuration(Bucket="gw-events", NotificationConfiguration={})
    s3.put_object(Bucket="gw-events", Key="in/wiped", Body=b"")

    def events() -> list[dict[str, Any]]:
        return [one for one in redshift.events if one["bucket"] == "gw-events"]

    until(lambda: len(events()) == 22, "22 events")
    seen = events()
    assert [one["key"] for one in seen] == [f"in/{number:02}" for number in range(20)] + ["out/1", "in/wiped"]
    assert sorted(one["sequencer"] for one in seen) == [one["sequencer"] for one in seen]
    assert [one["integrations"] for one in seen] == [[arn]] * 20 + [[], []]
    first = seen[3]
    assert (first["account"], first["region"], first["size"], first["event_name"]) == (SOURCE, "eu-west-1", 3, "ObjectCreated:Put")


def test_service_event_reaches_the_default_bus(gateway: Gateway) -> None:
    sqs, rules = gateway.client("sqs"), gateway.client("events")
    url = sqs.create_queue(QueueName="gw-bus")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{TARGET}:gw-bus"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn})})
    rules.put_rule(Name="gw-bus", EventPattern=json.dumps({"source": ["aws.redshift-data"]}))
    rules.put_targets(Rule="gw-bus", Targets=[{"Id": "1", "Arn": arn}])
    event = {"account": TARGET, "region": "us-east-1", "source": "aws.redshift-data",
             "detail_type": "Redshift Data Statement Status Change", "resources": ["arn:r"], "detail": {"state": "FINISHED"}}
    assert gateway.call("POST", "event", event) == (200, {})
    message = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the event")[0]
    body = json.loads(message["Body"])
    assert (body["detail-type"], body["account"], body["detail"]) == (event["detail_type"], TARGET, {"state": "FINISHED"})


def test_an_unknown_path_is_404(gateway: Gateway) -> None:
    assert gateway.call("POST", "nothing", {})[0] == 404
