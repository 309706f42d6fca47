"""Custom resources delivered as CloudFormation delivers them.

MiniStack invokes the function once and accepts any response. Here [pages: Custom resource request
and response reference; Lambda, Error handling for asynchronous invocation;
AWS::CloudFormation::CustomResource]:

- the function is invoked asynchronously: two retries after a function error (the wait between them
  is shortened by ``LAMBDA_ASYNC_RETRY_BASE_SECONDS``), and the stack waits for the response, at
  most ``ServiceTimeout`` seconds;
- the response goes by PUT to a URL that behaves as an S3 presigned URL: wrong or altered signature,
  a Content-Type or an expired URL is rejected with 403; the first response counts;
- the response is checked: at most 4096 bytes, a JSON object, RequestId, StackId and
  LogicalResourceId as sent, Status, PhysicalResourceId (1 to 1024 bytes, the same on Delete),
  Reason when FAILED;
- after a failed Create the rollback sends a Delete with the failed response's PhysicalResourceId,
  or one made by CloudFormation;
- a failed Update that gave a new PhysicalResourceId gets a Delete for it once the rollback is over;
- ``NoEcho`` masks the attributes where the stack shows them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from ministack.core.concurrency import run_reentrant
from ministack.core.responses import get_region
from ministack.services import cloudformation as cloudformation_service
from ministack.services import lambda_svc
from ministack.services.cloudformation import custom_resource, handlers, provisioners, stacks

from . import config
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudformation.custom_resource", "invoke_custom_resource",
           ("request_type", "logical_id", "props", "stack_name", "stack_id", "resource_type", "physical_id", "old_props")),
    Target("ministack.services.cloudformation.custom_resource", "_normalise_resource_properties", ("value",)),
    Target("ministack.services.cloudformation", "_stacks"),
    Target("ministack.services.cloudformation.stacks", "_roll_back_operation", ("stack_name", "stack_id", "stack", "operation")),
    Target("ministack.services.cloudformation.handlers", "_roll_back_operation"),
    Target("ministack.services.cloudformation.stacks", "_resolve_stack_outputs",
           ("outputs_defs", "conditions", "resources", "param_values", "mappings", "stack_name", "stack_id")),
    Target("ministack.services.cloudformation.provisioners", "_delete_resource",
           ("resource_type", "physical_id", "props", "stack_name", "logical_id")),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.lambda_svc", "_execution_record_for_config"),
    Target("ministack.services.lambda_svc", "invoke_async_with_retry", ("func", "event")),
    Target("ministack.core.concurrency", "run_reentrant", ("fn",)),
)

RESPONSE_PREFIX = "/cloudformation-custom-resource-response-"
MAX_BODY = 4096
MAX_PHYSICAL_ID = 1024
# A published sample URL expires about two hours after the request.
URL_SECONDS = 7200
MASK = "****"

_log = logging.getLogger("sluice.custom-resources")
_key = secrets.token_bytes(32)
_lock = threading.Lock()


class Failed(Exception):
    """The operation failed; ``physical_id`` is the response's, if it has one."""

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


@dataclass
class Delivery:
    """A request with its responses."""

    event: dict[str, Any]
    path: str
    expires: float
    bodies: list[bytes] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)


_by_path: dict[str, Delivery] = {}
_recent: deque[Delivery] = deque(maxlen=1000)
_failed_creates: set[tuple[str, str]] = set()
_strays: dict[str, list[tuple[str, str, str, dict[str, Any]]]] = {}
_no_echo: set[tuple[str, str]] = set()


def requests() -> list[dict[str, Any]]:
    """The recent requests and responses, oldest first, without response URLs."""
    with _lock:
        return [{**{name: value for name, value in one.event.items() if name != "ResponseURL"},
                 "Responses": [body.decode("utf-8", "replace") for body in one.bodies]} for one in _recent]


def _signature(path: str, date: str) -> str:
    return hmac.new(_key, f"PUT\n{path}\n{date}".encode(), hashlib.sha256).hexdigest()


