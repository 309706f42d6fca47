"""Event source mappings of queues: the role's permissions, and partial batch responses.

MiniStack checks no permissions, and accepts every response. Here [pages: Using Lambda with Amazon
SQS; Implementing partial batch responses; CreateEventSourceMapping]:

- CreateEventSourceMapping is rejected unless the execution role may receive and delete messages and
  read the queue's attributes, and decrypt with the queue's key (kms:Decrypt);
- with ReportBatchItemFailures an empty list, null or no list is a success; a list with a null,
  empty, wrongly named or unknown itemIdentifier, and an answer that is no JSON object, fail the
  whole batch.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import kms, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from . import authorization, deliveries
from .async_invocations import payload_of
from .cfn_types import Made, Properties
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.lambda_svc", "_create_esm", ("data",)),
    Target("ministack.services.lambda_svc", "_run_sqs_batch", ("esm", "func_rec", "event", "batch", "queue_url", "queue_name")),
    Target("ministack.services.lambda_svc", "_execute_function", ("func", "event")),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.sqs", "_queue_by_arn", ("arn",)),
    Target("ministack.services.kms", "_resolve_key"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_batch: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("sluice_batch", default=())


def _allowed(function_ref: str, queue_arn: str) -> str:
    """The reason why the function's role may not read the queue; ``""`` if it may, or if either
    does not exist.
    """
    _, function_config, _ = lambda_svc._get_func_record_for_ref(function_ref)
    queue = sqs._queue_by_arn(queue_arn)
    if not function_config or queue is None:
        return ""
    role, session = str(function_config["Role"]), str(function_config["FunctionName"])
    policy = (queue["attributes"].get("Policy") or "", queue_arn.split(":")[4])
    for action in ACTIONS:
        if not authorization.for_role(role, session, f"sqs:{action}", queue_arn, policy).allowed:
            return f"The provided execution role does not have permissions to call {action} on SQS"
    key_id = queue["attributes"].get("KmsMasterKeyId", "")
    if key_id and ":alias/aws/" not in f":{key_id}":
        with deliveries.owning(queue_arn):
            key, key_policy = kms._resolve_key(key_id), kms.key_policy_for_arn(key_id)
        if key and not authorization.for_role(role, session, "kms:Decrypt", str(key["Arn"]), key_policy).allowed:
            return "The provided execution role does not have permissions to call Decrypt on KMS"
    return ""


def _checked(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def create(data: dict[str, Any]) -> Any:
        arn = str(data.get("EventSourceArn", ""))
        problem = _allowed(str(data.get("FunctionName", "")), arn) if ":sqs:" in arn else ""
        return error_response_json("InvalidParameterValueException", problem, 400) if problem else original(data)

    return create


def failures_of(answer: Any, identifiers: tuple[str, ...]) -> list[str]:
    """The messages of a batch that failed by the function's response."""
    if answer is None:
        return []
    listed = answer.get("batchItemFailures") if isinstance(answer, dict) else False
    if listed is None or listed == []:
        return []
    if not isinstance(listed, list):
        return list(identifiers)
    failed = [one.get("itemIdentifier") if isinstance(one, dict) else None for one in listed]
    return [str(one) for one in failed] if all(one in identifiers for one in failed) else list(identifiers)


def _reporting(original: Callable[..., None]) -> Callable[..., None]:
    def run(esm: dict[str, Any], func_rec: dict[str, Any], event: dict[str, Any], *more: Any) -> None:
        reports = "ReportBatchItemFailures" in (esm.get("FunctionResponseTypes") or [])
        token = _batch.set(tuple(record["messageId"] for record in event["Records"]) if reports else ())
        try:
            original(esm, func_rec, event, *more)
        finally:
            _batch.reset(token)

    return run


def _read(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def execute(func: dict[str, Any], event: Any) -> dict[str, Any]:
        result = original(func, event)
        identifiers = _batch.get()
        if identifiers and not result.get("error"):
            failed = failures_of(payload_of(result), identifiers)
            return {**result, "body": {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}}
        return result

    return execute


def _checked_type(handlers: dict[str, Any]) -> dict[str, Any]:
    create = handlers["create"]

    def create_mapping(logical_id: str, props: Properties, stack_name: str) -> Made:
        arn = str(props.get("EventSourceArn", ""))
        problem = _allowed(str(props.get("FunctionName", "")), arn) if ":sqs:" in arn else ""
        if problem:
            raise ValueError(f"AWS::Lambda::EventSourceMapping: {problem} (Service: Lambda, Status Code: 400)")
        made: Made = create(logical_id, props, stack_name)
        return made

    return {**handlers, "create": create_mapping}


def install() -> None:
    """Check mappings and evaluate the functions' responses."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::Lambda::EventSourceMapping"] = _checked_type(handlers["AWS::Lambda::EventSourceMapping"])
    wrap(lambda_svc, "_create_esm", _checked)
    wrap(lambda_svc, "_run_sqs_batch", _reporting)
    wrap(lambda_svc, "_execute_function", _read)
