"""The lines of an invocation."""

from __future__ import annotations

import threading
import time

from ministack.core.lambda_runtime import Worker
from sluice_ministack import function_logs


def test_a_line_that_is_passed_on_late_belongs_to_its_invocation() -> None:
    original = Worker._drain_stderr_bounded
    function_logs.install()
    try:
        worker = Worker("late", {}, b"")
        worker._stderr_queue.put("first")

        def late() -> None:
            time.sleep(0.012)
            worker._stderr_queue.put("last")

        thread = threading.Thread(target=late)
        thread.start()
        assert worker._drain_stderr_bounded() == "first\nlast"
        assert worker._drain_stderr_bounded(first_line_wait=0.01) == ""
        thread.join()
    finally:
        Worker._drain_stderr_bounded = original