def _open(event: dict[str, Any], stack_id: str, logical_id: str) -> Delivery:
    """Make the presigned URL of a request and wait for its PUT from now on."""
    name = f"{stack_id}|{logical_id}|{event['RequestId']}"
    path = f"{RESPONSE_PREFIX}{get_region().replace('-', '')}/{name}"
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    query = urlencode({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": date, "X-Amz-SignedHeaders": "host", "X-Amz-Expires": URL_SECONDS,
        "X-Amz-Credential": f"AKIACLOUDFORMATION00/{date[:8]}/{get_region()}/s3/aws4_request",
        "X-Amz-Signature": _signature(path, date),
    }, quote_via=quote)
    event["ResponseURL"] = f"{config.current().gateway_url}{quote(path, safe='/')}?{query}"
    delivery = Delivery(event, path, time.time() + URL_SECONDS)
    with _lock:
        _by_path[path] = delivery
        _recent.append(delivery)
    return delivery


def _s3_error(status: int, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return status, {"Content-Type": "application/xml"}, body.encode()


_MISMATCH = (403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "
                                           "Check your key and signing method.")


def receive(method: str, path: str, headers: dict[str, str], body: bytes,
            query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
    """Handle the PUT to a response URL as S3 does."""
    date = query.get("X-Amz-Date", [""])[0]
    given = query.get("X-Amz-Signature", [""])[0]
    delivery = _by_path.get(path)
    if method != "PUT" or delivery is None or not hmac.compare_digest(given, _signature(path, date)):
        return _s3_error(*_MISMATCH)
    if headers.get("content-type"):
        return _s3_error(*_MISMATCH)
    if "chunked" in headers.get("transfer-encoding", ""):
        return _s3_error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
    if time.time() > delivery.expires:
        return _s3_error(403, "AccessDenied", "Request has expired")
    with _lock:
        delivery.bodies.append(body)
    delivery.answered.set()
    return 200, {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}, b""


def check_answer(event: dict[str, Any], body: bytes) -> tuple[str, dict[str, Any], bool]:
    """Physical id, attributes and NoEcho of a valid response; raises Failed for any other.
    """
    if len(body) > MAX_BODY:
        raise Failed(f"Response object is too long: {len(body)} bytes, at most {MAX_BODY}.")
    try:
        answer = json.loads(body)
    except ValueError:
        raise Failed("Invalid response object: the body is not JSON.") from None
    if not isinstance(answer, dict):
        raise Failed("Invalid response object: the body is not a JSON object.")
    physical_id = answer.get("PhysicalResourceId")
    usable = physical_id if isinstance(physical_id, str) and 1 <= len(physical_id.encode()) <= MAX_PHYSICAL_ID else None
    for name in ("RequestId", "StackId", "LogicalResourceId"):
        if answer.get(name) != event[name]:
            raise Failed(f"Invalid response object: Value of property {name} must be {event[name]}, found {answer.get(name)!r}.",
                         usable)
    status = answer.get("Status")
    if status not in ("SUCCESS", "FAILED"):
        raise Failed(f"Invalid response object: Value of property Status must be SUCCESS or FAILED, found {status!r}.", usable)
    if usable is None:
        raise Failed("Invalid PhysicalResourceId: it must be a text of 1 to 1024 bytes.")
    if status == "FAILED":
        reason = answer.get("Reason")
        if not isinstance(reason, str) or not reason:
            raise Failed("Invalid response object: Value of property Reason must be a text that is not empty when Status is "
                         "FAILED.", usable)
        raise Failed(f"Received response status [FAILED] from custom resource. Message returned: {reason} "
                     f"(RequestId: {event['RequestId']})", usable)
    if event["RequestType"] == "Delete" and usable != event.get("PhysicalResourceId"):
        raise Failed(f"Invalid PhysicalResourceId: a Delete must answer {event.get('PhysicalResourceId')!r}, found {usable!r}.")
    data = answer.get("Data")
    if data is not None and not isinstance(data, dict):
        raise Failed("Invalid response object: Value of property Data must be an object.", usable)
    return usable, data or {}, answer.get("NoEcho") is True or answer.get("NoEcho") == "true"


def _timeout_of(props: dict[str, Any]) -> float:
    try:
        return float(props["ServiceTimeout"])
    except (KeyError, TypeError, ValueError):
        return config.current().custom_resource_timeout


def _deliver(event: dict[str, Any], props: dict[str, Any]) -> tuple[str, dict[str, Any], bool]:
    token = props.get("ServiceToken", "")
    if isinstance(token, str) and token.count(":") >= 6 and token.split(":")[3] != get_region():
        raise Failed(f"Invalid ServiceToken: {token} must be in the stack's Region {get_region()}.")
    record, function_config, _ = lambda_svc._get_func_record_for_ref(token)
    if record is None or function_config is None:
        raise Failed(f"Lambda function not found: {token} (ServiceToken of {event['LogicalResourceId']}).")
    delivery = _open(event, event["StackId"], event["LogicalResourceId"])
    try:
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, function_config), event)
        if not delivery.answered.wait(_timeout_of(props)):
            raise Failed("CloudFormation did not receive a response from your Custom Resource. Please check your logs for "
                         f"requestId [{event['RequestId']}].")
        return check_answer(event, delivery.bodies[0])
    finally:
        # A later PUT still gets 200 from S3, so the URL stays known until it is long out of use.
        with _lock:
            if len(_by_path) > 2000:
                del _by_path[next(iter(_by_path))]


