"""The gateway's clock, and the work that it starts at regular intervals.

The clock shows the machine's time, plus the seconds set by ``POST /_sluice/clock``. Two settings
decide what it starts by itself:

- ``SLUICE_CLOCK_SECONDS``: interval at which scheduled rules, EventBridge Scheduler schedules and
  rotation schedules are started when they are due; 0, the default, leaves them to ``POST
  /_sluice/tick``;
- ``SLUICE_ALARM_EVALUATION_SECONDS``: interval at which every alarm is evaluated; 60 by default, 0
  never.

MiniStack's own sweeps of rules and schedules (every 10 s) do not run.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger("sluice.clock")
_changed = threading.Condition()
_ahead = 0.0
# Time of the tick that this thread or request runs, which stands for the current time.
_tick: contextvars.ContextVar[float | None] = contextvars.ContextVar("sluice_tick", default=None)


class TimeModule:
    """Stands in for the ``time`` module in a module of MiniStack; ``time()`` returns the gateway's
    time.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def time() -> float:
        """The gateway's time."""
        return now()


def now() -> float:
    """The gateway's time, in seconds since 1970; within ``as_of`` the time given there."""
    at = _tick.get()
    return time.time() + _ahead if at is None else at


def ahead() -> float:
    """The seconds by which the gateway's clock is ahead of the machine's."""
    return _ahead


def set_ahead(seconds: float) -> None:
    """Set the clock forward; everything that is due then starts at once.

    Raises ValueError if the clock would go back.
    """
    global _ahead
    with _changed:
        if seconds < _ahead:
            raise ValueError(f"the clock is {_ahead} s ahead and cannot be set back to {seconds} s")
        _ahead = seconds
        _changed.notify_all()


@contextmanager
def as_of(at: float) -> Iterator[None]:
    """Within this context ``now()`` returns ``at``."""
    token = _tick.set(at)
    try:
        yield
    finally:
        _tick.reset(token)


def every(seconds: float, work: Callable[[float], None], name: str) -> None:
    """Call ``work`` with the gateway's time at an interval, and when the clock is set; never if it
    is 0.
    """
    if seconds <= 0:
        return

    def run() -> None:
        seen = _ahead
        while True:
            with _changed:
                _changed.wait_for(lambda: _ahead != seen, timeout=seconds)
                seen = _ahead
            try:
                work(now())
            except Exception:  # the next call may succeed
                _log.exception("%s failed", name)

    threading.Thread(target=run, name=f"sluice-{name}", daemon=True).start()
