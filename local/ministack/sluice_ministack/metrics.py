"""Metrics out of logs, and the metrics of queues.

MiniStack stores metric filters without applying them, and does not parse the embedded metric
format. Here:

- a log line that is a JSON object with ``_aws.CloudWatchMetrics`` becomes metrics [page:
  Specification: Embedded metric format]; at most 100 metrics and 30 dimensions a directive, names
  and values as the page says, else the directive is left out;
- metric filters apply to every log event, with metricValue, dimensions, unit, and defaultValue for
  a batch without a match [page: Creating metric filters];
- AWS/SQS ApproximateNumberOfMessagesVisible, NotVisible and ApproximateAgeOfOldestMessage are
  measured when alarms are evaluated.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch, cloudwatch_logs, sqs

from . import clock, filter_patterns
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudwatch", "_store_datum",
           ("namespace", "name", "dims", "ts", "unit", "value", "values", "counts", "stat_values")),
    Target("ministack.services.cloudwatch", "_evaluate_all_alarms", ()),
    Target("ministack.services.cloudwatch_logs", "_fanout_to_subscription_filters", ("group_name", "stream_name", "events")),
    Target("ministack.services.cloudwatch_logs", "_metric_filters"),
    Target("ministack.services.cloudwatch_logs", "_put_metric_filter", ("data",)),
    Target("ministack.services.sqs", "_queues"),
)

_log = logging.getLogger("sluice.metrics")
_MOST_METRICS, _MOST_DIMENSIONS = 100, 30


def period_scale() -> float:
    """The real seconds for a second of an alarm's period, and of a message's age."""
    return float(os.environ.get("SLUICE_METRIC_PERIOD_SCALE", "1"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _directive(directive: dict[str, Any], line: dict[str, Any], at: float) -> int:
    namespace, metrics = directive.get("Namespace"), directive.get("Metrics")
    if not isinstance(namespace, str) or not namespace or not isinstance(metrics, list) or len(metrics) > _MOST_METRICS:
        return 0
    stored = 0
    for names in directive.get("Dimensions") or [[]]:
        if len(names) > _MOST_DIMENSIONS or not all(isinstance(line.get(name), str) and line[name] for name in names):
            continue
        dimensions = {name: line[name] for name in names}
        for metric in metrics:
            value = line.get(metric.get("Name"))
            values = value if isinstance(value, list) else [value]
            numbers = [number for number in map(_number, values) if number is not None]
            if numbers and len(numbers) == len(values):
                cloudwatch._store_datum(namespace, metric["Name"], dimensions, at, metric.get("Unit", "None"), None, numbers, None, None)
                stored += 1
    return stored


def embedded(message: str) -> int:
    """Store the metrics of one log line; return their number."""
    if '"_aws"' not in message:
        return 0
    try:
        line = json.loads(message)
    except ValueError:
        return 0
    meta = line.get("_aws") if isinstance(line, dict) else None
    at = _number(meta.get("Timestamp")) if isinstance(meta, dict) else None
    if meta is None or at is None:
        return 0
    # A function takes its time from the machine.
    at = at / 1000 + clock.ahead()
    return sum(_directive(one, line, at) for one in meta.get("CloudWatchMetrics") or [] if isinstance(one, dict))


def _filtered(metric_filter: dict[str, Any], messages: list[str]) -> None:
    matches = filter_patterns.compiled(metric_filter.get("filterPattern") or "")
    found = [message for message in messages if matches(message)]
    for one in metric_filter.get("metricTransformations") or []:
        if not found and one.get("defaultValue") is not None:
            _store(one, {}, float(one["defaultValue"]))
        for message in found:
            line = _json(message)
            dimensions = {name: filter_patterns.select(line, selector) for name, selector in (one.get("dimensions") or {}).items()}
            text = str(one.get("metricValue", "1"))
            value = filter_patterns.select(line, text) if text.startswith("$") else text
            try:
                number = float(value)
            except (TypeError, ValueError):
                continue
            # A message without the dimension's field gives no metric.
            if all(found is not None for found in dimensions.values()):
                _store(one, {name: str(found) for name, found in dimensions.items()}, number)


def _store(transformation: dict[str, Any], dimensions: dict[str, str], value: float) -> None:
    cloudwatch._store_datum(transformation["metricNamespace"], transformation["metricName"], dimensions, clock.now(),
                            transformation.get("unit", "None"), value, None, None, None)


def _json(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None


def _reading(original: Callable[..., None]) -> Callable[..., None]:
    def fanout(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
        original(group_name, stream_name, events)
        try:
            messages = [str(event.get("message", "")) for event in events]
            stored = sum(embedded(message) for message in messages)
            filters = [one for (group, _), one in list(cloudwatch_logs._metric_filters.items()) if group == group_name]
            for one in filters:
                _filtered(one, messages)
            if stored or filters:
                cloudwatch._evaluate_all_alarms()
        except Exception:  # an invalid metric never fails the writer of a log
            _log.exception("the metrics of %s were not read", group_name)

    return fanout


def _checked(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def put(data: dict[str, Any]) -> Any:
        try:
            filter_patterns.compiled(data.get("filterPattern") or "")
        except filter_patterns.NotUsable as problem:
            return error_response_json("InvalidParameterException", f"Invalid metric filter pattern: {problem}", 400)
        return original(data)

    return put


def measure_queues(now: float) -> None:
    """Store the depth and age of the queues of this account and Region as of a time, which is not
    past.
    """
    now = max(now, clock.now())
    for queue in list(sqs._queues.values()):
        waiting = [one for one in queue["messages"] if one.get("visible_at", 0) <= now]
        dimensions = {"QueueName": str(queue["attributes"]["QueueArn"]).rsplit(":", 1)[-1]}
        oldest = max(((now - one["sent_at"]) / period_scale() for one in queue["messages"]), default=0.0)
        for name, value in (("ApproximateNumberOfMessagesVisible", len(waiting)),
                            ("ApproximateNumberOfMessagesNotVisible", len(queue["messages"]) - len(waiting)),
                            ("ApproximateAgeOfOldestMessage", oldest)):
            cloudwatch._store_datum("AWS/SQS", name, dimensions, now, "Count", float(value), None, None, None)


def install() -> None:
    """Read logs for metrics."""
    wrap(cloudwatch_logs, "_fanout_to_subscription_filters", _reading)
    wrap(cloudwatch_logs, "_put_metric_filter", _checked)
