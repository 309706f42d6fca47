"""The log lines of an invocation are stored with it.

MiniStack reads a function's lines from a thread until none has arrived for 5 ms. On a busy machine
that thread may need longer between two lines. The rest would then be logged with the function's
next invocation, and after the last invocation never.
"""

from __future__ import annotations

from ministack.core.lambda_runtime import Worker

from .patching import Target, wrap

TARGETS = (Target("ministack.core.lambda_runtime", "Worker._drain_stderr_bounded", ("self", "first_line_wait", "idle_confirm", "hard_cap")),)

QUIET_SECONDS = 0.025
LONGEST_SECONDS = 1.0


def install() -> None:
    """Wait longer for the last line."""
    wrap(Worker, "_drain_stderr_bounded", lambda original: lambda worker, first_line_wait=0.05: original(
        worker, first_line_wait, QUIET_SECONDS, LONGEST_SECONDS))
