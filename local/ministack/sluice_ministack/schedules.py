"""Time on request: scheduled rules and schedules fire, and alarms are evaluated, as of a time a test names.

``POST /_sluice/tick`` with ``{"at": SECONDS}`` does what would be due at that time; with ``{"rule": ARN}`` or ``{"schedule": ARN}`` it fires
that one now. MiniStack's own clock goes on beside it.

Schedules [pages: Setting up EventBridge Scheduler; Configuring a dead-letter queue for EventBridge Scheduler]: the target's role must trust
``scheduler.amazonaws.com`` and hold the permission, for the dead-letter queue too; its message attributes are Scheduler's. MiniStack's
AWS::Scheduler::Schedule drops StartDate, EndDate, ScheduleExpressionTimezone and KmsKeyArn, which are kept here; times are taken as UTC.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import new_uuid, request_scope
from ministack.services import eventbridge, scheduler
from ministack.services.cloudformation import provisioners

from . import alarms, event_buses
from .cfn_types import Made, Properties
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.eventbridge", "_tick_scheduled_rules", ()),
    Target("ministack.services.eventbridge", "_invoke_target", ("target", "event", "rule", "view")),
    Target("ministack.services.eventbridge", "_rules"),
    Target("ministack.services.eventbridge", "_targets"),
    Target("ministack.services.scheduler", "_tick_schedules", ()),
    Target("ministack.services.scheduler", "_schedules"),
    Target("ministack.services.scheduler", "time"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

_TYPE = "AWS::Scheduler::Schedule"
_KEPT = ("StartDate", "EndDate", "ScheduleExpressionTimezone", "KmsKeyArn")
_clock = threading.local()
_lock = threading.Lock()


class _Time:
    """The time module with a ``time()`` that a tick may set for its thread."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def time() -> float:
        at: float | None = getattr(_clock, "at", None)
        return time.time() if at is None else at


def tick(at: float) -> None:
    """Evaluate alarms and fire what is due at a time."""
    alarms.tick(at)
    with _lock:
        token = event_buses._time.set(at)
        _clock.at = at
        try:
            eventbridge._tick_scheduled_rules()
            scheduler._tick_schedules()
        finally:
            _clock.at = None
            event_buses._time.reset(token)


def _event(source: str, arn: str, account: str, region: str, at: float) -> dict[str, Any]:
    return {"EventId": new_uuid(), "Source": source, "DetailType": "Scheduled Event", "Detail": "{}", "EventBusName": "default",
            "Time": int(at), "Resources": [arn], "Account": account, "Region": region}


def fire_rule(arn: str, at: float) -> bool:
    """Fire one scheduled rule; False when there is none of that ARN."""
    for (account, region, key), rule in eventbridge._rules.all_items():
        if rule.get("Arn") == arn and rule.get("ScheduleExpression"):
            with request_scope(account, region):
                for target in eventbridge._targets.get(key, []):
                    eventbridge._invoke_target(target, _event("aws.events", arn, account, region, at), rule)
            return True
    return False


def fire_schedule(arn: str, at: float) -> bool:
    """Fire one schedule; False when there is none of that ARN."""
    for (account, region, _), schedule in scheduler._schedules.all_items():
        if schedule.get("Arn") == arn:
            with request_scope(account, region):
                eventbridge._invoke_target(schedule["Target"], _event("aws.scheduler", arn, account, region, at), schedule)
            return True
    return False


def _whole(handlers: dict[str, Any]) -> dict[str, Any]:
    create, update = handlers["create"], handlers["update"]

    def kept(made: Made, props: Properties) -> Made:
        schedule = scheduler._schedules.get(f"{props.get('GroupName', 'default')}/{made[0]}")
        if schedule is not None:
            schedule.update({name: props[name] for name in _KEPT if props.get(name)})
        return made

    def create_schedule(logical_id: str, props: Properties, stack_name: str) -> Made:
        return kept(create(logical_id, props, stack_name), props)

    def update_schedule(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Made:
        return kept(update(physical_id, old, new, stack_name), new)

    return {**handlers, "create": create_schedule, "update": update_schedule}


def _alone(original: Callable[[], None]) -> Callable[[], None]:
    def tick_once() -> None:
        # MiniStack's own sweep must not run into one of ours.
        if getattr(_clock, "at", None) is not None:
            original()
            return
        with _lock:
            original()

    return tick_once


def install() -> None:
    """Let a tick set the time of the two sweeps."""
    scheduler.time = _Time()
    wrap(eventbridge, "_tick_scheduled_rules", _alone)
    wrap(scheduler, "_tick_schedules", _alone)
    provisioners._RESOURCE_HANDLERS[_TYPE] = _whole(provisioners._RESOURCE_HANDLERS[_TYPE])
