"""A record of every authorisation decision, so that tests can compare the calls made with the
grants given.

MiniStack decides in ``iam_evaluator.enforce``; decisions made for sluice-redshift come through
``/_sluice/authorize``.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator

from . import identity
from .patching import Target, wrap

TARGETS = (
    Target("ministack.core.iam_evaluator", "enforce",
           ("access_key_id", "iam_action", "service", "region", "resource_arn", "service_context")),
    Target("ministack.core.iam_evaluator", "AuthError"),
)

_LIMIT = 100_000
_lock = threading.Lock()
_numbers = itertools.count(1)
_calls: deque[dict[str, Any]] = deque(maxlen=_LIMIT)


def record(principal: str, action: str, resource: str, decision: str, via: str) -> None:
    """Keep one decision: ``allowed``, ``denied`` or ``unauthenticated``; ``via`` is the source."""
    with _lock:
        _calls.append({"number": next(_numbers), "time": time.time(), "principal": principal, "action": action,
                       "resource": resource, "decision": decision, "via": via})


def calls(since: int = 0, principal: str = "", action: str = "") -> list[dict[str, Any]]:
    """The decisions with a number above ``since`` whose principal and action contain the given
    texts.
    """
    with _lock:
        found = list(_calls)
    return [call for call in found
            if call["number"] > since and principal in call["principal"] and action in call["action"]]


def clear() -> None:
    """Remove all decisions; the numbers continue."""
    with _lock:
        _calls.clear()


def _recording(original: Callable[..., Any]) -> Callable[..., Any]:
    def enforce(access_key_id: str, iam_action: str, service: str, region: str, resource_arn: str = "*",
                service_context: dict[str, Any] | None = None) -> Any:
        result = original(access_key_id, iam_action, service, region, resource_arn, service_context)
        if result is None:
            decision = "allowed"
        else:
            decision = "unauthenticated" if isinstance(result, iam_evaluator.AuthError) else "denied"
        record(identity.principal_of(access_key_id), iam_action, resource_arn, decision, "request")
        return result

    return enforce


def install() -> None:
    """Record MiniStack's decisions."""
    wrap(iam_evaluator, "enforce", _recording)
