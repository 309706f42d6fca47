"""The lines of an invocation."""

from __future__ import annotations

import threading
import time

import pytest
from conftest import Gateway
from functions import function
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


def test_lines_are_in_the_log_group_of_the_configuration_only(gateway: Gateway) -> None:
    client = gateway.client("logs")
    client.create_log_group(logGroupName="gw-own-group")
    function(gateway, "gw-own-logs", "def handler(event, context):\n    print('mine')\n",
             LoggingConfig={"LogFormat": "Text", "LogGroup": "gw-own-group"})
    gateway.client("lambda").invoke(FunctionName="gw-own-logs", Payload="{}")
    lines = [one["message"] for one in client.filter_log_events(logGroupName="gw-own-group")["events"]]
    assert any("mine" in line for line in lines), lines
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.filter_log_events(logGroupName="/aws/lambda/gw-own-logs")
