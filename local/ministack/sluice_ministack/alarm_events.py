"""Effects of an alarm's change of state: CloudWatch Alarm State Change on the default bus, and
actions on topics.

MiniStack sends no event, and publishes without a check of the topic's policy. Here [pages: Alarm
events and EventBridge; Amazon SNS: Enable compatibility between event sources from AWS services and
encrypted topics; Using Amazon CloudWatch alarms]:

- the event has the configuration, the state and the one before, each with reason and time;
- CloudWatch needs sns:Publish in the topic's policy (aws:SourceArn is the alarm, aws:SourceAccount
  and AWS:SourceOwner its account) and the customer key of the topic; an AWS managed key does not
  admit it. The alarm's history has the outcome of each action;
- the topic may be another account's, in the same Region [page: Example cases for Amazon SNS access
  control].
"""

from __future__ import annotations

import contextvars
import json
import logging
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import botocore.session
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, sns

from . import clock, deliveries, events, faults
from .deliveries import Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudwatch", "_dispatch_alarm_actions", ("alarm", "old_state", "new_state", "reason")),
    Target("ministack.services.cloudwatch", "_is_sns_action_arn", ("action",)),
    Target("ministack.services.cloudwatch", "_history_entries", ()),
    Target("ministack.services.cloudwatch", "_ts_iso", ("epoch",)),
    Target("ministack.services.sns", "_fanout", ("topic_arn", "msg_id", "message", "subject")),
)

_log = logging.getLogger("sluice.alarms")
_SERVICE = "cloudwatch.amazonaws.com"
_ids = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
# Alarm ARN -> its last published state.
_states: dict[str, dict[str, Any]] = {}
_acting: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("sluice_acting_alarm", default=None)


@lru_cache
def region_name(region: str) -> str:
    """A Region as CloudWatch's messages spell it, such as ``US East (N. Virginia)``."""
    for partition in botocore.session.Session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region


def _stamp() -> str:
    now = clock.now()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}+0000"


def _metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if alarm.get("Metrics"):
        return [{"id": one["Id"], "returnData": bool(one.get("ReturnData", True)),
                 **({"expression": one["Expression"]} if one.get("Expression") else
                    {"metricStat": _stat(one["MetricStat"]["Metric"], one["MetricStat"]["Period"], one["MetricStat"]["Stat"])})}
                for one in alarm["Metrics"]]
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    return [{"id": str(uuid.uuid5(_ids, alarm["AlarmArn"])), "metricStat": _stat(alarm, alarm.get("Period", 60), stat), "returnData": True}]


def _stat(metric: dict[str, Any], period: int, stat: str) -> dict[str, Any]:
    return {"metric": {"namespace": metric.get("Namespace"), "name": metric.get("MetricName"),
                       "dimensions": {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}},
            "period": period, "stat": stat}


def _publish_state_change(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
    arn = str(alarm["AlarmArn"])
    previous = _states.get(arn) or {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": _stamp()}
    state = {"value": new_state, "reason": reason, "timestamp": _stamp(),
             **({"reasonData": alarm["StateReasonData"]} if alarm.get("StateReasonData") else {})}
    _states[arn] = state
    configuration = {"description": alarm.get("AlarmDescription") or "",
                     **({"alarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"metrics": _metrics(alarm)})}
    events.put(get_account_id(), get_region(), "aws.cloudwatch", "CloudWatch Alarm State Change", [arn], {
        "alarmName": alarm["AlarmName"], "configuration": configuration, "previousState": {**previous, "value": old_state},
        "state": state})


def _acting_on(original: Callable[..., None]) -> Callable[..., None]:
    def dispatch(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
        try:
            _publish_state_change(alarm, old_state, new_state, reason)
        except Exception:  # an event never fails an alarm
            _log.exception("the event of %s was not delivered", alarm.get("AlarmName"))
        token = _acting.set(alarm)
        try:
            original(alarm, old_state, new_state, reason)
        finally:
            _acting.reset(token)

    return dispatch


def _history(alarm: dict[str, Any], topic_arn: str, problem: str) -> None:
    state = "Failed" if problem else "Succeeded"
    summary = f"Failed to execute action {topic_arn}. Received error: \"{problem}\"" if problem else (
        f"Successfully executed action {topic_arn}")
    cloudwatch._history_entries().append({
        "AlarmName": alarm["AlarmName"], "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
        "Timestamp": cloudwatch._ts_iso(clock.now()), "HistoryItemType": "Action", "HistorySummary": summary,
        "HistoryData": json.dumps({"actionState": state, "notificationResource": topic_arn, "error": problem or None})})


def _message(alarm: dict[str, Any], message: str) -> str:
    """MiniStack's message with its missing members."""
    payload = json.loads(message)
    payload.update(AlarmArn=alarm["AlarmArn"], Region=region_name(get_region()), StateChangeTime=_stamp(),
                   AlarmActions=alarm.get("AlarmActions") or [], OKActions=alarm.get("OKActions") or [],
                   InsufficientDataActions=alarm.get("InsufficientDataActions") or [])
    if "AlarmRule" in alarm:
        payload.pop("Trigger", None)
        payload["AlarmRule"] = alarm["AlarmRule"]
        payload["TriggeringChildren"] = [
            {"Arn": one["arn"], "State": {"Value": one["state"]["value"], "Timestamp": one["state"]["timestamp"]}}
            for one in json.loads(alarm.get("StateReasonData") or "{}").get("triggeringAlarms", [])]
    return json.dumps(payload)


def _with_permission_check(original: Callable[..., None]) -> Callable[..., None]:
    def fanout(topic_arn: str, msg_id: str, message: str, subject: str, *more: Any, **named: Any) -> None:
        alarm = _acting.get()
        if alarm is None:
            original(topic_arn, msg_id, message, subject, *more, **named)
            return
        sender = Sender(_SERVICE, str(alarm["AlarmArn"]))
        token = _acting.set(None)
        try:
            deliveries.to_topic(sender, topic_arn, _message(alarm, message), subject.replace(get_region(), region_name(get_region())),
                                context={**sender.context(), "aws:SourceOwner": sender.account})
        except (Undelivered, faults.Struck) as problem:
            _log.warning("%s: %s", alarm["AlarmArn"], problem)
            _history(alarm, topic_arn, problem.message)
        else:
            _history(alarm, topic_arn, "")
        finally:
            _acting.reset(token)

    return fanout


def _is_topic(original: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def is_topic(action: Any) -> bool:
        parts = str(action).split(":")
        return original(action) or (len(parts) == 6 and parts[2] == "sns" and parts[3] == get_region())

    return is_topic


def install() -> None:
    """Publish changes of state, and check the policies of topics."""
    wrap(cloudwatch, "_dispatch_alarm_actions", _acting_on)
    wrap(cloudwatch, "_is_sns_action_arn", _is_topic)
    wrap(sns, "_fanout", _with_permission_check)
