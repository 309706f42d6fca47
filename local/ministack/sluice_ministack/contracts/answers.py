"""The answer to a call, decoded and compared with the operation's output."""

from __future__ import annotations

import json
from typing import Any

from defusedxml.ElementTree import ParseError, fromstring

from . import markup, requests
from .check import Problem, problems_of
from .model import Operation

# Errors of every operation: pages Common errors and Common error types of the API references.
COMMON = frozenset((
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InternalFailure",
    "InvalidAction", "InvalidClientTokenId", "InvalidParameterCombination", "InvalidParameterValue", "InvalidQueryParameter",
    "InvalidSignatureException", "MalformedQueryString", "MissingAction", "MissingAuthenticationToken", "MissingParameter", "NotAuthorized",
    "OptInRequired", "RequestExpired", "RequestThrottled", "ServiceUnavailable", "SignatureDoesNotMatch", "Throttling",
    "ThrottlingException", "UnrecognizedClientException", "ValidationError", "ValidationException"))
# Its only element is the value itself (smithy trait aws.customizations#s3UnwrappedXmlOutput).
_UNWRAPPED = "GetBucketLocation"


def problems(operation: Operation, headers: dict[str, str], body: bytes, queried: bool) -> list[Problem]:
    """The differences of a successful answer from the output of its operation. ``queried`` is true
    if the request was in the Query protocol.
    """
    shape = operation.output
    if shape is None:
        return []
    if queried:
        return _of_query(operation, body)
    protocol = operation.service.protocol
    if protocol in ("rest-json", "rest-xml"):
        if operation.name == _UNWRAPPED:
            return _of_location(operation, body)
        value, problem = requests.body_of(protocol, shape, body)
        value.update(requests.headers_of(shape, {name.lower(): str(text) for name, text in headers.items()}))
        return [problem] if problem else problems_of(value, shape, answer=True)
    try:
        parsed: Any = json.loads(body or b"{}")
    except ValueError:
        return [Problem("the body", "a text that is not JSON", "JSON")]
    return problems_of(parsed, shape, answer=True)


def _of_query(operation: Operation, body: bytes) -> list[Problem]:
    shape = operation.output
    assert shape is not None, "the caller has one"
    try:
        root = fromstring(body)
    except ParseError:
        return [Problem("the body", "a text that is not XML", "XML")]
    if markup.local(root.tag) != f"{operation.name}Response":
        return [Problem("the root element", markup.local(root.tag), f"{operation.name}Response")]
    if operation.wrapper is not None:
        root = next((one for one in root if markup.local(one.tag) == operation.wrapper), None)
        if root is None:
            return [Problem("the root element", f"no element {operation.wrapper}", "that element")] if shape.members else []
    return problems_of(markup.decode(root, shape), shape, answer=True)


def _of_location(operation: Operation, body: bytes) -> list[Problem]:
    shape = operation.output
    assert shape is not None, "the caller has one"
    try:
        text = fromstring(body).text or ""
    except ParseError:
        return [Problem("the body", "a text that is not XML", "XML")]
    # An empty element means us-east-1 (page GetBucketLocation).
    return problems_of({"LocationConstraint": text} if text else {}, shape, answer=True)


def error_problems(operation: Operation, headers: dict[str, str], body: bytes, queried: bool) -> list[Problem]:
    """The difference of a failed answer from the errors of its operation. The models leave out the
    codes of Amazon S3.
    """
    if operation.service.protocol == "rest-xml":
        return []
    code = _code(headers, body, queried)
    if code in operation.error_codes or code in COMMON:
        return []
    known = ", ".join(sorted(operation.error_codes)) or "none"
    return [Problem("the error code", repr(code), f"one that the operation declares ({known}), or a common one")]


def _code(headers: dict[str, str], body: bytes, queried: bool) -> str:
    try:
        if queried:
            return next((one.text or "" for one in fromstring(body).iter() if markup.local(one.tag) == "Code"), "")
        parsed = json.loads(body or b"{}")
    except (ParseError, ValueError):
        return ""
    named = {name.lower(): str(value) for name, value in headers.items()}.get("x-amzn-errortype", "")
    text = str(parsed.get("__type") or parsed.get("code") or named) if isinstance(parsed, dict) else named
    return text.rsplit("#", 1)[-1].split(":", 1)[0]
