"""RotateSecret with a real function."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import TARGET, Gateway, until
from queues import make_queue, rule
from stacks import Stack

# The four steps. The secret's own value selects a failure, and its "log" lists the steps that ran.
CODE = '''
import json, boto3, os, time
client = boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

def handler(event, context):
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    if "AWSPENDING" not in stages[token]:
        raise ValueError("not pending")
    current = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    print("STEP", step, sorted(event))
    if step == current.get("fail"):
        raise ValueError("set to fail")
    if step == "createSecret":
        try:
            client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:
            client.put_secret_value(SecretId=arn, ClientRequestToken=token, VersionStages=["AWSPENDING"],
                                    SecretString=json.dumps({**current, "password": "new", "found": "nothing"}))
    if step == "setSecret":
        time.sleep(float(current.get("sleep", 0)))
    if step == "finishSecret":
        old = next(v for v, s in stages.items() if "AWSCURRENT" in s)
        client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=old)
'''
GRANTS = [{"Effect": "Allow", "Resource": "*", "Action": [
    "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage"]}]


@pytest.fixture(scope="module")
def rotator(gateway: Gateway) -> Iterator[str]:
    role = gateway.role("gw-rotator", GRANTS)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", CODE)
    client = gateway.client("lambda")
    arn = client.create_function(FunctionName="gw-rotator", Runtime="python3.11", Role=role["Arn"], Handler="index.handler",
                                 Code={"ZipFile": archive.getvalue()}, Timeout=30)["FunctionArn"]
    client.add_permission(FunctionName="gw-rotator", StatementId="s", Action="lambda:InvokeFunction",
                          Principal="secretsmanager.amazonaws.com", SourceAccount=TARGET)
    yield arn
    client.delete_function(FunctionName="gw-rotator")


@pytest.fixture(scope="module")
def events(gateway: Gateway) -> str:
    """A queue with every rotation event."""
    queue = make_queue(gateway, "gw-rotations")
    rule(gateway, "gw-rotations", {"detail-type": ["AWS Service Event via CloudTrail"]}, [{"Arn": queue.arn}])
    return queue.url


def _secret(gateway: Gateway, name: str, **value: Any) -> tuple[Any, str]:
    client = gateway.client("secretsmanager")
    return client, client.create_secret(Name=name, SecretString=json.dumps({"password": "old", **value}))["ARN"]


def _names(gateway: Gateway, url: str, arn: str, last: str) -> list[str]:
    sqs, names = gateway.client("sqs"), []

    def found() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail["additionalEventData"]["SecretId"] == arn:
                names.append(detail["eventName"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return last in names

    until(found, f"the event {last}")
    return names


def _value(client: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    return found


def test_rotation_runs_four_steps_and_promotes_the_version(gateway: Gateway, rotator: str, events: str) -> None:
    client, arn = _secret(gateway, "gw-rotate")
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator, RotationRules={"AutomaticallyAfterDays": 30})["VersionId"]
    assert _names(gateway, events, arn, "RotationSucceeded") == ["RotationStarted", "RotationSucceeded"]
    assert _value(client, arn)["password"] == "new"
    described = client.describe_secret(SecretId=arn)
    assert described["VersionIdsToStages"][token] == ["AWSCURRENT"]
    assert sorted(stages for found in described["VersionIdsToStages"].values() for stages in found) == ["AWSCURRENT", "AWSPREVIOUS"]
    assert described["RotationEnabled"] and described["LastRotatedDate"]
    assert (described["NextRotationDate"] - described["LastRotatedDate"]).days == 30


def test_second_rotation_is_rejected_while_one_runs(gateway: Gateway, rotator: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-long", sleep=3)
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator)["VersionId"]
    assert client.describe_secret(SecretId=arn)["VersionIdsToStages"][token] == ["AWSPENDING"]
    with pytest.raises(ClientError, match="A previous rotation isn't complete"):
        client.rotate_secret(SecretId=arn)
    until(lambda: _value(client, arn)["password"] == "new", "the rotation ends")


def test_failing_step_is_retried_and_keeps_the_current_value(gateway: Gateway, rotator: str, events: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-fail", fail="setSecret")
    client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator)
    assert _names(gateway, events, arn, "RotationFailed") == ["RotationStarted", "RotationFailed"]
    assert _value(client, arn)["password"] == "old"


def test_an_unfinished_rotation_is_refused_and_taken_up_again(gateway: Gateway, rotator: str, events: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-again", fail="setSecret")
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator)["VersionId"]
    assert _names(gateway, events, arn, "RotationFailed") == ["RotationStarted", "RotationFailed"]
    client.put_secret_value(SecretId=arn, SecretString='{"password": "old"}')
    assert client.describe_secret(SecretId=arn)["VersionIdsToStages"][token] == ["AWSPENDING"]
    with pytest.raises(ClientError, match="That rotation will be reattempted"):
        client.rotate_secret(SecretId=arn)
    until(lambda: _value(client, arn)["password"] == "new", "the rotation ends")
    assert client.describe_secret(SecretId=arn)["VersionIdsToStages"][token] == ["AWSCURRENT"]


def test_a_foreign_write_abandons_the_rotation(gateway: Gateway, rotator: str, events: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-foreign", sleep=4)
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator)["VersionId"]
    # createSecret has given it a value: a write of that step that is still under way would bring
    # AWSPENDING back.
    until(lambda: token in [found["VersionId"] for found in client.list_secret_version_ids(SecretId=arn)["Versions"]], "a pending value")
    client.put_secret_value(SecretId=arn, SecretString='{"password":"foreign"}')
    assert "RotationAbandoned" in _names(gateway, events, arn, "RotationAbandoned")
    assert "AWSPENDING" not in client.describe_secret(SecretId=arn)["VersionIdsToStages"].get(token, [])
    assert _value(client, arn)["password"] == "foreign"


def test_a_rotation_that_is_only_tried_out_leaves_no_version(gateway: Gateway, rotator: str, events: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-test")
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator, RotateImmediately=False)["VersionId"]
    assert _names(gateway, events, arn, "TestRotationSucceeded") == ["TestRotationStarted", "TestRotationSucceeded"]
    assert token not in client.describe_secret(SecretId=arn)["VersionIdsToStages"]


def test_function_must_admit_secrets_manager(gateway: Gateway, rotator: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-policy")
    functions = gateway.client("lambda")
    code = gateway.raw("GET", functions.get_function(FunctionName=rotator)["Code"]["Location"]).data
    bare = functions.create_function(FunctionName="gw-rotator-bare", Runtime="python3.11", Handler="index.handler",
                                     Role=f"arn:aws:iam::{TARGET}:role/gw-rotator", Code={"ZipFile": code})["FunctionArn"]
    with pytest.raises(ClientError, match="secretsmanager.amazonaws.com"):
        client.rotate_secret(SecretId=arn, RotationLambdaARN=bare)
    functions.delete_function(FunctionName="gw-rotator-bare")


def test_the_caller_needs_the_right_to_invoke_the_function(gateway: Gateway, rotator: str) -> None:
    _, arn = _secret(gateway, "gw-rotate-caller")
    caller = gateway.role("gw-rotate-caller", [{"Effect": "Allow", "Action": "secretsmanager:RotateSecret", "Resource": arn}])
    with pytest.raises(ClientError, match="lambda:InvokeFunction"):
        gateway.as_role("secretsmanager", caller).rotate_secret(SecretId=arn, RotationLambdaARN=rotator)


def test_a_cancelled_rotation_stops_and_leaves_awspending_behind(gateway: Gateway, rotator: str) -> None:
    client, arn = _secret(gateway, "gw-rotate-cancel", sleep=4)
    token = client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator)["VersionId"]
    client.cancel_rotate_secret(SecretId=arn)
    described = client.describe_secret(SecretId=arn)
    assert not described["RotationEnabled"] and described["VersionIdsToStages"][token] == ["AWSPENDING"]


def test_a_rotation_schedule_in_a_stack_rotates_at_once(gateway: Gateway, rotator: str) -> None:
    template = {"Resources": {
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": '{"password":"old"}'}},
        "Schedule": {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": {
            "SecretId": {"Ref": "Secret"}, "RotationLambdaARN": rotator, "RotationRules": {"AutomaticallyAfterDays": 1}}}},
        "Outputs": {"Secret": {"Value": {"Ref": "Secret"}}}}
    with Stack(gateway, "gw-schedule") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        client = gateway.client("secretsmanager")
        until(lambda: _value(client, stack.outputs()["Secret"])["password"] == "new", "the rotation ends")


def test_list_secrets_has_rotation_and_dates(gateway: Gateway, rotator: str) -> None:
    client, arn = _secret(gateway, "gw-listed")
    client.rotate_secret(SecretId=arn, RotationLambdaARN=rotator, RotationRules={"ScheduleExpression": "rate(10 days)"})

    def listed() -> dict[str, Any]:
        found: dict[str, Any] = client.list_secrets(Filters=[{"Key": "name", "Values": ["gw-listed"]}])["SecretList"][0]
        return found

    until(lambda: "LastRotatedDate" in listed(), "the rotation")
    assert "LastAccessedDate" in listed()
    assert (listed()["RotationLambdaARN"], listed()["RotationRules"]) == (rotator, {"ScheduleExpression": "rate(10 days)"})
    old = 1_700_000_000
    assert gateway.call("POST", "secret", {"arn": arn, "set": {"LastRotatedDate": old, "LastAccessedDate": old}}) == (200, {})
    entry = listed()
    assert [int(entry[name].timestamp()) for name in ("LastRotatedDate", "LastAccessedDate", "NextRotationDate")] == [
        old, old, old + 10 * 86400]
    assert client.describe_secret(SecretId=arn)["NextRotationDate"] == entry["NextRotationDate"]
    assert gateway.call("POST", "secret", {"arn": arn, "set": {"Name": "x"}})[0] == 400
    assert gateway.call("POST", "secret", {"arn": f"{arn}-not", "set": {}})[0] == 404
