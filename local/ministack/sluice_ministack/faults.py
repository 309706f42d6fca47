"""Injected failures for tests: the next matching deliveries or requests fail as if the service had
failed.

Deliveries are sent by EventBridge, Lambda, CloudWatch and others; requests are sent by clients and
functions.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from xml.sax.saxutils import escape

import ministack.app as app

from . import holds
from .patching import Target, wrap

TARGETS = (
    Target("ministack.app", "_dispatch_service_request", ("method", "path", "headers", "body", "query_params", "request_id")),
)


# Marks an answer that is not a service's.
INJECTED = "x-sluice-fault"


class Struck(Exception):
    """An injected failure; ``code`` and ``status`` are those of the response."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass
class Fault:
    """The next ``times`` matches of the shell-style patterns fail."""

    action: str
    resource: str
    times: int
    code: str
    message: str
    status: int


_lock = threading.Lock()
_faults: list[Fault] = []


def order(fault: Fault) -> None:
    """Put a fault in force."""
    with _lock:
        _faults.append(fault)


def clear() -> None:
    """Withdraw every fault."""
    with _lock:
        _faults.clear()


def strike(action: str, resource: str) -> None:
    """Raise Struck if a fault matches."""
    with _lock:
        for fault in _faults:
            if fnmatchcase(action, fault.action) and fnmatchcase(resource, fault.resource):
                fault.times -= 1
                if fault.times <= 0:
                    _faults.remove(fault)
                raise Struck(fault.code, fault.message, fault.status)


def answer(struck: Struck, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """A failure in the protocol of the request."""
    if "json" in headers.get("content-type", ""):
        return (struck.status, {"Content-Type": headers["content-type"], "x-amzn-errortype": struck.code, INJECTED: "1"},
                json.dumps({"__type": struck.code, "message": struck.message}).encode())
    kind = "Sender" if struck.status < 500 else "Receiver"
    return struck.status, {"Content-Type": "text/xml", INJECTED: "1"}, (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(struck.code)}</Code><Message>{escape(struck.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>").encode()


def _striking(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any],
                       request_id: str) -> Any:
        if _faults:
            action, resource, _ = await holds.described(method, path, headers, body, query_params)
            try:
                strike(action, resource)
            except Struck as struck:
                return answer(struck, headers)
        return await original(method, path, headers, body, query_params, request_id)

    return dispatch


def install() -> None:
    """Inject the faults."""
    wrap(app, "_dispatch_service_request", _striking)