def invoke(request_type: str, logical_id: str, props: dict[str, Any], stack_name: str, stack_id: str, resource_type: str,
           physical_id: str | None = None, old_props: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Send one request and wait for its response.

    Blocks, so only on a worker thread. Raises Failed.
    """
    normalise = custom_resource._normalise_resource_properties
    event: dict[str, Any] = {
        "RequestType": request_type, "ServiceToken": props.get("ServiceToken", ""), "ResponseURL": "", "StackId": stack_id,
        "RequestId": str(uuid.uuid4()), "LogicalResourceId": logical_id, "ResourceType": resource_type,
        "ResourceProperties": normalise(props),
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = normalise(old_props)
    try:
        answered, attributes, no_echo = _deliver(event, props)
    except Failed as failure:
        if request_type == "Create":
            _keep_failed_create(failure, logical_id, props, stack_name, stack_id, resource_type)
        elif request_type == "Update" and failure.physical_id not in (None, physical_id):
            _strays.setdefault(stack_id, []).append((resource_type, str(failure.physical_id), logical_id, props))
        raise
    (_no_echo.add if no_echo else _no_echo.discard)((stack_id, logical_id))
    return answered, attributes


def _keep_failed_create(failure: Failed, logical_id: str, props: dict[str, Any], stack_name: str, stack_id: str,
                        resource_type: str) -> None:
    """Leave the failed resource in the stack, so that the rollback, or a later DeleteStack, deletes
    it.
    """
    stack = cloudformation_service._stacks.get(stack_name)
    if stack is None:
        return
    made = f"{stack_name}-{logical_id}-{secrets.token_hex(6).upper()}"
    stack.setdefault("_resources", {})[logical_id] = {
        "PhysicalResourceId": failure.physical_id or made, "ResourceType": resource_type, "ResourceStatus": "CREATE_FAILED",
        "LogicalResourceId": logical_id, "Properties": props, "Attributes": {},
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    _failed_creates.add((stack_id, logical_id))


RollBack = Callable[..., Awaitable[None]]


def _deleting_failed(original: RollBack) -> RollBack:
    async def roll_back(stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], *args: Any,
                        **kwargs: Any) -> None:
        failed = operation.get("failed_logical_id")
        if failed and (stack_id, failed) in _failed_creates:
            _failed_creates.discard((stack_id, failed))
            operation = {**operation, "created": [*operation.get("created", []), failed]}
        await original(stack_name, stack_id, stack, operation, *args, **kwargs)
        for resource_type, physical_id, logical_id, props in _strays.pop(stack_id, []):
            try:
                await run_reentrant(provisioners._delete_resource, resource_type, physical_id, props, stack_name, logical_id)
            except Exception as problem:  # a cleanup failure never fails the rollback, as in MiniStack's own cleanup
                _log.warning("cleanup of %s (%s) failed: %s", logical_id, physical_id, problem)

    return roll_back


def _masking(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(outputs_defs: Any, conditions: Any, resources: dict[str, Any], param_values: Any, mappings: Any, stack_name: str,
                stack_id: str) -> Any:
        shown = {
            logical_id: {**record, "Attributes": dict.fromkeys(record.get("Attributes", {}), MASK)}
            if (stack_id, logical_id) in _no_echo else record
            for logical_id, record in resources.items()
        }
        return original(outputs_defs, conditions, shown, param_values, mappings, stack_name, stack_id)

    return resolve


def install() -> None:
    """Replace MiniStack's delivery."""
    custom_resource.invoke_custom_resource = invoke
    wrap(stacks, "_roll_back_operation", _deleting_failed)
    handlers._roll_back_operation = stacks._roll_back_operation
    wrap(stacks, "_resolve_stack_outputs", _masking)
