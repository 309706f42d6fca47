"""The features of Step Functions for the waits of custom resources and the repair of rotations.

Corrected [pages: StartExecution of the Step Functions API reference; State machine structure; IAM
policies for integrated services]:

- StartExecution with the name and input of a running execution returns that execution; MiniStack
  rejects the call;
- a state machine's own TimeoutSeconds ends the execution as TIMED_OUT; MiniStack has timeouts of
  tasks only;
- a task invokes a function, or calls Secrets Manager, with the permissions of the state machine's
  role, and the call is recorded; MiniStack checks no permissions.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, json_response, now_iso
from ministack.services import lambda_svc, secretsmanager, stepfunctions

from . import authorization, rotation
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.stepfunctions", "_start_execution", ("data",)),
    Target("ministack.services.stepfunctions", "_run_execution", ("exec_arn",)),
    Target("ministack.services.stepfunctions", "_fail_execution", ("execution", "error", "cause")),
    Target("ministack.services.stepfunctions", "_call_lambda", ("func_ref", "event")),
    Target("ministack.services.stepfunctions", "_dispatch_aws_sdk_json", ("service_info", "service_name", "action", "input_data")),
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
    Target("ministack.services.stepfunctions", "_ExecutionError"),
    Target("ministack.services.stepfunctions", "_executions"),
    Target("ministack.services.stepfunctions", "_state_machines"),
    Target("ministack.services.stepfunctions", "_add_event", ("execution", "event_type")),
    Target("ministack.services.stepfunctions", "_emit_execution_status_event", ("execution",)),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.lambda_svc", "function_policy_for_arn"),
)

_role: contextvars.ContextVar[str] = contextvars.ContextVar("sluice_state_machine_role", default="")
_INVOKE = "lambda:InvokeFunction"


def _idempotent(original: Callable[..., Any]) -> Callable[..., Any]:
    def start_execution(data: dict[str, Any]) -> Any:
        arn = str(data.get("stateMachineArn", "")).replace(":stateMachine:", ":execution:")
        execution = stepfunctions._executions.get(f"{arn}:{data.get('name')}") if data.get("name") else None
        if execution and execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}"):
            return json_response({"executionArn": execution["executionArn"], "startDate": execution["startDate"]})
        return original(data)

    return start_execution


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso(), error="States.Timeout", cause="State Machine Timed Out")
    stepfunctions._add_event(execution, "ExecutionTimedOut", {
        "executionTimedOutEventDetails": {"error": execution["error"], "cause": execution["cause"]}})
    stepfunctions._emit_execution_status_event(execution)


def _within_its_time(original: Callable[..., Any]) -> Callable[..., Any]:
    def run_execution(exec_arn: str) -> None:
        execution = stepfunctions._executions.get(exec_arn) or {}
        machine = stepfunctions._state_machines.get(execution.get("stateMachineArn", "")) or {}
        _role.set(machine.get("roleArn", ""))
        try:
            seconds = float(json.loads(machine.get("definition", "{}")).get("TimeoutSeconds", 0))
        except (ValueError, TypeError):
            seconds = 0.0
        if not seconds:
            original(exec_arn)
            return
        timer = threading.Timer(seconds, contextvars.copy_context().run, (_time_out, execution))
        timer.daemon = True
        timer.start()
        try:
            original(exec_arn)
        finally:
            timer.cancel()

    return run_execution


def _only_while_running(original: Callable[..., Any]) -> Callable[..., Any]:
    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        # The state in flight when the machine timed out, or was stopped, must not change how it
        # ended.
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    return fail_execution


def _denial(action: str, arn: str, policy: tuple[Any, ...] | None = None) -> str:
    """The reason why the role of the state machine may not do this; ``""`` if it may."""
    role_arn = _role.get()
    if not role_arn:
        return ""
    owned = None if policy is None else (policy[0], get_account_id())
    return authorization.for_role(role_arn, "states", action, arn, owned, via="states").message


def _invoke_denial(function_ref: str) -> str:
    _, function_config, _ = lambda_svc._get_func_record_for_ref(function_ref)
    if not function_config:
        return ""
    # The ARN as it was given, because a permission for a function does not cover its alias.
    arn = function_ref if function_ref.startswith("arn:") else str(function_config["FunctionArn"])
    return _denial(_INVOKE, arn, lambda_svc.function_policy_for_arn(arn))


def _as_the_role(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_lambda(func_ref: str, event: Any) -> Any:
        message = _invoke_denial(func_ref)
        if message:
            raise stepfunctions._ExecutionError(
                "Lambda.AWSLambdaException", f"{message} (Service: Lambda, Status Code: 403, Error Code: AccessDeniedException)")
        return original(func_ref, event)

    return call_lambda


def _secrets_as_the_role(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch(service_info: Any, service_name: str, action: str, input_data: Any) -> Any:
        if service_name != "secretsmanager":
            return original(service_info, service_name, action, input_data)
        name = action[:1].upper() + action[1:]
        _, secret = secretsmanager._resolve(input_data.get("SecretId"))
        message = _denial(f"secretsmanager:{name}", str(secret["ARN"]) if secret else "*")
        function = (secret or {}).get("RotationLambdaARN")
        if not message and name == "RotateSecret" and function:
            message = _invoke_denial(str(function))
        if message:
            raise stepfunctions._ExecutionError(
                "SecretsManager.SecretsManagerException", f"{message} (Service: SecretsManager, Status Code: 400)")
        if name != "RotateSecret":
            return original(service_info, service_name, action, input_data)
        # Called directly, because the gateway's entry would require the caller's key.
        status, _, body = rotation.rotate(input_data)
        answer = json.loads(body)
        if status >= 400:
            raise stepfunctions._ExecutionError(f"SecretsManager.{answer['__type']}", str(answer.get("message", "")))
        return answer

    return dispatch


def install() -> None:
    """Correct Step Functions."""
    wrap(stepfunctions, "_start_execution", _idempotent)
    wrap(stepfunctions, "_run_execution", _within_its_time)
    wrap(stepfunctions, "_fail_execution", _only_while_running)
    wrap(stepfunctions, "_call_lambda", _as_the_role)
    wrap(stepfunctions, "_dispatch_aws_sdk_json", _secrets_as_the_role)
