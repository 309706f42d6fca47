"""Requests and answers of deployed functions against the service models of botocore."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from conftest import REGION, Gateway
from functions import function
from planted_requests import Planted, planted
from sluice_ministack.contracts import answers, model, requests, rules
from sluice_ministack.contracts.check import problems_of
from stub_redshift import StubRedshift

# Sends the request of its event, signed with the credentials that Lambda gave it, or with those of `role`.
SENDER = '''
import json, os, urllib.error, urllib.request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

def send(one, credentials):
    url = os.environ["AWS_ENDPOINT_URL"] + one.get("path", "/")
    request = AWSRequest(one.get("method", "POST"), url, data=one.get("body", "").encode(), headers=one.get("headers", {}))
    SigV4Auth(credentials, one["signing"], "us-east-1").add_auth(request)
    prepared = request.prepare()
    try:
        with urllib.request.urlopen(urllib.request.Request(prepared.url, prepared.body or None, dict(prepared.headers),
                                                           method=prepared.method)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()

def handler(event, context):
    own = Credentials(*[os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")])
    if "role" in event:
        import boto3
        found = boto3.client("sts", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).assume_role(
            RoleArn=event["role"], RoleSessionName="elsewhere")["Credentials"]
        own = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    return send(event, own)
'''
NAME = "gw-contracts"
OURS = ("cloudformation", "dynamodb", "elasticache", "kafka", "kms", "redshift", "redshift-data", "redshift-serverless", "s3",
        "secretsmanager", "sns", "sqs", "states", "sts")


@pytest.fixture(scope="module")
def sender(gateway: Gateway) -> Iterator[str]:
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    function(gateway, NAME, SENDER, everything)
    yield NAME
    gateway.client("lambda").delete_function(FunctionName=NAME)


def _send(gateway: Gateway, event: dict[str, Any]) -> tuple[int, str]:
    answer = gateway.client("lambda").invoke(FunctionName=NAME, Payload=json.dumps(event))
    status, body = json.loads(answer["Payload"].read())
    return status, body


def _json(service: str, target: str, body: Any, version: str = "1.1") -> dict[str, Any]:
    return {"signing": service, "body": json.dumps(body),
            "headers": {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target}}


@pytest.mark.parametrize("wrong", planted(), ids=lambda wrong: f"{wrong.service}-{wrong.name.replace(' ', '-')}")
def test_planted_request_is_refused_and_named(gateway: Gateway, sender: str, wrong: Planted) -> None:
    status, body = _send(gateway, {name: getattr(wrong, name) for name in ("signing", "body", "method", "path", "headers")})
    assert status == 400, body
    breach, = gateway.take_breaches()
    assert (breach["side"], breach["sender"], breach["service"], breach["operation"]) == (
        "request", f"function {NAME}", wrong.service, wrong.operation)
    assert breach["member"] == wrong.member
    assert wrong.found in breach["found"] and wrong.expected in breach["expected"], breach
    assert breach["sentence"] == (f"request of function {NAME} to {wrong.service} {wrong.operation}: {breach['member']}: "
                                  f"found {breach['found']}, expected {breach['expected']}")
    assert wrong.found in body, "the refusal names the reason"
    assert wrong.headers.get("Content-Type", "").startswith("application/x-www") or wrong.service == "s3" or json.loads(body)["message"]


def test_a_breach_fails_the_test_with_its_sentence(gateway: Gateway, sender: str) -> None:
    before = gateway.call("GET", "breaches")[1]["compared"].get("secretsmanager GetRandomPassword", 0)
    assert _send(gateway, _json("secretsmanager", "secretsmanager.GetRandomPassword", {}))[0] == 200
    assert gateway.call("GET", "breaches")[1]["compared"]["secretsmanager GetRandomPassword"] == before + 1
    _send(gateway, _json("secretsmanager", "secretsmanager.DescribeSecret", {"SecretName": "one"}))
    with pytest.raises(AssertionError) as failed:
        gateway.expect_no_breaches()
    assert f"request of function {NAME} to secretsmanager DescribeSecret: SecretName: found an unknown member, expected one of SecretId" in str(
        failed.value)
    assert "SecretId: found nothing, expected a value, because the member is required" in str(failed.value)
    gateway.expect_no_breaches()


def test_session_that_a_function_assumed_is_the_functions(gateway: Gateway, sender: str) -> None:
    role = gateway.role("gw-contracts-elsewhere", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])["Arn"]
    request = _json("sqs", "AmazonSQS.GetQueueAttributes", {"QueueUrl": "http://127.0.0.1/1/q", "AttributeNames": ["Size"]}, "1.0")
    assert _send(gateway, {**request, "role": role})[0] == 400
    breach, = gateway.take_breaches()
    assert (breach["sender"], breach["member"], breach["found"]) == (f"function {NAME}", "AttributeNames[0]", "'Size'")


def test_requests_of_others_are_not_checked(gateway: Gateway, sender: str) -> None:
    with pytest.raises(Exception, match="."):
        gateway.client("sqs").get_queue_attributes(QueueUrl="http://127.0.0.1/1/q", AttributeNames=["Size"])
    assert gateway.take_breaches() == []


@pytest.mark.parametrize(("agent", "signed", "sender_", "status"), [
    ("aws-cli/2.31.0 md/Botocore", "host", "the AWS CLI", 200), ("Boto3/1.4 md/x aws-sam-cli/1.150", "host", "the SAM CLI", 200),
    ("aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0", "host;x-amz-date", "the AWS SDK for Rust in a test", 400)])
def test_requests_of_deployments_and_tests_are_recorded(gateway: Gateway, agent: str, signed: str, sender_: str, status: int) -> None:
    request = {"Action": "DescribeStacks", "Version": "2010-05-15", "StackNames": "one"}
    answer = gateway.raw("POST", gateway.url, body=urlencode(request), headers={
        "Content-Type": "application/x-www-form-urlencoded", "User-Agent": agent,
        "Authorization": f"AWS4-HMAC-SHA256 Credential=222222222222/20260101/{REGION}/cloudformation/aws4_request, SignedHeaders={signed}, Signature=x"})
    assert answer.status == status
    breach, = gateway.take_breaches()
    assert breach["sentence"] == (f"request of {sender_} to cloudformation DescribeStacks: StackNames: found an unknown member, "
                                  "expected one of NextToken, StackName")


def test_passwords_are_not_shown(gateway: Gateway, sender: str) -> None:
    # Two breaches about values that are secret.
    for event in (_json("secretsmanager", "secretsmanager.PutSecretValue", {"SecretId": "s", "SecretString": "", "ClientRequestToken": "t" * 40}),
                  {"signing": "redshift", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": urlencode({
                      "Action": "ModifyCluster", "Version": "2012-12-01", "ClusterIdentifier": "c", "MasterUserPassword": "lower-case-1"})}):
        _send(gateway, event)
    text = json.dumps(gateway.take_breaches())
    assert "at least 1 characters" in text and "a text of 12 characters" in text
    assert "lower-case-1" not in text


def test_answer_of_a_wrong_shape_is_a_breach(gateway: Gateway, redshift: StubRedshift, sender: str) -> None:
    described = _json("redshift-data", "RedshiftData.DescribeStatement", {"Id": "12345678-1234-1234-1234-123456789012"})
    redshift.answers["DescribeStatement"] = {"Id": 7, "Status": "DONE", "Rows": 1}
    try:
        assert _send(gateway, described)[0] == 200
        # The same answer to anybody else is the local cloud's own affair.
        gateway.client("redshift-data").describe_statement(Id="12345678-1234-1234-1234-123456789012")
    finally:
        redshift.answers.clear()
    found = {one["member"]: one for one in gateway.take_breaches()}
    assert {name: (one["side"], one["found"], one["times"]) for name, one in found.items()} == {
        "Id": ("answer", "a number", 1), "Status": ("answer", "'DONE'", 1), "Rows": ("answer", "an unknown member", 1)}
    assert found["Status"]["sentence"].startswith(f"answer to function {NAME} from redshift-data DescribeStatement: Status: found 'DONE', expected one of ABORTED")


@pytest.mark.parametrize(("signed", "operation", "body", "found"), [
    ("redshift", "DescribeClusters", "<DescribeClustersResponse><DescribeClustersResult><Clusters><Cluster><State>available</State>"
     "<NumberOfNodes>two</NumberOfNodes></Cluster></Clusters></DescribeClustersResult></DescribeClustersResponse>",
     {"Clusters[0].State": "an unknown member", "Clusters[0].NumberOfNodes": "a text"}),
    ("redshift", "DescribeClusters", "<DescribeClusterResponse/>", {"the root element": "DescribeClusterResponse"}),
    ("redshift", "DescribeClusters", "<DescribeClustersResponse><DescribeClustersResult><Clusters><member/></Clusters>"
     "</DescribeClustersResult></DescribeClustersResponse>", {"Clusters": "the elements member"}),
    ("s3", "ListObjectsV2", "<ListBucketResult><Contents><Key>a</Key><Size>large</Size></Contents></ListBucketResult>", {"Contents[0].Size": "a text"}),
    ("s3", "GetBucketLocation", "<LocationConstraint>us-north-9</LocationConstraint>", {"LocationConstraint": "'us-north-9'"}),
    ("kafka", "ListScramSecrets", '{"secretArnList": "one"}', {"SecretArnList": "a text"}),
    ("dynamodb", "BatchGetItem", '{"Responses": {}, "UnprocessedKeys": {}}', {}),
    ("cloudformation", "DescribeStackEvents", "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents><member><StackId>i</StackId>"
     "<EventId>e</EventId><StackName>n</StackName><Timestamp>2026-01-01T00:00:00Z</Timestamp><ResourceStatus>REVIEW_IN_PROGRESS</ResourceStatus>"
     "</member></StackEvents></DescribeStackEventsResult></DescribeStackEventsResponse>", {}),
    ("secretsmanager", "DescribeSecret", '{"LastChangedDate": "yesterday"}', {"LastChangedDate": "a text"}),
    ("secretsmanager", "DescribeSecret", "<html>", {"the body": "a text that is not JSON"}),
])
def test_answers_of_every_protocol_are_compared(signed: str, operation: str, body: str, found: dict[str, str]) -> None:
    service = model.service_of(signed)
    assert service is not None
    called = service.operation(operation)
    assert called is not None
    problems = answers.problems(called, {}, body.encode(), service.protocol == "query")
    assert {one.member: one.found for one in problems} == found


def test_error_that_an_operation_does_not_have_is_a_breach(gateway: Gateway, redshift: StubRedshift, sender: str) -> None:
    described = {"signing": "redshift", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": urlencode({
        "Action": "DescribeClusters", "Version": "2012-12-01", "ClusterIdentifier": "gw-contracts-none"})}
    assert _send(gateway, described)[0] == 404
    assert gateway.take_breaches() == [], "ClusterNotFound is an error of DescribeClusters"
    redshift.faults["DescribeClusters"] = "ClusterNotFoundFault"
    try:
        _send(gateway, described)
    finally:
        redshift.faults.clear()
    breach, = gateway.take_breaches()
    assert (breach["side"], breach["member"], breach["found"]) == ("answer", "the error code", "'ClusterNotFoundFault'")
    assert "ClusterNotFound, InvalidTagFault" in breach["expected"]

    gateway.call("POST", "fault", {"action": "redshift:DescribeClusters", "code": "Anything"})
    assert _send(gateway, described)[0] == 500
    assert gateway.take_breaches() == [], "an injected failure is the test's own"


@pytest.mark.parametrize(("signed", "operation", "headers", "body", "known"), [
    ("secretsmanager", "GetSecretValue", {}, '{"__type": "com.amazonaws.secretsmanager#ResourceNotFoundException"}', True),
    ("secretsmanager", "GetSecretValue", {}, '{"__type": "SecretNotFound"}', False),
    ("secretsmanager", "GetSecretValue", {}, '{"__type": "AccessDeniedException"}', True),
    ("kafka", "ListScramSecrets", {"x-amzn-errortype": "NotFoundException:http://internal"}, "{}", True),
    ("elasticache", "ModifyUser", {}, "<ErrorResponse><Error><Code>InvalidUserState</Code></Error></ErrorResponse>", True),
    ("elasticache", "ModifyUser", {}, "<ErrorResponse><Error><Code>InvalidUserStateFault</Code></Error></ErrorResponse>", False),
    ("dynamodb", "Query", {}, "<html>", False),
])
def test_error_codes_are_those_of_the_model(signed: str, operation: str, headers: dict[str, str], body: str, known: bool) -> None:
    service = model.service_of(signed)
    assert service is not None and (called := service.operation(operation)) is not None
    assert (answers.error_problems(called, headers, body.encode(), service.protocol == "query") == []) == known


def _value(draw: random.Random, shape: Any, depth: int = 0) -> Any:
    """A value of a shape of botocore, with some of its optional members."""
    limits = shape.metadata
    if shape.type_name == "structure":
        if shape.is_document_type:
            return {"key": 1}
        names, union = list(shape.members), shape.is_tagged_union or shape.name == "AttributeValue"
        required = [draw.choice(names)] if union else shape.required_members
        optional = [] if union or depth > 4 else [name for name in names if draw.random() < 0.5]
        return {name: _value(draw, shape.members[name], depth + 1) for name in names if name in required or name in optional}
    if shape.type_name == "list":
        return [_value(draw, shape.member, depth + 1) for _ in range(max(limits.get("min", 1), 1))]
    if shape.type_name == "map":
        return {_value(draw, shape.key): _value(draw, shape.value, depth + 1)}
    if shape.type_name == "string":
        size = max(1, min(limits.get("min", 1) + 3, limits.get("max", 99)))
        return draw.choice(shape.enum) if shape.enum else "".join(draw.choice("abcdef0123") for _ in range(size))
    if shape.type_name in ("integer", "long"):
        return max(limits.get("min", 1), 1)
    fixed: dict[str, Any] = {"float": 1.0, "double": 1.0, "boolean": True, "blob": b"bytes", "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5)}
    return fixed[shape.type_name]


def _without_empty(value: Any) -> Any:
    """A value without what a Query request cannot say: objects and lists without members."""
    if isinstance(value, dict):
        return {name: left for name, one in value.items() if (left := _without_empty(one)) not in ({}, [])}
    return [left for one in value if (left := _without_empty(one)) not in ({}, [])] if isinstance(value, list) else value


def _request_of(serialized: dict[str, Any], signed: str) -> requests.Request:
    path, _, query = serialized["url_path"].partition("?")
    parameters = parse_qs(query, keep_blank_values=True)
    given = serialized["query_string"]
    for name, value in given.items() if isinstance(given, dict) else given:
        parameters.setdefault(name, []).extend([str(one) for one in value] if isinstance(value, list) else [str(value)])
    body = serialized["body"] or b""
    body = urlencode(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    headers = {name.lower(): str(value) for name, value in serialized["headers"].items()}
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=KEY/20260101/{REGION}/{signed}/aws4_request, SignedHeaders=host"
    return requests.Request(serialized["method"], unquote(path), headers, parameters, body)


@pytest.mark.parametrize("signed", (*OURS, "lambda", "scheduler", "logs", "events"))
def test_right_requests_of_every_operation_pass(signed: str) -> None:
    service = model.service_of(signed)
    assert service is not None
    draw, theirs = random.Random(4711), ServiceModel(Loader().load_service_model(service.name, "service-2"), service.name)
    serializer = create_serializer(service.protocol, False)
    for operation in service.operations:
        if operation.deprecated or operation.name == "ListDirectoryBuckets":  # the same address as another operation
            continue
        shape = theirs.operation_model(operation.name).input_shape
        value = _value(draw, shape) if shape else {}
        if service.protocol == "query" and _without_empty(value) != value:
            continue
        call = requests.decode(_request_of(serializer.serialize_to_request(value, theirs.operation_model(operation.name)), signed))
        assert call.operation is operation, f"{operation.name} taken for {call.name}"
        problems = call.problems + (problems_of(call.parameters, operation.input) if operation.input else [])
        # The values are not drawn by patterns.
        assert [one for one in problems if "matches" not in one.expected] == [], operation.name


def test_every_pattern_of_our_services_is_understood() -> None:
    unknown = set()
    for signed in OURS:
        service = model.service_of(signed)
        assert service is not None
        unknown |= {f"{signed} {name}" for name, raw in service.raw["shapes"].items()
                    if "pattern" in raw and model.pattern_of(raw["pattern"]) is None}
    # Surrogates, which Python's texts do not have; a parameter of UpdateTable.
    assert unknown == {"dynamodb AutoScalingRoleArn"}


@pytest.mark.parametrize(("pattern", "matching", "other"), [
    (r"[\w-_]*", "a-b_c", "a b"), (r"\p{ASCII}*", "plain", "ä"), (r"[\p{L}\p{N}_.-]+", "Größe_1", "a b"),
    (r"[\u0020-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+", "a😀", "\x01"), (r"^[a-z0-9-]+$", "a-1", "a-1\n"), (r"[a-z]+", "abc", "abc1")])
def test_patterns_mean_what_they_mean_in_java(pattern: str, matching: str, other: str) -> None:
    compiled = model.pattern_of(pattern)
    assert compiled is not None
    assert compiled.fullmatch(matching) and not compiled.fullmatch(other)


def test_rules_name_known_members_and_their_source() -> None:
    assert rules.everything()
    for (name, operation), found in rules.everything().items():
        service = model.service_of("states" if name == "stepfunctions" else name)
        assert service is not None and (known := service.operation(operation)) is not None and known.input is not None, f"{name} {operation}"
        for rule in found:
            assert len(rule["source"]) > 20, f"{name} {operation}: no source"
            keys = set(rule) - {"service", "operations", "kind", "source"}
            assert keys <= rules.KINDS[rule["kind"]], f"{name} {operation}: unknown keys in {sorted(keys)}"
            named = {*rule.get("members", ()), *rule.get("unless", ()), *(rule[key] for key in ("member", "needs", "other") if key in rule)}
            assert named and named <= set(known.input.by_name), f"{name} {operation}: {named}"


@pytest.mark.parametrize(("signed", "operation", "request_", "members"), [
    ("redshift-serverless", "UpdateNamespace", {"namespaceName": "abc", "adminUsername": "a", "adminUserPassword": "b"}, []),
    ("redshift-serverless", "UpdateNamespace", {"namespaceName": "abc", "iamRoles": [], "defaultIamRoleArn": ""}, []),
    ("redshift-serverless", "UpdateNamespace", {"namespaceName": "abc", "adminPasswordSecretKmsKeyId": "k"}, ["adminPasswordSecretKmsKeyId"]),
    ("redshift-serverless", "UpdateNamespace", {"namespaceName": "abc", "adminUsername": "a", "adminUserPassword": "b", "manageAdminPassword": True},
     ["adminUserPassword"]),
    ("redshift-serverless", "UpdateNamespace", {"namespaceName": "abc", "kmsKeyId": "k", "logExports": []}, ["logExports"]),
    ("redshift-data", "ExecuteStatement", {"Sql": "s", "SessionId": "i"}, []),
    ("redshift-data", "ExecuteStatement", {"Sql": "s"}, ["ClusterIdentifier or WorkgroupName", "Database"]),
    ("redshift-data", "ExecuteStatement", {"Sql": "s", "Database": "d", "WorkgroupName": "w", "DbUser": "u"}, ["DbUser"]),
    ("elasticache", "ModifyReplicationGroup", {"ReplicationGroupId": "g", "AuthTokenUpdateStrategy": "DELETE"}, []),
    ("elasticache", "ModifyReplicationGroup", {"ReplicationGroupId": "g", "AuthTokenUpdateStrategy": "ROTATE"}, ["AuthTokenUpdateStrategy"]),
    ("elasticache", "ModifyReplicationGroup", {"ReplicationGroupId": "g", "AuthToken": "x" * 16}, ["AuthToken"]),
    ("elasticache", "ModifyReplicationGroup", {"ReplicationGroupId": "g", "AuthToken": "x" * 15 + "@", "AuthTokenUpdateStrategy": "SET"}, ["AuthToken"]),
    ("redshift", "ModifyCluster", {"ClusterIdentifier": "c", "MasterUserPassword": "Aa1!aaaa"}, []),
    ("redshift", "ModifyCluster", {"ClusterIdentifier": "c", "MasterUserPassword": "Aa1/aaaa"}, ["MasterUserPassword"]),
    ("redshift", "ModifyCluster", {"ClusterIdentifier": "c", "NumberOfNodes": 2}, ["NumberOfNodes"]),
    ("sns", "Publish", {"TopicArn": "t", "Message": "ä" * 131073}, ["Message"]),
    ("sns", "Publish", {"TopicArn": "t", "PhoneNumber": "1", "Message": "m", "MessageStructure": "xml"}, ["PhoneNumber", "MessageStructure"]),
    ("states", "StartExecution", {"stateMachineArn": "a", "name": "one two"}, ["name"]),
])
def test_rules_of_members_together(signed: str, operation: str, request_: dict[str, Any], members: list[str]) -> None:
    service = model.service_of(signed)
    assert service is not None and (called := service.operation(operation)) is not None
    assert [one.member for one in rules.problems(called, request_)] == members
