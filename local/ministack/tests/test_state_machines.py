"""Step Functions: idempotent starts, timeouts, the role of the machine, histories."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import TARGET, Gateway, until

CODE = "import time\ndef handler(event, context):\n    time.sleep(event.get('sleep', 0))\n    return {'Done': True}\n"


@pytest.fixture(scope="module")
def function(gateway: Gateway) -> Iterator[str]:
    role = gateway.role("gw-sfn-function", [])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", CODE)
    client = gateway.client("lambda")
    yield client.create_function(FunctionName="gw-sfn", Runtime="python3.11", Role=role["Arn"], Handler="index.handler",
                                 Code={"ZipFile": archive.getvalue()}, Timeout=30)["FunctionArn"]
    client.delete_function(FunctionName="gw-sfn")


def machine(gateway: Gateway, name: str, definition: dict[str, Any], grants: list[dict[str, Any]]) -> str:
    role = gateway.role(name, grants)
    made: str = gateway.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=role["Arn"])["stateMachineArn"]
    return made


def task(function: str, **more: Any) -> dict[str, Any]:
    return {"StartAt": "Call", "QueryLanguage": "JSONata", "States": {
        "Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Next": "Done",
                 "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
                 "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "TooLate"}], **more},
        "TooLate": {"Type": "Succeed"}, "Done": {"Type": "Succeed"}}}


def allowed(function: str) -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}]


def ended(gateway: Gateway, execution: str) -> dict[str, Any]:
    client = gateway.client("stepfunctions")

    def done() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    found: dict[str, Any] = until(done, "the execution ends")
    return found


def history(gateway: Gateway, execution: str) -> list[str]:
    return [event["type"] for event in gateway.client("stepfunctions").get_execution_history(executionArn=execution)["events"]]


def test_same_name_and_input_return_the_running_execution(gateway: Gateway) -> None:
    client = gateway.client("stepfunctions")
    arn = machine(gateway, "gw-same", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 4, "End": True}}}, [])
    first = client.start_execution(stateMachineArn=arn, name="one", input='{"a":1}')
    assert client.start_execution(stateMachineArn=arn, name="one", input='{"a":1}')["executionArn"] == first["executionArn"]
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=arn, name="one", input='{"a":2}')
    ended(gateway, first["executionArn"])
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=arn, name="one", input='{"a":1}')


def test_a_tasks_timeout_is_caught_as_states_timeout(gateway: Gateway, function: str) -> None:
    arn = machine(gateway, "gw-task-timeout", task(function, TimeoutSeconds=1), allowed(function))
    execution = gateway.client("stepfunctions").start_execution(stateMachineArn=arn, input='{"sleep":3}')["executionArn"]
    found = ended(gateway, execution)
    assert (found["status"], json.loads(found["output"])["Error"]) == ("SUCCEEDED", "States.Timeout")


def test_a_machines_own_timeout_ends_it_as_timed_out(gateway: Gateway) -> None:
    arn = machine(gateway, "gw-timeout", {"StartAt": "W", "TimeoutSeconds": 1, "States": {
        "W": {"Type": "Wait", "Seconds": 3, "End": True}}}, [])
    execution = gateway.client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    assert ended(gateway, execution)["status"] == "TIMED_OUT"
    assert history(gateway, execution)[-1] == "ExecutionTimedOut"


def test_a_role_without_the_grant_cannot_invoke_the_function(gateway: Gateway, function: str) -> None:
    arn = machine(gateway, "gw-bare-machine", task(function), [])
    execution = gateway.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")["executionArn"]
    found = ended(gateway, execution)
    assert (found["status"], found["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    assert f"assumed-role/gw-bare-machine/states is not authorized to perform: lambda:InvokeFunction on resource: {function}" in found["cause"]


def test_the_invocation_by_a_machine_is_recorded_under_its_role(gateway: Gateway, function: str) -> None:
    arn = machine(gateway, "gw-good-machine", task(function), allowed(function))
    execution = gateway.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")["executionArn"]
    assert ended(gateway, execution)["status"] == "SUCCEEDED"
    calls = gateway.call("GET", "calls?principal=gw-good-machine")[1]["calls"]
    assert [(call["action"], call["resource"], call["decision"]) for call in calls] == [("lambda:InvokeFunction", function, "allowed")]
    assert "TaskSucceeded" in history(gateway, execution)


def test_a_wait_takes_its_seconds(gateway: Gateway) -> None:
    arn = machine(gateway, "gw-wait", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}, [])
    began = time.monotonic()
    execution = gateway.client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    assert ended(gateway, execution)["status"] == "SUCCEEDED"
    assert time.monotonic() - began >= 1
    assert TARGET in execution
