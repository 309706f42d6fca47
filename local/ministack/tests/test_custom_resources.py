"""Custom resources, delivered as CloudFormation delivers them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from conftest import TARGET, Gateway, until
from queues import published_shape
from stacks import Stack

# Responds as its properties require; CRASH_ONCE keeps its count in the function's own directory.
CODE = '''
import json, os, tempfile, urllib.request, urllib.error

def put(url, body, headers=None):
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": "", **(headers or {})})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

def handler(event, context):
    properties = event["ResourceProperties"]
    kind = event["RequestType"]
    mode = properties.get(kind, "")
    print("EVENT", json.dumps({k: v for k, v in event.items() if k != "ResponseURL"}))
    answer = {"Status": "SUCCESS", "RequestId": event["RequestId"], "StackId": event["StackId"],
              "LogicalResourceId": event["LogicalResourceId"],
              "PhysicalResourceId": event.get("PhysicalResourceId") or properties.get("Id", "made"), "Data": {"Name": "value"}}
    if kind == "Update" and "NewId" in properties:
        answer["PhysicalResourceId"] = properties["NewId"]
    if mode == "crash-once":
        mark = os.path.join(tempfile.gettempdir(), event["RequestId"])
        if not os.path.exists(mark):
            open(mark, "w").close()
            raise RuntimeError("once")
    if mode == "silent":
        return
    if mode == "fail":
        answer.update(Status="FAILED", Reason="it broke")
    if mode == "fail-without-reason":
        answer.update(Status="FAILED")
    if mode == "long":
        answer["Data"] = {"Name": "x" * 4096}
    if mode == "other-request":
        answer["RequestId"] = "another"
    if mode == "no-id":
        del answer["PhysicalResourceId"]
    if mode == "no-echo":
        answer["NoEcho"] = True
    if mode == "content-type":
        print("REFUSED", put(event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": "application/json"}))
    if mode == "tampered":
        print("REFUSED", put(event["ResponseURL"] + "0", json.dumps(answer).encode()))
    print("PUT", put(event["ResponseURL"], json.dumps(answer).encode()))
    if mode == "twice":
        print("PUT", put(event["ResponseURL"], json.dumps({**answer, "PhysicalResourceId": "second"}).encode()))
'''


@pytest.fixture(scope="module")
def provider(gateway: Gateway) -> Iterator[str]:
    credentials = gateway.role("gw-provider", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", CODE)
    client = gateway.client("lambda")
    made = client.create_function(FunctionName="gw-provider", Runtime="python3.11", Role=credentials["Arn"], Handler="index.handler",
                                  Code={"ZipFile": archive.getvalue()}, Timeout=30)
    yield made["FunctionArn"]
    client.delete_function(FunctionName="gw-provider")


def template(provider: str, outputs: bool = True, **properties: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"Resources": {"Thing": {"Type": "Custom::Thing", "Properties": {
        "ServiceToken": provider, "ServiceTimeout": 20, **properties}}}}
    if outputs:
        found["Outputs"] = {"Id": {"Value": {"Ref": "Thing"}}, "Name": {"Value": {"Fn::GetAtt": ["Thing", "Name"]}}}
    return found


def requests(gateway: Gateway, stack: str) -> list[dict[str, Any]]:
    found = gateway.call("GET", "custom-resources")[1]["requests"]
    ours = [one for one in found if f"stack/{stack}/" in one["StackId"]]
    for one in ours:
        # The gateway's record leaves out the address, and has the responses.
        request = {name: value for name, value in one.items() if name != "Responses"}
        published_shape(json.dumps({**request, "ResponseURL": "https://cloudformation-custom-resource-response-local"}))
    return ours


def kinds(gateway: Gateway, stack: str) -> list[tuple[str, str | None]]:
    return [(one["RequestType"], one.get("PhysicalResourceId")) for one in requests(gateway, stack)]


def test_create_update_and_delete_pass_properties_as_text(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-life") as stack:
        assert stack.create(template(provider, Id="one", Flag=True, Number=3))["StackStatus"] == "CREATE_COMPLETE"
        assert stack.outputs() == {"Id": "one", "Name": "value"}
        assert stack.update(template(provider, Id="one", Flag=False, Number=3))["StackStatus"] == "UPDATE_COMPLETE"
    create, update, delete = requests(gateway, "gw-cr-life")
    assert create["ResourceProperties"]["Flag"] == "true" and create["ResourceProperties"]["Number"] == "3"
    assert "PhysicalResourceId" not in create
    assert (update["OldResourceProperties"]["Flag"], update["ResourceProperties"]["Flag"]) == ("true", "false")
    assert (delete["RequestType"], delete["PhysicalResourceId"]) == ("Delete", "one")


def test_update_with_a_new_id_deletes_the_old_one(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-replace") as stack:
        stack.create(template(provider, Id="old"))
        assert stack.update(template(provider, NewId="new"))["StackStatus"] == "UPDATE_COMPLETE"
        assert kinds(gateway, "gw-cr-replace") == [("Create", None), ("Update", "old"), ("Delete", "old")]
    assert kinds(gateway, "gw-cr-replace")[-1] == ("Delete", "new")


def test_a_failed_create_is_deleted_with_the_failed_answers_id(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-fail") as stack:
        assert stack.create(template(provider, Id="half", Create="fail"))["StackStatus"] == "ROLLBACK_COMPLETE"
        assert any("Received response status [FAILED] from custom resource. Message returned: it broke" in reason
                   for reason in stack.reasons("CREATE_FAILED"))
        assert kinds(gateway, "gw-cr-fail") == [("Create", None), ("Delete", "half")]


def test_failed_create_is_deleted_with_its_stack(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-keep") as stack:
        assert stack.create(template(provider, Id="half", Create="fail"), DisableRollback=True)["StackStatus"] == "CREATE_FAILED"
        assert kinds(gateway, "gw-cr-keep") == [("Create", None)]
    assert kinds(gateway, "gw-cr-keep") == [("Create", None), ("Delete", "half")]


def test_failed_new_resource_of_an_update_is_deleted(gateway: Gateway, provider: str) -> None:
    before = template(provider, Id="one")
    after = template(provider, Id="one")
    after["Resources"]["Added"] = {"Type": "Custom::Thing", "DependsOn": "Thing", "Properties": {
        "ServiceToken": provider, "ServiceTimeout": 20, "Id": "added", "Create": "fail"}}
    with Stack(gateway, "gw-cr-added") as stack:
        stack.create(before)
        assert stack.update(after)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert kinds(gateway, "gw-cr-added") == [("Create", None), ("Create", None), ("Delete", "added")]
        left = stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]
        assert [one["LogicalResourceId"] for one in left] == ["Thing"]
    assert kinds(gateway, "gw-cr-added")[3:] == [("Delete", "one")]


def test_failed_delete_is_sent_again(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-stuck") as stack:
        stack.create(template(provider, Id="one", Delete="fail"))
        assert stack.delete() == "DELETE_FAILED"
        assert stack.delete() == "DELETE_FAILED"
        assert kinds(gateway, "gw-cr-stuck") == [("Create", None), ("Delete", "one"), ("Delete", "one")]
        stack.client.delete_stack(StackName=stack.name, RetainResources=["Thing"])
        assert stack.settled()["StackStatus"] == "DELETE_COMPLETE"


def test_failed_delete_keeps_the_dependencies_only(gateway: Gateway, provider: str) -> None:
    found = template(provider, Id="one", Delete="fail")
    found["Resources"] |= {"Needed": {"Type": "AWS::SNS::Topic"}, "Needing": {"Type": "AWS::SNS::Topic", "DependsOn": "Thing"}}
    found["Resources"]["Thing"]["DependsOn"] = "Needed"
    with Stack(gateway, "gw-cr-kept") as stack:
        stack.create(found)
        assert stack.delete() == "DELETE_FAILED"
        left = stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]
        assert sorted(one["LogicalResourceId"] for one in left) == ["Needed", "Thing"]
        failed = [one for one in stack.client.describe_stack_events(StackName=stack.name)["StackEvents"]
                  if one["ResourceStatus"] == "DELETE_FAILED"]
        assert {one["LogicalResourceId"] for one in failed} == {"Thing", stack.name}
        assert any("failed to delete: [Thing]." in one.get("ResourceStatusReason", "") for one in failed)
        stack.client.delete_stack(StackName=stack.name, RetainResources=["Thing"])
        assert stack.settled()["StackStatus"] == "DELETE_COMPLETE"


def test_a_function_that_crashes_is_tried_again(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-crash") as stack:
        assert stack.create(template(provider, Create="crash-once"))["StackStatus"] == "CREATE_COMPLETE"


def test_missing_response_fails_after_the_service_timeout(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-silent") as stack:
        assert stack.create(template(provider, ServiceTimeout=1, Create="silent"))["StackStatus"] == "ROLLBACK_COMPLETE"
        assert any("did not receive a response" in reason for reason in stack.reasons("CREATE_FAILED"))
        (_, _), (kind, physical_id) = kinds(gateway, "gw-cr-silent")
        assert kind == "Delete" and str(physical_id).startswith("gw-cr-silent-Thing-")


@pytest.mark.parametrize(("mode", "reason"), [
    ("long", "Response object is too long"), ("other-request", "Value of property RequestId"),
    ("no-id", "Invalid PhysicalResourceId"), ("fail-without-reason", "Value of property Reason")])
def test_an_answer_that_breaks_the_protocol_fails_the_resource(gateway: Gateway, provider: str, mode: str, reason: str) -> None:
    with Stack(gateway, f"gw-cr-bad-{mode}") as stack:
        assert stack.create(template(provider, Create=mode))["StackStatus"] == "ROLLBACK_COMPLETE"
        assert any(reason in one for one in stack.reasons("CREATE_FAILED")), stack.reasons("CREATE_FAILED")


def test_failed_update_is_rolled_back_with_swapped_properties(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-back") as stack:
        stack.create(template(provider, Id="one", Value="a"))
        assert stack.update(template(provider, Id="one", Value="b", Update="fail"))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        _, forth, back = requests(gateway, "gw-cr-back")
        assert (forth["RequestType"], back["RequestType"]) == ("Update", "Update")
        assert back["ResourceProperties"] == forth["OldResourceProperties"]
        assert back["OldResourceProperties"] == forth["ResourceProperties"]


def test_failed_update_with_a_new_id_deletes_that_id(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-stray") as stack:
        stack.create(template(provider, Id="one"))
        stack.update(template(provider, Id="one", NewId="two", Update="fail"))
        assert ("Delete", "two") in kinds(gateway, "gw-cr-stray")
        assert stack.outputs()["Id"] == "one"


def test_no_echo_masks_the_attributes_in_the_outputs(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-echo") as stack:
        assert stack.create(template(provider, Id="one", Create="no-echo"))["StackStatus"] == "CREATE_COMPLETE"
        assert stack.outputs() == {"Id": "one", "Name": "****"}


@pytest.mark.parametrize("mode", ["content-type", "tampered"])
def test_response_url_checks_content_type_and_signature(gateway: Gateway, provider: str, mode: str) -> None:
    with Stack(gateway, f"gw-cr-url-{mode}") as stack:
        assert stack.create(template(provider, Create=mode))["StackStatus"] == "CREATE_COMPLETE"
    assert "REFUSED 403" in logs(gateway, f"gw-cr-url-{mode}")


def test_the_first_of_two_answers_counts(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-twice") as stack:
        assert stack.create(template(provider, Id="first", Create="twice"))["StackStatus"] == "CREATE_COMPLETE"
        assert stack.outputs()["Id"] == "first"
        until(lambda: len(requests(gateway, "gw-cr-twice")[0]["Responses"]) == 2, "both answers are recorded")


def test_an_unknown_response_url_is_refused_as_s3_refuses_it(gateway: Gateway) -> None:
    url = urlunsplit(urlsplit(gateway.url)._replace(path="/cloudformation-custom-resource-response-useast1/x", query="X-Amz-Signature=0"))
    answer = gateway.raw("PUT", url, body=b"{}")
    assert answer.status == 403 and b"SignatureDoesNotMatch" in answer.data


def logs(gateway: Gateway, stack: str) -> str:
    """The provider's log lines for a stack, from CloudWatch Logs."""
    client = gateway.client("logs")

    def found() -> str:
        messages = [event["message"] for page in client.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/gw-provider")
                    for event in page["events"]]
        text = "\n".join(messages)
        return text if f"stack/{stack}/" in text else ""

    return str(until(found, f"the log of {stack}"))


def test_the_event_has_the_documented_fields(gateway: Gateway, provider: str) -> None:
    with Stack(gateway, "gw-cr-fields") as stack:
        stack.create(template(provider, Id="one"))
        text = logs(gateway, "gw-cr-fields")
    line = next(one for one in text.splitlines() if "EVENT" in one and "stack/gw-cr-fields/" in one)
    event = json.loads(line.split("EVENT", 1)[1])
    assert event["ServiceToken"] == provider
    assert event["ResourceType"] == "Custom::Thing"
    assert event["StackId"].startswith(f"arn:aws:cloudformation:us-east-1:{TARGET}:stack/gw-cr-fields/")
