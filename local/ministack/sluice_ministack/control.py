"""The gateway's own paths, ``/_sluice/*``: seam 2 of local/README.md, and the paths for tests
(README.md beside this package).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import ministack.app as app
from ministack.core.responses import request_scope

from . import authorization, clock, custom_resources, elasticache, events, faults, holds, recorder, s3_events, schedules, secret_listing, subscriptions
from .contracts import breaches
from .dashboards import pages
from .dashboards.data import Range
from .patching import Target, wrap

TARGETS = (
    Target("ministack.core.responses", "request_scope", ("account_id", "region")),
    Target("ministack.app", "_handle_post_body_shortcuts", ("method", "path", "headers", "body", "query_params", "request_id")),
)

PREFIX = "/_sluice/"
Answer = tuple[int, dict[str, str], bytes]
Query = dict[str, list[str]]


class BadRequest(Exception):
    """A request to a ``/_sluice/`` path is not valid; the text has the reason."""


def _answer(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _field(request: dict[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"the field {name!r} must be a text that is not empty, found {value!r}")
    return value


def _authorize(request: dict[str, Any]) -> Answer:
    return _answer(authorization.for_principal(
        _field(request, "access_key"), _field(request, "action"), _field(request, "resource"),
        request.get("region") or "us-east-1", request.get("context") or {}, request.get("resource_policy"),
        request.get("resource_account")).as_json())


def _authorize_service(request: dict[str, Any]) -> Answer:
    return _answer(authorization.for_service(
        _field(request, "service"), _field(request, "action"), _field(request, "resource"), request.get("context") or {},
        request.get("resource_policy")).as_json())


def _bucket(request: dict[str, Any]) -> Answer:
    found = s3_events.describe_bucket(_field(request, "bucket"))
    return _answer({"message": f"no bucket {request['bucket']}"}, 404) if found is None else _answer(found)


def _bucket_notification(request: dict[str, Any]) -> Answer:
    try:
        found = s3_events.change_entry(_field(request, "bucket"), _field(request, "integration_arn"), _field(request, "operation"))
    except ValueError as problem:
        raise BadRequest(str(problem)) from problem
    return _answer({}) if found else _answer({"message": f"no bucket {request['bucket']}"}, 404)


def _event(request: dict[str, Any]) -> Answer:
    events.put(_field(request, "account"), _field(request, "region"), _field(request, "source"), _field(request, "detail_type"),
               [str(arn) for arn in request.get("resources") or []], request.get("detail") or {})
    return _answer({})


def _hold(request: dict[str, Any]) -> Answer:
    phase = request.get("phase", "before")
    if phase not in holds.PHASES:
        raise BadRequest(f"phase must be before or after, found {phase!r}")
    number = holds.order(holds.Hold(
        _field(request, "action"), request.get("resource", "*"), request.get("principal", "*"), phase,
        int(request.get("skip", 0)), float(request.get("seconds", holds.DEFAULT_SECONDS))))
    return _answer({"hold": number})


def _fault(request: dict[str, Any]) -> Answer:
    faults.order(faults.Fault(
        _field(request, "action"), request.get("resource", "*"), int(request.get("times", 1)), request.get("code", "InternalError"),
        request.get("message", "an ordered failure"), int(request.get("status", 500))))
    return _answer({})


def _database_event(request: dict[str, Any]) -> Answer:
    service = _field(request, "service")
    if service not in ("rds", "redshift"):
        raise BadRequest(f"service must be rds or redshift, found {service!r}")
    published = subscriptions.publish(subscriptions.Event(
        service, _field(request, "account"), request.get("region") or "us-east-1", _field(request, "source_type"),
        _field(request, "source"), _field(request, "event_id"), _field(request, "message"),
        tuple(request.get("categories") or ()), request.get("severity", "INFO")))
    return _answer({"published": published})


def _secret(request: dict[str, Any]) -> Answer:
    arn = _field(request, "arn")
    found = secret_listing.change(arn, request.get("set") or {})
    return _answer({}) if found else _answer({"message": f"no secret {arn}"}, 404)


def _clock(request: dict[str, Any]) -> Answer:
    if "ahead" in request:
        clock.set_ahead(float(request["ahead"]))
    return _answer({"ahead": clock.ahead(), "now": clock.now()})


def _tick(request: dict[str, Any]) -> Answer:
    at = float(request.get("at") or clock.now())
    for name, fire in (("rule", schedules.fire_rule), ("schedule", schedules.fire_schedule)):
        if name in request:
            arn = _field(request, name)
            return _answer({}) if fire(arn, at) else _answer({"message": f"no scheduled {name} {arn}"}, 404)
    schedules.tick(at)
    return _answer({})


def _redis_server(request: dict[str, Any]) -> Answer:
    arn = _field(request, "arn")
    server = elasticache.Server(_field(request, "socket"), _field(request, "user"), _field(request, "password"))
    with request_scope(arn.split(":")[4], arn.split(":")[3]):
        found = elasticache.bind(arn, server)
    return _answer({}) if found else _answer({"message": f"no user or replication group {arn}"}, 404)


_POSTS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "authorize": _authorize,
    "authorize-service": _authorize_service,
    "bucket": _bucket,
    "bucket-notification": _bucket_notification,
    "clock": _clock,
    "database-event": _database_event,
    "event": _event,
    "fault": _fault,
    "hold": _hold,
    "redis-server": _redis_server,
    "secret": _secret,
    "tick": _tick,
}


async def _one_hold(method: str, rest: str, query: Query) -> Answer:
    text, _, verb = rest.partition("/")
    hold = holds.get(int(text)) if text.isdigit() else None
    if hold is None:
        return _answer({"message": f"no hold {text}"}, 404)
    if (method, verb) in (("POST", "release"), ("DELETE", "")):
        holds.release(int(text))
        return _answer({})
    if (method, verb) != ("GET", ""):
        raise BadRequest(f"no {method} on a hold's {verb or 'state'}")
    try:
        await asyncio.wait_for(hold.caught_event.wait(), float(query.get("wait", ["0"])[0]))
    except TimeoutError:
        pass
    return _answer(hold.state())


def _calls(method: str, query: Query) -> Answer:
    if method == "DELETE":
        recorder.clear()
        return _answer({})

    def one(name: str, default: str = "") -> str:
        return query.get(name, [default])[0]

    return _answer({"calls": recorder.calls(int(one("since", "0")), one("principal"), one("action"))})


def _breaches(method: str, query: Query) -> Answer:
    if method == "DELETE":
        breaches.clear()
        return _answer({})
    return _answer({"breaches": breaches.all_of(int(query.get("since", ["0"])[0])), "compared": breaches.compared()})


def _html(page: pages.Page) -> Answer:
    return page.status, {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}, (
        page.text.encode())


async def _dashboard(name: str, query: Query) -> Answer:
    minutes = query.get("minutes", ["60"])[0]
    if not minutes.isdecimal() or not 1 <= int(minutes) <= pages.MOST_MINUTES:
        raise BadRequest(f"minutes must be a whole number from 1 to {pages.MOST_MINUTES}, found {minutes!r}")
    account, region = (query.get(one, [""])[0] for one in ("account", "region"))
    found = [one for one in pages.known() if one[2] == name and account in ("", one[0]) and region in ("", one[1])]
    if not found:
        return _answer({"message": f"no dashboard {name}; all are at {PREFIX}dashboards"}, 404)
    if len(found) > 1:
        raise BadRequest(f"several dashboards have this name; say which: {', '.join(pages.link(*one[:3]) for one in found)}")
    now = clock.now()
    draw = pages.dashboard(name, *found[0][:2], found[0][3], Range(now - int(minutes) * 60, now))
    return _html(await asyncio.to_thread(draw))


async def handle(method: str, path: str, body: bytes, query: Query) -> Answer:
    """Handle one request below ``/_sluice/``."""
    name = path[len(PREFIX):]
    try:
        if name == "health" and method == "GET":
            return _answer({"status": "ok"})
        if name == "calls" and method in ("GET", "DELETE"):
            return _calls(method, query)
        if name == "breaches" and method in ("GET", "DELETE"):
            return _breaches(method, query)
        if name == "holds" and method == "DELETE":
            holds.release_all()
            return _answer({})
        if name == "faults" and method == "DELETE":
            faults.clear()
            return _answer({})
        if name.startswith("hold/"):
            return await _one_hold(method, name[len("hold/"):], query)
        if name == "dashboards" and method == "GET":
            return _html(pages.listing())
        if name.startswith("dashboard/") and method == "GET":
            return await _dashboard(unquote(name[len("dashboard/"):]), query)
        if name == "custom-resources" and method == "GET":
            return _answer({"requests": custom_resources.requests()})
        if method != "POST" or name not in _POSTS:
            return _answer({"message": f"no {method} {path}"}, 404)
        request = json.loads(body or b"{}")
        if not isinstance(request, dict):
            raise BadRequest("the body must be a JSON object")
        return _POSTS[name](request)
    except (BadRequest, ValueError) as problem:
        return _answer({"message": f"{path}: {problem}"}, 400)


Shortcuts = Callable[..., Awaitable[Any]]


def _with_our_paths(original: Shortcuts) -> Shortcuts:
    async def shortcuts(method: str, path: str, headers: dict[str, str], body: bytes, query_params: Query,
                        request_id: str) -> Any:
        if path.startswith(PREFIX):
            return await handle(method, path, body, query_params)
        if path.startswith(custom_resources.RESPONSE_PREFIX):
            return custom_resources.receive(method, path, headers, body, query_params)
        return await original(method, path, headers, body, query_params, request_id)

    return shortcuts


def install() -> None:
    """Serve our paths before MiniStack's."""
    wrap(app, "_handle_post_body_shortcuts", _with_our_paths)
