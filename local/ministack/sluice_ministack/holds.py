"""Forced interleavings for tests: a request is held before or after it is served, until the test
releases it.

A reader that is held after it is served has no response yet, so a write in the meantime is exactly
between the reader's read and its next write.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import ministack.app as app
from ministack.core import iam_actions, router
from ministack.core.responses import get_account_id

from . import forwarding, identity
from .patching import Target, wrap

TARGETS = (
    Target("ministack.app", "_dispatch_service_request", ("method", "path", "headers", "body", "query_params", "request_id")),
    Target("ministack.app", "_routing_params", ("method", "path", "headers", "body", "query_params")),
    Target("ministack.core.router", "detect_service", ("method", "path", "headers", "query_params")),
    Target("ministack.core.router", "extract_region", ("headers",)),
    Target("ministack.core.iam_actions", "extract_iam_action", ("service", "method", "path", "headers", "body", "query_params")),
    Target("ministack.core.iam_actions", "extract_resource_arn",
           ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")),
)

PHASES = ("before", "after")
DEFAULT_SECONDS = 60.0


@dataclass
class Hold:
    """A hold. Patterns are shell-style; ``skip`` matching requests pass first; it ends by
    itself after ``seconds``.
    """

    action: str
    resource: str = "*"
    principal: str = "*"
    phase: str = "before"
    skip: int = 0
    seconds: float = DEFAULT_SECONDS
    caught: dict[str, str] | None = None
    caught_event: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def state(self) -> dict[str, Any]:
        """``waiting`` for a request, ``caught`` one, or ``released``."""
        name = "released" if self.released.is_set() else "caught" if self.caught else "waiting"
        return {"state": name, "caught": self.caught}

    def takes(self, action: str, resource: str, principal: str) -> bool:
        """Return true if this hold catches the request; count ``skip`` down."""
        if self.caught or self.released.is_set():
            return False
        if not (fnmatchcase(action, self.action) and fnmatchcase(resource, self.resource)
                and fnmatchcase(principal, self.principal)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.caught = {"action": action, "resource": resource, "principal": principal}
        self.caught_event.set()
        return True


_holds: dict[int, Hold] = {}
_numbers = itertools.count(1)


def order(hold: Hold) -> int:
    """Add a hold; return its number."""
    number = next(_numbers)
    _holds[number] = hold
    return number


def get(number: int) -> Hold | None:
    """The hold of a number."""
    return _holds.get(number)


def release(number: int) -> bool:
    """Release the held request, or remove the hold; False for an unknown number."""
    hold = _holds.pop(number, None)
    if hold is None:
        return False
    hold.released.set()
    return True


def release_all() -> None:
    """Release every hold."""
    for number in list(_holds):
        release(number)


async def described(method: str, path: str, headers: dict[str, str], body: bytes,
                     query: dict[str, Any]) -> tuple[str, str, str]:
    """Action, resource and principal of a request, in IAM's words."""
    params = app._routing_params(method, path, headers, body, query)
    service = router.detect_service(method, path, headers, params)
    access_key = router.extract_access_key_id(headers, query)
    principal = identity.principal_of(access_key)
    if service in forwarding.SERVICES:
        caller = identity.caller(access_key)
        check = (await asyncio.to_thread(forwarding.checks_of, service, caller, headers, body))[0]
        return check.action, check.resource, principal
    action = iam_actions.extract_iam_action(service, method, path, headers, body, params) or ""
    resource = iam_actions.extract_resource_arn(service, method, path, headers, body, params, router.extract_region(headers),
                                                get_account_id())
    return action, resource, principal


async def _wait(hold: Hold) -> None:
    try:
        await asyncio.wait_for(hold.released.wait(), hold.seconds)
    except TimeoutError:
        hold.released.set()


Dispatch = Callable[..., Awaitable[Any]]


def _holding(original: Dispatch) -> Dispatch:
    async def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any],
                       request_id: str) -> Any:
        taken: list[Hold] = []
        if _holds:
            request = await described(method, path, headers, body, query_params)
            taken = [hold for hold in list(_holds.values()) if hold.takes(*request)][:1]
        if taken and taken[0].phase == "before":
            await _wait(taken[0])
        answer = await original(method, path, headers, body, query_params, request_id)
        if taken and taken[0].phase == "after":
            await _wait(taken[0])
        return answer

    return dispatch


def install() -> None:
    """Hold the matching requests."""
    wrap(app, "_dispatch_service_request", _holding)
