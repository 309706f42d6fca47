"""Scheduled rules and EventBridge Scheduler schedules, started by the clock or by a tick.

The clock starts what is due every ``SLUICE_CLOCK_SECONDS`` (see ``clock``). ``POST /_sluice/tick``
with ``{"at": SECONDS}`` starts what is due at that time; with ``{"rule": ARN}`` or ``{"schedule":
ARN}`` it starts that one now.

Schedules [pages: Setting up EventBridge Scheduler; Configuring a dead-letter queue for EventBridge
Scheduler]: the target's role must trust ``scheduler.amazonaws.com`` and hold the permission, for
the dead-letter queue too; its message attributes are Scheduler's. MiniStack's
AWS::Scheduler::Schedule drops StartDate, EndDate, ScheduleExpressionTimezone and KmsKeyArn, which
are kept here; times are taken as UTC.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from ministack.core.responses import new_uuid, request_scope
from ministack.services import eventbridge, scheduler, secretsmanager
from ministack.services.cloudformation import provisioners

from . import alarms, clock, rotation_schedules
from .cfn_types import Made, Properties
from .patching import Target

TARGETS = (
    Target("ministack.services.eventbridge", "_tick_scheduled_rules", ()),
    Target("ministack.services.eventbridge", "_invoke_target", ("target", "event", "rule", "view")),
    Target("ministack.services.eventbridge", "start_scheduler", ()),
    Target("ministack.services.eventbridge", "_rules"),
    Target("ministack.services.eventbridge", "_targets"),
    Target("ministack.services.scheduler", "_tick_schedules", ()),
    Target("ministack.services.scheduler", "start_scheduler", ()),
    Target("ministack.services.scheduler", "_schedules"),
    Target("ministack.services.scheduler", "time"),
    Target("ministack.services.secretsmanager", "time"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

_TYPE = "AWS::Scheduler::Schedule"
_KEPT = ("StartDate", "EndDate", "ScheduleExpressionTimezone", "KmsKeyArn")
_lock = threading.Lock()


def start_due(at: float) -> None:
    """Start the rules and schedules that are due at a time, in every account."""
    with _lock, clock.as_of(at):
        eventbridge._tick_scheduled_rules()
        scheduler._tick_schedules()


def tick(at: float) -> None:
    """Evaluate alarms and start the rules and schedules that are due at a time."""
    alarms.tick(at)
    start_due(at)


def _event(source: str, arn: str, account: str, region: str, at: float) -> dict[str, Any]:
    return {"EventId": new_uuid(), "Source": source, "DetailType": "Scheduled Event", "Detail": "{}", "EventBusName": "default",
            "Time": int(at), "Resources": [arn], "Account": account, "Region": region}


def fire_rule(arn: str, at: float) -> bool:
    """Start one scheduled rule; False when there is none of that ARN."""
    for (account, region, key), rule in eventbridge._rules.all_items():
        if rule.get("Arn") == arn and rule.get("ScheduleExpression"):
            with request_scope(account, region):
                for target in eventbridge._targets.get(key, []):
                    eventbridge._invoke_target(target, _event("aws.events", arn, account, region, at), rule)
            return True
    return False


def fire_schedule(arn: str, at: float) -> bool:
    """Start one schedule; False when there is none of that ARN."""
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


def _by_the_clock(at: float) -> None:
    start_due(at)
    rotation_schedules.start_due(at)


def _without_own_sweep() -> None:
    """Stands in for the start of MiniStack's sweeps."""


def install() -> None:
    """Start rules, schedules and rotations by the gateway's clock, in place of MiniStack's sweeps.
    """
    scheduler.time = clock.TimeModule()
    secretsmanager.time = clock.TimeModule()
    eventbridge.start_scheduler = _without_own_sweep
    scheduler.start_scheduler = _without_own_sweep
    provisioners._RESOURCE_HANDLERS[_TYPE] = _whole(provisioners._RESOURCE_HANDLERS[_TYPE])
    clock.every(float(os.environ.get("SLUICE_CLOCK_SECONDS", "0")), _by_the_clock, "start of schedules")
