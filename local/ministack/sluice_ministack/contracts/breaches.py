"""The breaches that were found: requests and answers that differ from the service models."""

from __future__ import annotations

import itertools
import logging
import re
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from .check import Problem

_log = logging.getLogger("sluice.contracts")
_LIMIT = 1000
_INDEX = re.compile(r"\[\d+\]")


@dataclass
class Breach:
    """One breach; ``times`` counts the same one again."""

    number: int
    side: str
    sender: str
    service: str
    operation: str
    member: str
    found: str
    expected: str
    times: int = 1

    @property
    def sentence(self) -> str:
        """The breach in one sentence."""
        what = f"{self.service} {self.operation}".rstrip()
        where = f"request of {self.sender} to {what}" if self.side == "request" else f"answer to {self.sender} from {what}"
        return f"{where}: {self.member}: found {self.found}, expected {self.expected}"

    def as_json(self) -> dict[str, Any]:
        """The breach as the control path shows it."""
        return {**asdict(self), "sentence": self.sentence}


_lock = threading.Lock()
_numbers = itertools.count(1)
_breaches: dict[tuple[str, ...], Breach] = {}
# The number of compared requests and answers of each operation.
_compared: Counter[str] = Counter()


def add(side: str, sender: str, service: str, operation: str, problem: Problem) -> Breach:
    """Keep a breach of a ``request`` or an ``answer``, and log it when it is new."""
    with _lock:
        # The same in each item of a list is one breach.
        key = (side, sender, service, operation, _INDEX.sub("[]", problem.member), problem.expected)
        found = _breaches.get(key)
        if found is not None:
            found.times += 1
            return found
        breach = Breach(next(_numbers), side, sender, service, operation, problem.member, problem.found, problem.expected)
        if len(_breaches) < _LIMIT:
            _breaches[key] = breach
    _log.warning("%s", breach.sentence)
    return breach


def all_of(since: int = 0) -> list[dict[str, Any]]:
    """The breaches with a number above ``since``."""
    with _lock:
        return [one.as_json() for one in _breaches.values() if one.number > since]


def count(service: str, operation: str) -> None:
    """Count a request and its answer that were compared."""
    with _lock:
        _compared[f"{service} {operation}"] += 1


def compared() -> dict[str, int]:
    """The number of compared requests of each operation since the start, ``"SERVICE OPERATION"``."""
    with _lock:
        return dict(_compared)


def clear() -> None:
    """Remove all breaches; the numbers continue."""
    with _lock:
        _breaches.clear()
