"""Step Functions as the waits of custom resources need it.

Mended [pages: StartExecution of the Step Functions API reference; State machine structure; IAM policies for integrated services]:

- StartExecution with the name and input of a running execution gives that execution again; MiniStack refuses it;
- a state machine's own TimeoutSeconds ends the execution as TIMED_OUT; MiniStack knows timeouts of tasks only;
- a task invokes a function with the rights of the state machine's role, and the call is recorded; MiniStack asks for no rights.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, json_response, now_iso
from ministack.services import lambda_svc, stepfunctions

from . import recorder
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.stepfunctions", "_start_execution", ("data",)),
    Target("ministack.services.stepfunctions", "_run_execution", ("exec_arn",)),
    Target("ministack.services.stepfunctions", "_fail_execution", ("execution", "error", "cause")),
    Target("ministack.services.stepfunctions", "_call_lambda", ("func_ref", "event")),
    Target("ministack.services.stepfunctions", "_ExecutionError"),
    Target("ministack.services.stepfunctions", "_executions"),
    Target("ministack.services.stepfunctions", "_state_machines"),
    Target("ministack.services.stepfunctions", "_add_event", ("execution", "event_type")),
    Target("ministack.services.stepfunctions", "_emit_execution_status_event", ("execution",)),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.lambda_svc", "function_policy_for_arn"),
    Target("ministack.core.iam_evaluator", "_gather_role_policies", ("role_name", "account_id")),
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
        # The state in flight when the machine timed out, or was stopped, must not change how it ended.
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    return fail_execution


def _denial(function_ref: str) -> str:
    """Why the role may not invoke the function; ``""`` when it may."""
    role_arn = _role.get()
    _, function_config, _ = lambda_svc._get_func_record_for_ref(function_ref)
    if not role_arn or not function_config:
        return ""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    arn = str(function_config["FunctionArn"])
    principal = f"arn:{arn.split(':')[1]}:sts::{account}:assumed-role/{name}/states"
    ctx = iam_evaluator.EvalContext(principal_arn=principal, principal_type="AssumedRole", principal_account=account, action=_INVOKE,
                                    resource_arn=arn, region=get_region())
    result = iam_evaluator.evaluate(ctx, iam_evaluator._gather_role_policies(name, account))
    policy = lambda_svc.function_policy_for_arn(arn)
    if policy is not None:
        result = iam_evaluator.combine_resource_policy(result, ctx, policy[0], get_account_id())
    allowed = result.decision == "Allow"
    recorder.record(principal, _INVOKE, arn, "allowed" if allowed else "denied", "states")
    return "" if allowed else (f"User: {principal} is not authorized to perform: {_INVOKE} on resource: {arn} because no "
                               f"identity-based policy allows the {_INVOKE} action")


def _as_the_role(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_lambda(func_ref: str, event: Any) -> Any:
        message = _denial(func_ref)
        if message:
            raise stepfunctions._ExecutionError(
                "Lambda.AWSLambdaException", f"{message} (Service: Lambda, Status Code: 403, Error Code: AccessDeniedException)")
        return original(func_ref, event)

    return call_lambda


def install() -> None:
    """Mend Step Functions."""
    wrap(stepfunctions, "_start_execution", _idempotent)
    wrap(stepfunctions, "_run_execution", _within_its_time)
    wrap(stepfunctions, "_fail_execution", _only_while_running)
    wrap(stepfunctions, "_call_lambda", _as_the_role)
