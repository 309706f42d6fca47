"""Alarms evaluated as CloudWatch does it, missing data included.

MiniStack evaluates an alarm when data arrives, over all dimensions at once, and never without data.
Here [pages: Using Amazon CloudWatch alarms: Evaluating an alarm, Configuring how CloudWatch alarms
treat missing data; Using metric math]:

- one metric by its dimensions, in periods; the newest EvaluationPeriods datapoints of the
  evaluation range, DatapointsToAlarm of them breaching; what is missing is treated by
  TreatMissingData, as in the page's tables (the range is two periods longer, as there);
- metrics may be expressions, as far as ``metric_math`` knows them;
- evaluated when data arrives (then missing data changes nothing), by ``POST /_sluice/tick``, and
  every ``SLUICE_ALARM_EVALUATION_SECONDS`` (60; 0 never). The unfinished period counts for
  comparisons with "greater" only.

``SLUICE_METRIC_PERIOD_SCALE`` (1) shortens every alarm's period and makes messages in queues older
in the same measure.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from . import clock, metrics
from .metric_math import Expression, Values, points, series
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudwatch", "_evaluate_alarm", ("alarm",)),
    Target("ministack.services.cloudwatch", "_put_metric_alarm", ("params", "cbor_data", "is_cbor", "is_json")),
    Target("ministack.services.cloudwatch", "_record_history", ("alarm_name", "old_state", "new_state", "reason", "alarm_type", "reason_data")),
    Target("ministack.services.cloudwatch", "_dispatch_alarm_actions", ("alarm", "old_state", "new_state", "reason")),
    Target("ministack.services.cloudwatch", "_evaluate_parent_alarms", ("child",)),
    Target("ministack.services.cloudwatch", "_alarms"),
    Target("ministack.services.cloudwatch", "time"),
    Target("ministack.services.cloudformation.provisioners", "_cw_metric_alarm_record", ("name", "props")),
)

_log = logging.getLogger("sluice.alarms")
_MORE_PERIODS = 2
_WORDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda value, limit: value >= limit),
    "GreaterThanThreshold": ("greater than", lambda value, limit: value > limit),
    "LessThanThreshold": ("less than", lambda value, limit: value < limit),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda value, limit: value <= limit),
}


@dataclass(frozen=True)
class Evaluation:
    """The outcome of an evaluation; ``state`` is empty if the state is kept."""

    state: str
    reason: str = ""


def state_for(points: list[bool | None], periods: int, needed: int, missing: str) -> str:
    """The new state for the datapoints of the evaluation range, oldest first: breaching, not, or
    missing.

    ``""`` keeps the state. Follows the tables of the page on missing data.
    """
    there = [point for point in points if point is not None][-periods:]
    breaching, good = there.count(True), there.count(False)
    lacking = periods - len(there)
    if not there:
        return {"missing": "INSUFFICIENT_DATA", "ignore": "", "breaching": "ALARM", "notBreaching": "OK"}[missing]
    if breaching >= needed or (missing == "breaching" and breaching + lacking >= needed):
        return "ALARM"
    if lacking and not good and missing in ("missing", "ignore"):
        return "ALARM" if missing == "missing" else ""
    return "OK"


def _series(metric: dict[str, Any], stat: str, edges: list[float]) -> Values:
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
    return series(points(metric.get("Namespace"), metric.get("MetricName"), dimensions), stat, edges)


def _period(alarm: dict[str, Any]) -> float:
    stated = [one["MetricStat"]["Period"] for one in alarm.get("Metrics") or [] if one.get("MetricStat")]
    return float(max((int(one) for one in stated), default=int(alarm.get("Period") or 60))) * metrics.period_scale()


def _values(alarm: dict[str, Any], edges: list[float]) -> Values:
    if not alarm.get("Metrics"):
        return _series(alarm, alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average", edges)
    by_id: dict[str, Values] = {}
    shown: Values = []
    # Expressions after the metrics that they name.
    for one in sorted(alarm["Metrics"], key=lambda one: bool(one.get("Expression"))):
        found = (Expression(one["Expression"]).values(by_id, len(edges) - 1) if one.get("Expression")
                 else _series(one["MetricStat"]["Metric"], one["MetricStat"]["Stat"], edges))
        by_id[one["Id"]] = found
        if str(one.get("ReturnData", True)).lower() == "true":
            shown = found
    return shown


def evaluate(alarm: dict[str, Any], now: float, silence_counts: bool) -> Evaluation:
    """Evaluate one alarm as of a time."""
    words, compare = _WORDS[alarm["ComparisonOperator"]]
    periods = int(alarm.get("EvaluationPeriods") or 1)
    needed = int(alarm.get("DatapointsToAlarm") or periods)
    period = _period(alarm)
    end = now // period * period
    edges = [end - period * back for back in range(periods + _MORE_PERIODS, -1, -1)]
    values = _values(alarm, edges)
    limit = float(alarm["Threshold"])
    if alarm["ComparisonOperator"].startswith("Greater"):
        # The unfinished period may still reach the threshold, so it replaces no finished one
        # before.
        current = _values(alarm, [end, end + period])[0]
        if current is not None and (compare(current, limit) or all(value is None for value in values)):
            values = [*values[1:], current]
    missing = alarm.get("TreatMissingData") or "missing"
    there = [value for value in values if value is not None][-periods:]
    if not there and not silence_counts:
        return Evaluation("")
    state = state_for([None if value is None else compare(value, limit) for value in values], periods, needed, missing)
    if not there:
        treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(missing)
        reason = f"Insufficient Data: {periods} datapoint{'s were' if periods > 1 else ' was'} unknown." if treated is None else (
            f"Threshold Crossed: no datapoints were received for {periods} period{'s' if periods > 1 else ''} and {periods} missing "
            f"datapoint{'s were' if periods > 1 else ' was'} treated as [{treated}].")
        return Evaluation(state, reason)
    hits = sum(compare(value, limit) for value in there)
    crossed = state == "ALARM"
    cited = [value for value in there if compare(value, limit)] if crossed else there
    return Evaluation(state, f"Threshold Crossed: {hits if crossed else len(there) - hits} out of the last {len(there)} datapoints "
                          f"{cited} {'was' if len(cited) == 1 else 'were'}{'' if crossed else ' not'} {words} the threshold ({limit}) "
                          f"(minimum {needed if crossed else periods - needed + 1} datapoint for {alarm['StateValue']} -> {state} transition).")


def _apply(alarm: dict[str, Any], now: float, silence_counts: bool) -> None:
    if alarm.get("ComparisonOperator") not in _WORDS:
        return
    evaluation = evaluate(alarm, now, silence_counts)
    old = alarm["StateValue"]
    if evaluation.state in ("", old):
        return
    alarm.update(StateValue=evaluation.state, StateReason=evaluation.reason, StateUpdatedTimestamp=int(clock.now()),
                 StateReasonData=json.dumps({"version": "1.0", "statistic": alarm.get("Statistic"), "period": alarm.get("Period"),
                                             "threshold": alarm.get("Threshold")}))
    cloudwatch._record_history(alarm["AlarmName"], old, evaluation.state, evaluation.reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, evaluation.state, evaluation.reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _on_data(alarm: dict[str, Any]) -> None:
    _apply(alarm, clock.now(), False)


def tick(now: float) -> None:
    """Evaluate every alarm of every account as of a time."""
    scopes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (account, region, _), alarm in cloudwatch._alarms.all_items():
        scopes.setdefault((account, region), []).append(alarm)
    for (account, region), found in scopes.items():
        with request_scope(account, region):
            if any(one.get("Namespace") == "AWS/SQS" or one.get("Metrics") for one in found):
                metrics.measure_queues(now)
            for alarm in found:
                try:
                    _apply(alarm, now, True)
                except Exception:  # one alarm never fails another
                    _log.exception("%s was not evaluated", alarm.get("AlarmName"))


def _keeping_math(original: Callable[..., Any]) -> Callable[..., Any]:
    def put(params: Any, cbor_data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
        name = cbor_data.get("AlarmName") if cbor_data else None
        answer = original(params, cbor_data, is_cbor, is_json)
        if answer[0] == 200 and name in cloudwatch._alarms:
            alarm = cloudwatch._alarms[name]
            if cbor_data.get("Metrics"):
                alarm["Metrics"] = cbor_data["Metrics"]
                for one in ("MetricName", "Namespace", "Statistic", "Period"):
                    alarm.pop(one, None)
        return answer

    return put


def _record_with_math(original: Callable[..., Any]) -> Callable[..., Any]:
    def record(name: str, props: dict[str, Any]) -> Any:
        if not props.get("Metrics"):
            return original(name, props)
        alarm = original(name, {**props, "Metrics": None, "MetricName": "expression", "Namespace": "expression"})
        for one in ("MetricName", "Namespace", "Statistic", "Period"):
            alarm.pop(one, None)
        return {**alarm, "Metrics": props["Metrics"]}

    return record


def install() -> None:
    """Evaluate alarms in place of MiniStack, and by the clock."""
    cloudwatch.time = clock.TimeModule()
    cloudwatch._evaluate_alarm = _on_data
    wrap(cloudwatch, "_put_metric_alarm", _keeping_math)
    wrap(provisioners, "_cw_metric_alarm_record", _record_with_math)
    clock.every(float(os.environ.get("SLUICE_ALARM_EVALUATION_SECONDS", "60")), tick, "evaluation of alarms")
