"""StartMessageMoveTask and ListMessageMoveTasks of Amazon SQS, which MiniStack lacks: redrive of a
dead-letter queue by one call.

[pages: StartMessageMoveTask, ListMessageMoveTasks of the API reference; Configuring dead-letter
queue redrive permissions]: the source must be the dead-letter queue of another queue; queues of
failures of Lambda, SNS or EventBridge are rejected. Without DestinationArn each message goes back
to the queue it came from. The caller needs ReceiveMessage, DeleteMessage and GetQueueAttributes on
the source and SendMessage on the destination. The messages move at once.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions
from ministack.core.concurrency import esm_wake
from ministack.services import sqs

from . import authorization
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.sqs", "_HANDLERS"),
    Target("ministack.services.sqs", "_queues"),
    Target("ministack.services.sqs", "_queue_by_arn", ("arn",)),
    Target("ministack.services.sqs", "_Err"),
    Target("ministack.core.concurrency", "esm_wake"),
    Target("ministack.core.iam_actions", "extract_resource_arn",
           ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")),
)

_tasks: list[dict[str, Any]] = []
_lock = threading.Lock()


def _queue(arn: str, name: str) -> dict[str, Any]:
    queue: dict[str, Any] | None = sqs._queue_by_arn(arn)
    if queue is None:
        raise sqs._Err("ResourceNotFoundException", f"The resource that you specified for the {name} parameter doesn't exist.", 404)
    return queue


def _allow(arn: str, queue: dict[str, Any], *actions: str) -> None:
    policy = (queue["attributes"].get("Policy") or "", arn.split(":")[4])
    for action in actions:
        decision = authorization.for_caller(f"sqs:{action}", arn, policy, {})
        if not decision.allowed:
            raise sqs._Err("AccessDeniedException", decision.message, 403)


def _is_dead_letter_queue(arn: str) -> bool:
    for queue in sqs._queues.values():
        try:
            redrive = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        except ValueError:
            continue
        if isinstance(redrive, dict) and redrive.get("deadLetterTargetArn") == arn:
            return True
    return False


def _start(data: dict[str, Any], queue_url: str) -> dict[str, Any]:
    source_arn, destination_arn = str(data.get("SourceArn", "")), str(data.get("DestinationArn") or "")
    source = _queue(source_arn, "SourceArn")
    if not _is_dead_letter_queue(source_arn):
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.", 400)
    _allow(source_arn, source, "ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    if destination_arn:
        _allow(destination_arn, _queue(destination_arn, "DestinationArn"), "SendMessage")
    moved = 0
    with _lock:
        now = time.time()
        for message in [one for one in source["messages"] if one.get("visible_at", 0) <= now]:
            target_arn = destination_arn or str(message.get("sys", {}).get("DeadLetterQueueSourceArn", ""))
            target = sqs._queue_by_arn(target_arn)
            if target is None:
                continue
            if not destination_arn:
                _allow(target_arn, target, "SendMessage")
            source["messages"].remove(message)
            # A moved message is a new one to its queue.
            target["messages"].append({**message, "id": str(uuid.uuid4()), "receive_count": 0, "receipt_handle": None, "sent_at": now,
                                       "visible_at": now, "first_receive_at": None})
            moved += 1
        task = {"TaskHandle": str(uuid.uuid4()), "Status": "COMPLETED", "SourceArn": source_arn,
                **({"DestinationArn": destination_arn} if destination_arn else {}), "ApproximateNumberOfMessagesMoved": moved,
                "ApproximateNumberOfMessagesToMove": moved, "StartedTimestamp": int(now * 1000)}
        _tasks.append(task)
    esm_wake.set()
    return {"TaskHandle": task["TaskHandle"]}


def _list(data: dict[str, Any], queue_url: str) -> dict[str, Any]:
    arn = str(data.get("SourceArn", ""))
    _queue(arn, "SourceArn")
    found = [{name: value for name, value in task.items() if name != "TaskHandle"} for task in reversed(_tasks) if task["SourceArn"] == arn]
    return {"Results": found[:int(data.get("MaxResults") or 1)]}


def _with_source(original: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(service: str, method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> str:
        if service == "sqs" and headers.get("x-amz-target", "").endswith(("MessageMoveTask", "MessageMoveTasks")):
            return str(json.loads(body or b"{}").get("SourceArn") or "*")
        return original(service, method, path, headers, body, *more)

    return extract_resource_arn


def install() -> None:
    """Serve the two actions."""
    sqs._HANDLERS.update(StartMessageMoveTask=_start, ListMessageMoveTasks=_list)
    wrap(iam_actions, "extract_resource_arn", _with_source)
