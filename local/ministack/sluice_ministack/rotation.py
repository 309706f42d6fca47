"""RotateSecret as Secrets Manager does it; MiniStack's copies the value and promotes it at once.

Imitated [pages: RotateSecret, CancelRotateSecret, DescribeSecret and ListSecretVersionIds of the
API reference; Rotation by Lambda function; Log Secrets Manager events with AWS CloudTrail]:

- a version with the request's token and AWSPENDING, but no value, then the steps createSecret,
  setSecret, testSecret, finishSecret, each an invocation of the function; a failed step repeats the
  whole rotation, and the events RotationStarted, RotationSucceeded, RotationFailed;
- rejected while AWSPENDING is on a version that is not current, whose rotation is then reattempted
  from its first step unless it runs, as the error message says; rejected without a function, or if
  the function's policy does not admit ``secretsmanager.amazonaws.com``; the caller needs
  lambda:InvokeFunction on the function too;
- a new version written by anyone else during a rotation abandons it (RotationAbandoned) and removes
  AWSPENDING;
- RotateImmediately=false only runs testSecret on a version that is removed again;
- promoting a version removes its AWSPENDING. AWS's pages disagree; ``SLUICE_AWSPENDING_STAYS=1``
  keeps it.

``rotation_schedules`` starts rotations by their schedules.
"""

from __future__ import annotations

import contextvars
import json
import os
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from ministack.core import iam_evaluator, router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import eventbridge, lambda_svc, secretsmanager

from . import authorization, clock, events
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.secretsmanager", "handle_request", ("method", "path", "headers", "body", "query_params")),
    Target("ministack.services.secretsmanager", "_rotate_secret", ("data",)),
    Target("ministack.services.secretsmanager", "_describe_secret", ("data",)),
    Target("ministack.services.secretsmanager", "_list_secret_version_ids", ("data",)),
    Target("ministack.services.secretsmanager", "_put_secret_value", ("data",)),
    Target("ministack.services.secretsmanager", "_update_secret", ("data",)),
    Target("ministack.services.secretsmanager", "_update_secret_version_stage", ("data",)),
    Target("ministack.services.secretsmanager", "_find_stage_version", ("secret", "stage")),
    Target("ministack.services.secretsmanager", "_remove_stage", ("secret", "version_id", "stage")),
    Target("ministack.services.eventbridge", "_parse_rate_seconds", ("expr",)),
    Target("ministack.services.eventbridge", "_parse_cron_fields", ("expr",)),
    Target("ministack.services.eventbridge", "_cron_next_fire", ("fields", "after_dt")),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.lambda_svc", "_execution_record_for_config"),
    Target("ministack.services.lambda_svc", "_execute_function_with_config_scope", ("func", "event")),
    Target("ministack.services.lambda_svc", "function_policy_for_arn"),
)

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
ATTEMPTS = 3
_SERVICE = "secretsmanager.amazonaws.com"
Handler = Callable[[dict[str, Any]], Any]

_lock = threading.Lock()
# Secret ARN -> token of the rotation that runs.
_running: dict[str, str] = {}


def _retry_seconds() -> float:
    return float(os.environ.get("SLUICE_ROTATION_RETRY_SECONDS", "1"))


def _invalid(message: str) -> Any:
    return error_response_json("InvalidRequestException", message, 400)


def _event(secret: dict[str, Any], name: str, message: str = "") -> None:
    account, region = get_account_id(), get_region()
    events.put(account, region, "aws.secretsmanager", "AWS Service Event via CloudTrail", [], {
        "eventSource": _SERVICE, "eventName": name, "eventType": "AwsServiceEvent", "awsRegion": region, "requestParameters": None,
        "responseElements": None, "recipientAccountId": account, "additionalEventData": {"SecretId": secret["ARN"]},
        "userIdentity": {"accountId": account, "invokedBy": _SERVICE}, **({"errorMessage": message} if message else {})})


def _function(arn: str) -> tuple[dict[str, Any] | None, str]:
    """The function to invoke, or the reason why Secrets Manager cannot."""
    record, function_config, _ = lambda_svc._get_func_record_for_ref(arn)
    if record is None or function_config is None:
        return None, f"Secrets Manager can't find the Lambda function {arn}."
    policy = lambda_svc.function_policy_for_arn(arn)
    ctx = iam_evaluator.EvalContext(
        principal_arn="", principal_type="Service", principal_account="", action="lambda:InvokeFunction", resource_arn=arn,
        region=get_region(), service_context={"aws:sourceaccount": get_account_id()})
    if policy is None or iam_evaluator.evaluate_resource_policy(policy[0], ctx, service=_SERVICE).decision != "Allow":
        return None, ("Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
                      f"the principal {_SERVICE}.")
    execution: dict[str, Any] = lambda_svc._execution_record_for_config(record, function_config)
    return execution, ""


