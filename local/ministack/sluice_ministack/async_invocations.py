"""Asynchronous invocations: retries under one request id, destinations and dead-letter queues.

MiniStack sends the same shortened record everywhere, has no event bus as a destination, checks no
permission and loses throttled events. Here [pages: Error handling for asynchronous invocation;
Capturing records of Lambda asynchronous invocations]:

- two retries after an error (MaximumRetryAttempts), with the same request id; a throttled event
  is retried until it is too old;
- the record of a destination (OnFailure, OnSuccess): a queue's message, a topic's message, a
  function's event, or the detail of an event of source ``lambda`` on a bus; the execution role
  needs the permission for it, and the key behind a queue or topic must admit the role;
- DeadLetterConfig: the event itself, with the attributes RequestID, ErrorCode and ErrorMessage.

A configuration for a version or ``$LATEST`` counts, not one for an alias.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, lambda_svc

from . import deliveries, event_buses, faults
from .deliveries import Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.lambda_svc", "invoke_async_with_retry", ("func", "event")),
    Target("ministack.services.lambda_svc", "_execute_function", ("func", "event")),
    Target("ministack.services.lambda_svc", "_execute_function_dispatch", ("func", "config", "event", "request_id", "started")),
    Target("ministack.services.lambda_svc", "_account_region_from_function_config", ("config",)),
    Target("ministack.services.lambda_svc", "_get_event_invoke_config", ("func_name", "qualifier")),
    Target("ministack.services.lambda_svc", "_put_event_invoke_config", ("func_name", "qualifier", "data")),
    Target("ministack.services.lambda_svc", "_delete_event_invoke_config", ("func_name", "qualifier")),
    Target("ministack.services.lambda_svc", "_LAMBDA_ASYNC_RETRY_BASE_SECONDS"),
    Target("ministack.services.lambda_svc", "_LAMBDA_ASYNC_RETRY_MAX_SECONDS"),
    Target("ministack.services.cloudwatch", "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions")),
)

_log = logging.getLogger("sluice.async-invocations")
_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("sluice_async_request_id", default="")


@dataclass
class Invocation:
    """The invocation of a function with one event."""

    func: dict[str, Any]
    event: Any
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    count: int = 0

    @property
    def config(self) -> dict[str, Any]:
        """The function's configuration."""
        found: dict[str, Any] = self.func.get("config") or self.func
        return found

    @property
    def version(self) -> str:
        """The version that runs."""
        return str(self.config.get("Version") or "$LATEST")

    @property
    def sender(self) -> Sender:
        """The execution role, which Lambda has assumed already."""
        return Sender("lambda.amazonaws.com", str(self.config["FunctionArn"]), str(self.config.get("Role") or ""),
                      str(self.config.get("FunctionName")), assumed=True)

    def settings(self) -> dict[str, Any]:
        """The EventInvokeConfig in force."""
        configs = self.func.get("event_invoke_configs") or {}
        names = ("", "$LATEST") if self.version == "$LATEST" else (self.version,)
        return next((configs[name] for name in names if configs.get(name)), {})

    def run(self) -> None:
        """Retry until it succeeds, runs out of attempts or is too old."""
        settings = self.settings()
        retries, age = settings.get("MaximumRetryAttempts"), int(settings.get("MaximumEventAgeInSeconds") or 21600)
        errors, waits = 0, 0
        while True:
            result = self._once()
            throttled = bool(result.get("throttle"))
            if not throttled and not result.get("error"):
                self._finish(settings, "OnSuccess", "Success", result)
                return
            errors += 0 if throttled else 1
            if errors > (2 if retries is None else int(retries)):
                self._finish(settings, "OnFailure", "RetriesExhausted", result)
                return
            wait = min(lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS * 2 ** waits, lambda_svc._LAMBDA_ASYNC_RETRY_MAX_SECONDS)
            waits += 1
            if time.time() - self.started + wait > age:
                self._finish(settings, "OnFailure", "EventAgeExceeded", None if throttled else result)
                return
            time.sleep(wait)

    def _once(self) -> dict[str, Any]:
        token = _request_id.set(self.request_id)
        self.count += 1
        try:
            result: dict[str, Any] = lambda_svc._execute_function(self.func, self.event)
        finally:
            _request_id.reset(token)
        return result

    def record(self, condition: str, result: dict[str, Any] | None) -> dict[str, Any]:
        """The record of a destination."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        found: dict[str, Any] = {
            "version": "1.0", "timestamp": stamp, "requestContext": {
                "requestId": self.request_id, "functionArn": f"{self.config['FunctionArn']}:{self.version}"
                if self.config["FunctionArn"].count(":") == 6 else self.config["FunctionArn"],
                "condition": condition, "approximateInvokeCount": self.count},
            "requestPayload": self.event}
        if result is not None:
            error = {"functionError": result.get("function_error") or "Unhandled"} if result.get("error") else {}
            found["responseContext"] = {"statusCode": 200, "executedVersion": self.version, **error}
            found["responsePayload"] = payload_of(result)
        return found

    def _finish(self, settings: dict[str, Any], kind: str, condition: str, result: dict[str, Any] | None) -> None:
        destination = ((settings.get("DestinationConfig") or {}).get(kind) or {}).get("Destination")
        if destination:
            self._hand_on(str(destination), kind, self.record(condition, result))
        dead_letters = (self.config.get("DeadLetterConfig") or {}).get("TargetArn")
        if dead_letters and kind == "OnFailure":
            self._to_dead_letters(str(dead_letters), result or {})

    def _attempt(self, metric: str, send: Callable[[], None]) -> None:
        try:
            send()
        except (Undelivered, faults.Struck) as problem:
            _log.warning("%s: %s", self.config["FunctionArn"], problem)
            cloudwatch.record_metric("AWS/Lambda", metric, 1, "Count", {"FunctionName": str(self.config.get("FunctionName"))})

    def _hand_on(self, arn: str, kind: str, record: dict[str, Any]) -> None:
        body = json.dumps(record)
        ways: dict[str, Callable[[], None]] = {
            "sqs": lambda: deliveries.to_queue(self.sender, arn, body),
            "sns": lambda: deliveries.to_topic(self.sender, arn, body),
            "lambda": lambda: deliveries.to_function(self.sender, arn, body),
            "events": lambda: event_buses.put(
                self.sender, arn, "lambda", f"Lambda Function Invocation Result - {'Success' if kind == 'OnSuccess' else 'Failure'}",
                [record["requestContext"]["functionArn"], arn], body),
        }
        way = ways.get(arn.split(":")[2])
        if way is None:
            _log.warning("%s: the destination %s is not imitated", self.config["FunctionArn"], arn)
        else:
            self._attempt("DestinationDeliveryFailures", way)

    def _to_dead_letters(self, arn: str, result: dict[str, Any]) -> None:
        payload = payload_of(result)
        message = str(payload.get("errorMessage", "")) if isinstance(payload, dict) else ""
        attributes: dict[str, str | int] = {"RequestID": self.request_id, "ErrorCode": 200, "ErrorMessage": message[:1024] or "unknown"}
        body = json.dumps(self.event)
        if arn.split(":")[2] == "sns":
            self._attempt("DeadLetterErrors", lambda: deliveries.to_topic(
                self.sender, arn, body, attributes=deliveries.typed(attributes)))
        else:
            self._attempt("DeadLetterErrors", lambda: deliveries.to_queue(self.sender, arn, body, attributes))


def payload_of(result: dict[str, Any]) -> Any:
    """A function's response, parsed if it is JSON."""
    body = result.get("body")
    if isinstance(body, (bytes, str)):
        try:
            return json.loads(body or b"null")
        except ValueError:
            return body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return body


def invoke(func: dict[str, Any], event: Any) -> None:
    """Accept an event for a function, and run it in the background."""
    invocation = Invocation(func, event)
    account, region = lambda_svc._account_region_from_function_config(invocation.config)
    with request_scope(account, region):
        context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(invocation.run,), name="sluice-async-invocation", daemon=True).start()


def _under_one_id(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(func: dict[str, Any], function_config: dict[str, Any], event: Any, request_id: str, started: float) -> Any:
        return original(func, function_config, event, _request_id.get() or request_id, started)

    return execute


def _latest(original: Callable[..., Any]) -> Callable[..., Any]:
    """``$LATEST`` and no qualifier are the same configuration."""
    def call(func_name: str, qualifier: str | None = None, *more: Any) -> Any:
        return original(func_name, None if qualifier == "$LATEST" else qualifier, *more)

    return call


def install() -> None:
    """Replace MiniStack's asynchronous path."""
    lambda_svc.invoke_async_with_retry = invoke
    wrap(lambda_svc, "_execute_function_dispatch", _under_one_id)
    for name in ("_get_event_invoke_config", "_put_event_invoke_config", "_delete_event_invoke_config"):
        wrap(lambda_svc, name, _latest)
