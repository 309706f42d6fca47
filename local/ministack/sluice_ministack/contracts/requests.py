"""A request on the wire as an operation of a service and its input."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from defusedxml.ElementTree import ParseError, fromstring

from . import forms, markup
from .check import Problem
from .model import PROTOCOLS, Member, Operation, Service, Shape, service_of

_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
# Parameters of the signature and of the SDKs, which are no members.
_TECHNICAL = re.compile(r"x-id|X-Amz-.*", re.IGNORECASE)
_METADATA = ("Action", "Version")

Query = dict[str, list[str]]


@dataclass
class Request:
    """A request; the path is decoded, the names of the headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    query: Query
    body: bytes


@dataclass
class Call:
    """The operation that a request calls, its input, and what could not be decoded."""

    service: str
    operation: Operation | None
    parameters: Any
    name: str = ""
    problems: list[Problem] = field(default_factory=list)
    # False if there is no model, or none in a protocol that is decoded here.
    has_model: bool = True


def signed_service(headers: dict[str, str]) -> str:
    """The service that the signature of a request names, ``""`` without one."""
    found = _SCOPE.search(headers.get("authorization", ""))
    return found[1] if found else ""


def decode(request: Request) -> Call:
    """The call of a request."""
    signed = signed_service(request.headers)
    service = service_of(signed) if signed else None
    if service is None:
        return Call(signed or "an unnamed service", None, None, problems=[
            Problem("the signature", repr(signed), "the signing name of a service that botocore knows")], has_model=False)
    if "json" in service.offered and "x-amz-target" in request.headers:
        return _json(service, request)
    if "query" in service.offered and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return _query(service, request)
    if service.protocol in ("rest-json", "rest-xml"):
        return _rest(service, request)
    return Call(service.name, None, None, problems=[Problem(
        "the protocol", f"{request.method} {request.path} with {request.headers.get('content-type', 'no content type')}", service.protocol)],
        has_model=service.protocol in PROTOCOLS)


def _json(service: Service, request: Request) -> Call:
    prefix, _, name = request.headers["x-amz-target"].rpartition(".")
    call = Call(service.name, service.operation(name), {}, name)
    if prefix != service.target:
        call.problems.append(Problem("the header X-Amz-Target", repr(prefix), service.target))
    expected = f"application/x-amz-json-{service.json_version}"
    if request.headers.get("content-type", "") != expected:
        call.problems.append(Problem("the header Content-Type", repr(request.headers.get("content-type", "")), expected))
    call.parameters = _json_body(request.body, call)
    return call


def _json_body(body: bytes, call: Call) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        call.problems.append(Problem("the body", "a text that is not JSON", "JSON"))
        return {}


def _query(service: Service, request: Request) -> Call:
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    name, version = form.get("Action", ""), form.get("Version", "")
    operation = service.operation(name)
    call = Call(service.name, operation, {}, name)
    if version != service.version:
        call.problems.append(Problem("Version", repr(version), service.version))
    if operation is not None:
        call.parameters = forms.decode({key: value for key, value in form.items() if key not in _METADATA}, operation.input)
    return call


@dataclass(frozen=True)
class _Route:
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    literals: tuple[tuple[str, str], ...]
    size: int
    operation: Operation
    needed: tuple[Member, ...]
    parameters: frozenset[str]
    any_parameter: bool


@lru_cache(maxsize=64)
def _routes(service: Service) -> dict[str, list[_Route]]:
    found: dict[str, list[_Route]] = {}
    for operation in service.operations:
        template, _, query = operation.uri.partition("?")
        names = tuple(re.findall(r"{(\w+)\+?}", template))
        # A name in a path holds a slash if it is an ARN; a bucket's holds none.
        simple = "([^/]+)" if service.name == "s3" else "(.+)"
        pattern = re.sub(r"\\{\w+\\}", lambda _: simple, re.sub(r"\\{\w+\\\+\\}", lambda _: "(.+)", re.escape(template.rstrip("/") or "/")))
        shape = operation.input
        needed = tuple(one for name in shape.required if (one := shape.by_name[name]).location in ("querystring", "header")) if shape else ()
        literals = tuple(parse_qsl(query, keep_blank_values=True))
        queried = [one for one in shape.by_name.values() if one.location == "querystring"] if shape else []
        found.setdefault(operation.method, []).append(_Route(
            re.compile(pattern + ("" if pattern.endswith("/") else "/?")), names, literals, len(re.sub(r"{[^}]*}", "", template)), operation,
            needed, frozenset(name for name, _ in literals) | {one.location_name for one in queried},
            any(one.shape.kind == "map" for one in queried)))
    return found


