"""Topics: publishing, permissions and deliveries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, TARGET, Gateway, until
from endpoints import Endpoint, confirmed
from functions import function
from queues import Queue, make_queue
from stacks import Stack


@pytest.fixture
def endpoint(gateway: Gateway) -> Iterator[Endpoint]:
    with Endpoint(gateway) as found:
        yield found


def topic(gateway: Gateway, name: str, **attributes: str) -> str:
    arn: str = gateway.client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"]
    return arn


def subscribed(gateway: Gateway, name: str, arn: str, **attributes: Any) -> Queue:
    queue = make_queue(gateway, name, service="sns.amazonaws.com", source=arn)
    gateway.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes={
        key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()})
    return queue


def metric(gateway: Gateway, name: str, metric_name: str) -> bool:
    return bool(gateway.client("cloudwatch").list_metrics(Namespace="AWS/SNS", MetricName=metric_name, Dimensions=[
        {"Name": "TopicName", "Value": name}])["Metrics"])


def test_one_message_reaches_each_protocol_in_its_own_shape(gateway: Gateway, endpoint: Endpoint) -> None:
    client = gateway.client("sns")
    arn = topic(gateway, "gw-shapes")
    plain = subscribed(gateway, "gw-shapes-plain", arn)
    raw = subscribed(gateway, "gw-shapes-raw", arn, RawMessageDelivery="true")
    function(gateway, "gw-shapes", "def handler(event, context):\n    print('GOT', event['Records'][0]['Sns']['Message'])\n")
    lambda_arn = f"arn:aws:lambda:{REGION}:{TARGET}:function:gw-shapes"
    gateway.client("lambda").add_permission(FunctionName="gw-shapes", StatementId="s", Action="lambda:InvokeFunction",
                                            Principal="sns.amazonaws.com", SourceArn=arn)
    client.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=lambda_arn)
    client.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint.url)
    confirmed(gateway, arn)
    message = {"default": "text", "sqs": '{"for":"sqs"}', "http": '{"for":"http"}', "lambda": '{"for":"lambda"}'}
    identifier = client.publish(TopicArn=arn, Message=json.dumps(message), MessageStructure="json", Subject="A subject", MessageAttributes={
        "severity": {"DataType": "String", "StringValue": "high"}})["MessageId"]
    notification = plain.event()
    assert (notification["Message"], notification["Subject"], notification["MessageAttributes"]["severity"]["Value"]) == (
        message["sqs"], "A subject", "high")
    bare = raw.one()
    assert (bare["Body"], raw.attributes(bare)) == (message["sqs"], {"severity": "high"})
    headers, body = until(lambda: endpoint.received, "the request")[0]
    assert json.loads(body)["Message"] == message["http"]
    assert (headers["x-amz-sns-message-type"], headers["x-amz-sns-message-id"], headers["x-amz-sns-topic-arn"]) == (
        "Notification", identifier, arn)
    assert headers["x-amz-sns-subscription-arn"].startswith(arn)

    def got() -> bool:
        try:
            events = gateway.client("logs").filter_log_events(logGroupName="/aws/lambda/gw-shapes")["events"]
        except ClientError:
            return False
        return any(one["message"].strip() == f"GOT {message['lambda']}" for one in events)

    until(got, "the function's message")
    assert metric(gateway, "gw-shapes", "NumberOfNotificationsDelivered")


def test_filter_policies_look_at_attributes_or_at_the_body(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-filters")
    by_attribute = subscribed(gateway, "gw-filters-attribute", arn, FilterPolicy={"severity": ["high", {"prefix": "crit"}]})
    by_body = subscribed(gateway, "gw-filters-body", arn, FilterPolicy={"incident": {"account": ["1"]}}, FilterPolicyScope="MessageBody")
    client = gateway.client("sns")
    for severity, account in (("high", "2"), ("critical", "1"), ("low", "1")):
        client.publish(TopicArn=arn, Message=json.dumps({"incident": {"account": account, "severity": severity}}), MessageAttributes={
            "severity": {"DataType": "String", "StringValue": severity}})

    def severities(queue: Queue) -> list[str]:
        return [json.loads(json.loads(one["Body"])["Message"])["incident"]["severity"] for one in queue.take()]

    assert severities(by_attribute) == ["high", "critical"]
    assert severities(by_body) == ["critical", "low"]


@pytest.mark.parametrize("publication", [
    {"Subject": "x" * 101}, {"Subject": "line\nbreak"}, {"Subject": " blank first"}, {"Subject": "Grüße"},
    {"MessageStructure": "json", "Message": "{}"}, {"MessageStructure": "json", "Message": "no json"},
    {"MessageStructure": "json", "Message": '{"default": 1}'},
])
def test_what_sns_cannot_publish_is_refused(gateway: Gateway, publication: dict[str, str]) -> None:
    arn = topic(gateway, "gw-refused")
    with pytest.raises(ClientError, match="Invalid parameter"):
        gateway.client("sns").publish(**{"TopicArn": arn, "Message": "m", **publication})


def test_a_subject_of_a_hundred_characters_is_published(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-subject")
    queue = subscribed(gateway, "gw-subject", arn)
    gateway.client("sns").publish(TopicArn=arn, Message="m", Subject="[" + "x" * 99)
    assert len(queue.event()["Subject"]) == 100


def key(gateway: Gateway, *statements: dict[str, Any]) -> str:
    policy = [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}, "Action": "kms:*", "Resource": "*"}, *(
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*", **one} for one in statements)]
    arn: str = gateway.client("kms").create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": policy}))["KeyMetadata"]["Arn"]
    return arn


def test_a_publisher_needs_the_topics_key(gateway: Gateway) -> None:
    key_arn = key(gateway)
    arn = topic(gateway, "gw-key", KmsMasterKeyId=key_arn)
    queue = subscribed(gateway, "gw-key", arn)
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": arn}
    use = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key_arn,
           "Condition": {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": arn}}}
    able = gateway.as_role("sns", gateway.role("gw-key-able", [publish, use]))
    unable = gateway.as_role("sns", gateway.role("gw-key-unable", [publish]))
    able.publish(TopicArn=arn, Message="from able")
    with pytest.raises(ClientError, match="kms:GenerateDataKey") as refused:
        unable.publish(TopicArn=arn, Message="from unable")
    assert refused.value.response["Error"]["Code"] == "KMSAccessDenied"
    assert queue.event()["Message"] == "from able"


def test_topic_key_must_admit_eventbridge(gateway: Gateway) -> None:
    from queues import put_event, rule
    events = {"Principal": {"Service": "events.amazonaws.com"}}
    for name, key_arn, arrives in (("gw-key-events", key(gateway, events), True), ("gw-key-others", key(gateway), False)):
        arn = topic(gateway, name, KmsMasterKeyId=key_arn)
        gateway.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": arn, **events}]}))
        queue, lost = subscribed(gateway, name, arn), make_queue(gateway, f"{name}-dlq")
        rule(gateway, name, {"source": [name]}, [{"Arn": arn, "DeadLetterConfig": {"Arn": lost.arn}}])
        put_event(gateway, name)
        assert (len(queue.take()), len(lost.take())) == ((1, 0) if arrives else (0, 1))


def test_topic_of_a_template_keeps_its_key_and_default_policy(gateway: Gateway) -> None:
    def template(*keys: str) -> dict[str, Any]:
        return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {
            "TopicName": "gw-cfn-key", **({"KmsMasterKeyId": keys[0]} if keys else {})}}}}

    key_arn = key(gateway)
    arn = f"arn:aws:sns:{REGION}:{TARGET}:gw-cfn-key"
    client = gateway.client("sns")
    with Stack(gateway, "gw-cfn-key") as stack:
        assert stack.create(template(key_arn))["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        attributes = client.get_topic_attributes(TopicArn=arn)["Attributes"]
        assert attributes["KmsMasterKeyId"] == key_arn
        assert json.loads(attributes["Policy"])["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": TARGET}}
        assert stack.update(template())["StackStatus"] == "UPDATE_COMPLETE"
        assert "KmsMasterKeyId" not in client.get_topic_attributes(TopicArn=arn)["Attributes"]


def test_failing_endpoint_gets_the_message_after_retries(gateway: Gateway, endpoint: Endpoint) -> None:
    arn = topic(gateway, "gw-ill-endpoint")
    client = gateway.client("sns")
    client.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint.url)
    confirmed(gateway, arn)
    endpoint.statuses = [503, 429]
    identifier = client.publish(TopicArn=arn, Message="m")["MessageId"]
    until(lambda: len(endpoint.received) == 3, "the third try")
    assert {headers["x-amz-sns-message-id"] for headers, _ in endpoint.received} == {identifier}


@pytest.mark.parametrize(("name", "statuses", "tries"), [("gw-gone", [404], 1), ("gw-down", [500] * 4, 4)])
def test_rejected_message_goes_to_the_dead_letter_queue(gateway: Gateway, endpoint: Endpoint, name: str,
                                                                                     statuses: list[int], tries: int) -> None:
    arn = topic(gateway, name)
    client = gateway.client("sns")
    lost = make_queue(gateway, f"{name}-lost", service="sns.amazonaws.com", source=arn)
    client.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint.url, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": lost.arn})})
    confirmed(gateway, arn)
    endpoint.statuses = statuses
    client.publish(TopicArn=arn, Message="kept")
    assert lost.event("the message in the dead-letter queue")["Message"] == "kept"
    assert len(endpoint.received) == tries
    assert metric(gateway, name, "NumberOfNotificationsFailed")
    until(lambda: metric(gateway, name, "NumberOfNotificationsRedrivenToDlq"), "the metric")


def test_unadmitted_delivery_goes_to_the_dead_letter_queue(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-unadmitted")
    client = gateway.client("sns")
    lost = make_queue(gateway, "gw-unadmitted-lost", service="sns.amazonaws.com")
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": lost.arn})}
    encrypted = make_queue(gateway, "gw-unadmitted-key", service="sns.amazonaws.com", KmsMasterKeyId=key(gateway))
    closed = make_queue(gateway, "gw-unadmitted", service="s3.amazonaws.com")
    called = function(gateway, "gw-unadmitted", "def handler(event, context):\n    pass\n")
    for protocol, one in (("sqs", encrypted.arn), ("sqs", closed.arn), ("lambda", called)):
        client.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=one, Attributes=redrive)
    client.publish(TopicArn=arn, Message="m")
    found: list[Any] = []
    until(lambda: found.extend(lost.take()) or len(found) == 3, "three messages")  # type: ignore[func-returns-value]
    assert not encrypted.take()
    assert not closed.take()


def test_endpoint_of_a_template_gets_a_confirmation_request(gateway: Gateway, endpoint: Endpoint) -> None:
    with Endpoint(gateway) as inline, Stack(gateway, "gw-cfn-endpoint") as stack:
        made = stack.create({"Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"Subscription": [{"Protocol": "http", "Endpoint": inline.url}]}},
            "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {
                "TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": endpoint.url, "RawMessageDelivery": True}}},
            "Outputs": {"Topic": {"Value": {"Ref": "Topic"}}}})
        assert made["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        arn = stack.outputs()["Topic"]
        sns = gateway.client("sns")

        def both() -> bool:
            attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
            return attributes["SubscriptionsConfirmed"] == "2"

        until(both, "both subscriptions are confirmed")
        sns.publish(TopicArn=arn, Message="m")
        until(lambda: inline.received and endpoint.received, "both requests")
        assert (endpoint.received[0][1], endpoint.received[0][0]["x-amz-sns-rawdelivery"]) == ("m", "true")
        assert json.loads(inline.received[0][1])["Message"] == "m"


def closed_topic(gateway: Gateway, name: str, **condition: Any) -> str:
    """A topic that another account may subscribe to under a condition."""
    arn = topic(gateway, name)
    gateway.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"}, "Action": "sns:Subscribe", "Resource": arn,
            "Condition": condition}]}))
    return arn


def test_cross_account_subscribe_follows_the_topic_policy(gateway: Gateway) -> None:
    arn = closed_topic(gateway, "gw-across", StringEquals={"sns:Protocol": "sqs"}, StringLike={
        "sns:Endpoint": f"arn:aws:sqs:{REGION}:{SOURCE}:gw-across*"})
    mine = make_queue(gateway, "gw-across-mine", SOURCE, "sns.amazonaws.com", arn)
    other = make_queue(gateway, "gw-other", SOURCE, "sns.amazonaws.com", arn)
    client = gateway.client("sns", SOURCE)
    for protocol, endpoint in (("sqs", other.arn), ("http", "http://127.0.0.1:9/")):
        with pytest.raises(ClientError, match="AuthorizationError"):
            client.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
    assert client.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=mine.arn)["SubscriptionArn"].startswith(arn)
    gateway.client("sns").publish(TopicArn=arn, Message="m")
    assert mine.event()["Message"] == "m"


def test_queue_of_another_account_must_confirm_first(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-foreign")
    queue = make_queue(gateway, "gw-foreign", SOURCE, "sns.amazonaws.com", arn)
    client = gateway.client("sns")
    assert client.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"] == "pending confirmation"
    confirmation = queue.event()
    client.publish(TopicArn=arn, Message="too early")
    assert (confirmation["Type"], confirmation["TopicArn"], queue.take()) == ("SubscriptionConfirmation", arn, [])
    gateway.client("sns", SOURCE).confirm_subscription(TopicArn=arn, Token=confirmation["Token"])
    client.publish(TopicArn=arn, Message="m")
    assert queue.event()["Message"] == "m"


def test_template_cannot_confirm_for_another_account(gateway: Gateway) -> None:
    arn = topic(gateway, "gw-foreign-cfn")
    queue = make_queue(gateway, "gw-foreign-cfn", SOURCE, "sns.amazonaws.com", arn)
    with Stack(gateway, "gw-foreign-cfn") as stack:
        assert stack.create({"Resources": {"Mine": {"Type": "AWS::SNS::Subscription", "Properties": {
            "TopicArn": arn, "Protocol": "sqs", "Endpoint": queue.arn}}}})["StackStatus"] == "CREATE_COMPLETE"
        gateway.client("sns").publish(TopicArn=arn, Message="too early")
        assert queue.event()["Type"] == "SubscriptionConfirmation"