def _step(execution: dict[str, Any], secret: dict[str, Any], token: str, step: str, rotation_token: str) -> bool:
    result = lambda_svc._execute_function_with_config_scope(execution, {
        "Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token, "RotationToken": rotation_token})
    return not result.get("error")


def _run(execution: dict[str, Any], secret: dict[str, Any], token: str, function_arn: str) -> None:
    rotation_token = str(uuid.uuid4())
    failed = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_retry_seconds())
        failed = ""
        for step in STEPS:
            if _running.get(secret["ARN"]) != token:
                return
            if not _step(execution, secret, token, step, rotation_token):
                failed = step
                break
        if not failed:
            break
    with _lock:
        if _running.get(secret["ARN"]) != token:
            return
        del _running[secret["ARN"]]
    if failed:
        _event(secret, "RotationFailed", f"Error when executing lambda {function_arn} during {failed} step")
        return
    secret["LastRotatedDate"] = int(clock.now())
    _event(secret, "RotationSucceeded")


def _try_out(execution: dict[str, Any], secret: dict[str, Any], token: str) -> None:
    _event(secret, "TestRotationStarted")
    good = _step(execution, secret, token, "testSecret", str(uuid.uuid4()))
    with _lock:
        # A rotation may have started in the meantime.
        if _running.get(secret["ARN"]) == token:
            del _running[secret["ARN"]]
    secret["Versions"].pop(token, None)
    _event(secret, "TestRotationSucceeded" if good else "TestRotationFailed")


def _reattempt(secret: dict[str, Any], token: str, arn: str) -> None:
    """Start an unfinished rotation again, unless it runs."""
    execution, _ = _function(arn)
    with _lock:
        if execution is None or secret["ARN"] in _running:
            return
        _running[secret["ARN"]] = token
    _begin(_run, execution, secret, token, arn)


def _begin(work: Callable[..., None], *words: Any) -> None:
    """Run work in the background, for this account and Region."""
    threading.Thread(target=contextvars.copy_context().run, args=(work, *words), name="sluice-rotation", daemon=True).start()


def rotate(data: dict[str, Any]) -> Any:
    """RotateSecret; success means only that the rotation has started."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        return error_response_json("ResourceNotFoundException", "Secrets Manager can't find the specified secret.", 400)
    if secret.get("DeletedDate"):
        return _invalid("You can't perform this operation on the secret because it was marked for deletion.")
    arn = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    if not arn:
        return _invalid("No Lambda rotation function ARN is associated with this secret.")
    pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
    current, current_version = secretsmanager._find_stage_version(secret, "AWSCURRENT")
    if pending and pending != current:
        _reattempt(secret, pending, arn)
        return _invalid("A previous rotation isn't complete. That rotation will be reattempted.")
    if current_version is None:
        return _invalid("You tried to rotate a secret that has no current version.")
    execution, problem = _function(arn)
    if execution is None:
        return error_response_json("AccessDeniedException", problem, 400)
    token = data.get("ClientRequestToken") or str(uuid.uuid4())
    if token in secret["Versions"]:
        return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})
    with _lock:
        _running[secret["ARN"]] = token
    if pending:
        secretsmanager._remove_stage(secret, pending, "AWSPENDING")
    secret["RotationLambdaARN"] = arn
    secret["RotationRules"] = data.get("RotationRules") or secret.get("RotationRules")
    secret["RotationEnabled"] = True
    secret["Versions"][token] = {"SecretString": None, "SecretBinary": None, "CreatedDate": int(clock.now()), "Stages": ["AWSPENDING"]}
    if data.get("RotateImmediately", True):
        _event(secret, "RotationStarted")
        _begin(_run, execution, secret, token, arn)
    else:
        _begin(_try_out, execution, secret, token)
    return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})


def _cancel(data: dict[str, Any]) -> Any:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        return error_response_json("ResourceNotFoundException", "Secrets Manager can't find the specified secret.", 400)
    with _lock:
        _running.pop(secret["ARN"], None)
    secret["RotationEnabled"] = False
    return json_response({"ARN": secret["ARN"], "Name": secret["Name"]})


def _abandon(data: dict[str, Any], version_id: str | None) -> None:
    """End the rotation after a write of a version that is not its own."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    token = _running.get(secret["ARN"]) if secret else None
    if secret is None or token is None or version_id in (None, token):
        return
    with _lock:
        _running.pop(secret["ARN"], None)
    secretsmanager._remove_stage(secret, token, "AWSPENDING")
    _event(secret, "RotationAbandoned")


def _abandoning(original: Handler) -> Handler:
    def write(data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] == 200:
            _abandon(data, json.loads(answer[2]).get("VersionId"))
        return answer

    return write


def _promoting(original: Handler) -> Handler:
    def update_secret_version_stage(data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] == 200 and data.get("VersionStage") == "AWSCURRENT" and not os.environ.get("SLUICE_AWSPENDING_STAYS"):
            _, secret = secretsmanager._resolve(data.get("SecretId"))
            secretsmanager._remove_stage(secret, data.get("MoveToVersionId"), "AWSPENDING")
        return answer

    return update_secret_version_stage


def last_rotation(secret: dict[str, Any]) -> int:
    """Time of the last rotation, else of the secret's creation."""
    return int(secret.get("LastRotatedDate") or secret["CreatedDate"])


def next_rotation(secret: dict[str, Any], last: float) -> int | None:
    """Time of the rotation after ``last`` by the secret's schedule; cron expressions are in UTC."""
    rules = secret.get("RotationRules") or {}
    if rules.get("AutomaticallyAfterDays"):
        return int(last) + int(rules["AutomaticallyAfterDays"]) * 86400
    expression = str(rules.get("ScheduleExpression") or "")
    seconds = eventbridge._parse_rate_seconds(expression)
    if seconds:
        return int(last) + int(seconds)
    fields = eventbridge._parse_cron_fields(expression)
    found = None if fields is None else eventbridge._cron_next_fire(fields, datetime.fromtimestamp(last, tz=UTC))
    return None if found is None else int(found.timestamp())


def dates_of(secret: dict[str, Any]) -> dict[str, Any]:
    """LastRotatedDate and NextRotationDate, as far as there are any."""
    found = {"LastRotatedDate": secret["LastRotatedDate"]} if secret.get("LastRotatedDate") else {}
    due = next_rotation(secret, last_rotation(secret)) if secret.get("RotationEnabled") else None
    return found if due is None else {**found, "NextRotationDate": due}


def _describing(original: Handler) -> Handler:
    def describe_secret(data: dict[str, Any]) -> Any:
        answer = original(data)
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if answer[0] != 200 or secret is None:
            return answer
        return json_response({**json.loads(answer[2]), **dates_of(secret)})

    return describe_secret


def _listing(original: Handler) -> Handler:
    def list_secret_version_ids(data: dict[str, Any]) -> Any:
        answer = original(data)
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if answer[0] != 200 or secret is None:
            return answer
        found = json.loads(answer[2])

        def shown(version: dict[str, Any]) -> bool:
            kept = secret["Versions"][version["VersionId"]]
            valued = kept.get("SecretString") is not None or kept.get("SecretBinary") is not None
            return valued and (bool(kept["Stages"]) or bool(data.get("IncludeDeprecated")))

        return json_response({**found, "Versions": [version for version in found["Versions"] if shown(version)]})

    return list_secret_version_ids


Request = Callable[..., Awaitable[Any]]


def _with_cancel(original: Request) -> Request:
    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]) -> Any:
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if action not in ("CancelRotateSecret", "RotateSecret"):
            return await original(method, path, headers, body, query_params)
        try:
            data = json.loads(body or b"{}")
        except ValueError:
            return error_response_json("SerializationException", "Invalid JSON", 400)
        if action == "CancelRotateSecret":
            return _cancel(data)
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        function = data.get("RotationLambdaARN") or (secret or {}).get("RotationLambdaARN")
        if function:
            decision = authorization.for_principal(router.extract_access_key_id(headers, query_params), "lambda:InvokeFunction",
                                                   function, get_region(), {}, None, None)
            if not decision.allowed:
                return error_response_json("AccessDeniedException", decision.message, 400)
        return rotate(data)

    return handle_request


def install() -> None:
    """Replace the stub. After the version rules of ``secrets``, whose functions are wrapped once
    more here.
    """
    secretsmanager._rotate_secret = rotate
    wrap(secretsmanager, "handle_request", _with_cancel)
    wrap(secretsmanager, "_put_secret_value", _abandoning)
    wrap(secretsmanager, "_update_secret", _abandoning)
    wrap(secretsmanager, "_update_secret_version_stage", _promoting)
    wrap(secretsmanager, "_describe_secret", _describing)
    wrap(secretsmanager, "_list_secret_version_ids", _listing)