def _rest(service: Service, request: Request) -> Call:
    best: tuple[tuple[int, ...], _Route, re.Match[str]] | None = None
    for route in _routes(service).get(request.method, []):
        matched = route.pattern.fullmatch(request.path)
        if matched is None or not all(name in request.query and (not value or request.query[name] == [value]) for name, value in route.literals):
            continue
        there = sum(member.location_name in request.query if member.location == "querystring" else member.location_name.lower() in request.headers
                    for member in route.needed)
        score = (len(route.literals), route.size, there == len(route.needed), there, -len(_unknown_parameters(route, request)),
                 not route.operation.deprecated)
        if best is None or score > best[0]:
            best = score, route, matched
    if best is None:
        return Call(service.name, None, None, f"{request.method} {request.path}")
    _, route, matched = best
    operation = route.operation
    call = Call(service.name, operation, {}, operation.name)
    shape = operation.input
    if shape is not None:
        call.parameters = _bound(shape, dict(zip(route.names, matched.groups(), strict=True)), request)
        call.parameters.update(_body(service, shape, request.body, call))
    for name in _unknown_parameters(route, request):
        expected = ", ".join(sorted(route.parameters)) or "none"
        call.problems.append(Problem(name, "an unknown parameter of the address", f"one of {expected}"))
    return call


def _unknown_parameters(route: _Route, request: Request) -> list[str]:
    """The parameters of an address that an operation does not have."""
    if route.any_parameter:
        return []
    return [name for name in request.query if name not in route.parameters and not _TECHNICAL.fullmatch(name)]


def _bound(shape: Shape, places: dict[str, str], request: Request) -> dict[str, Any]:
    """The members in the path, the query and the headers."""
    found: dict[str, Any] = {}
    for member in shape.by_name.values():
        if member.location == "uri" and member.location_name in places:
            found[member.wire] = markup.scalar(places[member.location_name], member)
        elif member.location == "querystring" and member.location_name in request.query:
            values = request.query[member.location_name]
            if member.shape.kind == "list":
                found[member.wire] = [markup.scalar(one, member.shape.member) for one in values]
            else:
                found[member.wire] = markup.scalar(values[0], member)
    found.update(headers_of(shape, request.headers))
    return found


def headers_of(shape: Shape, headers: dict[str, str]) -> dict[str, Any]:
    """The members of a shape in headers."""
    found: dict[str, Any] = {}
    for member in shape.by_name.values():
        if member.location == "headers":
            prefix = member.location_name.lower()
            found[member.wire] = {name[len(prefix):]: value for name, value in headers.items() if name.startswith(prefix)}
        elif member.location == "header" and (text := headers.get(member.location_name.lower())) is not None:
            if member.shape.kind == "list":
                found[member.wire] = [markup.scalar(one.strip(), member.shape.member) for one in text.split(",")]
            else:
                found[member.wire] = markup.scalar(text, member)
    return found


def _body(service: Service, shape: Shape, body: bytes, call: Call) -> dict[str, Any]:
    """The members in the body."""
    decoded, problem = body_of(service.protocol, shape, body)
    if problem:
        call.problems.append(problem)
    return decoded


def body_of(protocol: str, shape: Shape, body: bytes) -> tuple[dict[str, Any], Problem | None]:
    """The members of a shape in the body of a request or an answer of a REST protocol."""
    payload = shape.by_name[shape.payload] if shape.payload else None
    if payload is not None and payload.shape.kind in ("blob", "string"):
        return {payload.wire: body if payload.shape.kind == "blob" else body.decode("utf-8", "replace")} if body else {}, None
    if not body.strip():
        return {}, None
    if protocol == "rest-json":
        try:
            value = json.loads(body)
        except ValueError:
            return {}, Problem("the body", "a text that is not JSON", "JSON")
    else:
        try:
            root = fromstring(body)
        except ParseError:
            return {}, Problem("the body", "a text that is not XML", "XML")
        value = markup.decode(root, payload.shape if payload else shape)
    if payload is not None:
        return {payload.wire: value}, None
    return value if isinstance(value, dict) else {"": value}, None
