"""Every request of a deployed function is checked before it is served, and every answer before it
is sent.

A request that breaks its contract is answered with a refusal as AWS would send it, and recorded as
a breach. An answer that breaks its contract is sent as it is, and recorded: the local cloud is
wrong, not the function. Of the AWS CLI and the SAM CLI only the requests are recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import ministack.app as app
from defusedxml.ElementTree import ParseError, fromstring

from .. import faults
from ..patching import Target, wrap
from . import answers, breaches, markup, requests, rules, senders
from .check import Problem, problems_of

TARGETS = (
    *senders.TARGETS,
    Target("ministack.app", "_dispatch_service_request", ("method", "path", "headers", "body", "query_params", "request_id")),
)

_log = logging.getLogger("sluice.contracts")
_CODES = {"query": "ValidationError", "rest-xml": "InvalidRequest"}

Dispatch = Callable[..., Awaitable[Any]]


def problems_of_request(call: requests.Call) -> list[Problem]:
    """What is wrong with a decoded request."""
    found = list(call.problems)
    operation = call.operation
    if operation is None:
        return found or [Problem("the operation", repr(call.name), "an operation of the service")]
    if operation.input is None:
        if call.parameters:
            found.append(Problem("the input", ", ".join(call.parameters), "no members"))
        return found
    return found + problems_of(call.parameters, operation.input) + rules.problems(operation, call.parameters)


def check_request(call: requests.Call, sender: str) -> list[breaches.Breach]:
    """Record what is wrong with a request."""
    return [breaches.add("request", sender, call.service, call.operation.name if call.operation else call.name, problem)
            for problem in problems_of_request(call)]


def check_answer(call: requests.Call, sender: str, request: requests.Request, answer: Any) -> None:
    """Record what is wrong with an answer."""
    status, headers, body = answer
    operation = call.operation
    if operation is None or request.method == "HEAD" or not isinstance(body, (bytes, str)) or faults.INJECTED in headers:
        return
    breaches.count(operation.service.name, operation.name)
    data = body.encode() if isinstance(body, str) else body
    compare = answers.problems if status < 300 else answers.error_problems
    for problem in compare(operation, headers, data, operation.service.protocol == "query"):
        breaches.add("answer", sender, operation.service.name, operation.name, problem)
    if status < 300 and (operation.service.name, operation.name) == ("sts", "AssumeRole"):
        _follow(data, sender)


def _follow(body: bytes, sender: str) -> None:
    """The session that a function got is the function's, too."""
    try:
        root = fromstring(body)
    except ParseError:
        return
    for element in root.iter():
        if markup.local(element.tag) == "AccessKeyId" and element.text:
            senders.register(element.text, sender)


def _refusal(call: requests.Call, breach: breaches.Breach, headers: dict[str, str]) -> Any:
    protocol = call.operation.service.protocol if call.operation else ""
    code = _CODES.get(protocol, "ValidationException")
    if protocol == "rest-json":
        headers = {**headers, "content-type": "application/json"}
    return faults.answer(faults.Struck(code, f"{breach.member}: found {breach.found}, expected {breach.expected}", 400), headers)


def _checking(original: Dispatch) -> Dispatch:
    async def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any],
                       request_id: str) -> Any:
        function = senders.function_of(headers, query_params)
        sender = function or senders.tool_of(headers)
        if sender is None:
            return await original(method, path, headers, body, query_params, request_id)
        request = requests.Request(method, path, headers, query_params, body)
        call = requests.decode(request)
        if function is None:
            # The AWS CLI may call any service, EC2 in a protocol of its own.
            if call.has_model:
                check_request(call, sender)
            return await original(method, path, headers, body, query_params, request_id)
        found = check_request(call, sender)
        if found:
            return _refusal(call, found[0], headers)
        answer = await original(method, path, headers, body, query_params, request_id)
        check_answer(call, function, request, answer)
        return answer

    return dispatch


def install() -> None:
    """Check the requests. Installed last, so that what is injected is checked, too."""
    senders.install()
    wrap(app, "_dispatch_service_request", _checking)
