"""AWS::Events::* in CloudFormation: EventBusPolicy, the properties of EventBus that MiniStack
drops, and the checks of Rule that it lacks.

Schemas of AWS::Events::EventBusPolicy (Ref is ``BUS|STATEMENT``) and AWS::Events::EventBus (Policy,
DeadLetterConfig, KmsKeyIdentifier, LogConfig). PutRule and PutTargets reject a pattern that is not
valid, a missing bus, more than five targets, and another account's bus without a role [pages:
PutRule, PutTargets of the API reference; Amazon EventBridge quotas].
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from . import cfn_types, clock
from .cfn_types import Made, Properties, ResourceType
from .patching import Target

TARGETS = (
    Target("ministack.services.eventbridge", "_event_buses"),
    Target("ministack.services.eventbridge", "_event_bus_policies"),
    Target("ministack.services.eventbridge", "_put_permission", ("data",)),
    Target("ministack.services.eventbridge", "_remove_permission", ("data",)),
    Target("ministack.services.eventbridge", "_ensure_default_bus", ()),
    Target("ministack.services.eventbridge", "_event_pattern_error", ("pattern_str",)),
    Target("ministack.services.eventbridge", "_validate_target_arn", ("target",)),
    Target("ministack.services.eventbridge", "_rule_key", ("rule_name", "bus_name")),
    Target("ministack.services.eventbridge", "_rules"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

_KEPT = ("DeadLetterConfig", "KmsKeyIdentifier", "LogConfig")


def _bus(props: Properties) -> str:
    eventbridge._ensure_default_bus()
    return str(props.get("EventBusName") or "default").rsplit("/", 1)[-1]


def _policy_put(props: Properties) -> Made:
    bus, statement_id = _bus(props), str(props["StatementId"])
    if bus not in eventbridge._event_buses:
        raise ValueError(f"Event bus {bus} does not exist. (Service: EventBridge, Error Code: ResourceNotFoundException)")
    statement = props.get("Statement")
    if statement is None:
        eventbridge._put_permission({name: value for name, value in props.items() if name != "EventBusName"} | {"EventBusName": bus})
    else:
        policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
        given = json.loads(statement) if isinstance(statement, str) else statement
        eventbridge._event_bus_policies[bus] = {**policy, "Statement": [
            *(one for one in policy["Statement"] if one.get("Sid") != statement_id), {**given, "Sid": statement_id}]}
    return f"{bus}|{statement_id}", {}


def _policy_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    return _policy_put(props)


def _policy_update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Made:
    return _policy_put(new)


def _policy_delete(physical_id: str, props: Properties) -> None:
    bus, _, statement_id = physical_id.partition("|")
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})


def _whole_bus(handlers: dict[str, Any]) -> dict[str, Any]:
    create, update = handlers["create"], handlers["update"]

    def kept(name: str, props: Properties) -> None:
        bus = eventbridge._event_buses[name]
        for one in _KEPT:
            if props.get(one) is None:
                bus.pop(one, None)
            else:
                bus[one] = props[one]
        if props.get("Policy") is not None:
            eventbridge._put_permission({"EventBusName": name, "Policy": props["Policy"] if isinstance(props["Policy"], str)
                                         else json.dumps(props["Policy"])})

    def create_bus(logical_id: str, props: Properties, stack_name: str) -> Made:
        name, attributes = create(logical_id, props, stack_name)
        kept(name, props)
        return name, attributes

    def update_bus(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Made:
        name, attributes = update(physical_id, old, new, stack_name)
        kept(name, new)
        return name, attributes

    return {**handlers, "create": create_bus, "update": update_bus}


_MOST_TARGETS = 5


def _checked_rule(handlers: dict[str, Any]) -> dict[str, Any]:
    create, update = handlers["create"], handlers["update"]

    def check(props: Properties) -> None:
        pattern = props.get("EventPattern")
        problem = eventbridge._event_pattern_error(json.dumps(pattern) if isinstance(pattern, dict) else pattern or "")
        targets = props.get("Targets") or []
        if problem:
            problem = f"Event pattern is not valid. Reason: {problem}"
        elif not pattern and not props.get("ScheduleExpression"):
            problem = "Parameter(s) EventPattern or ScheduleExpression must be specified."
        elif _bus(props) not in eventbridge._event_buses:
            problem = f"Event bus {_bus(props)} does not exist."
        elif len(targets) > _MOST_TARGETS:
            problem = f"The rule has {len(targets)} targets, at most {_MOST_TARGETS} are allowed."
        else:
            refused = next((answer for answer in map(eventbridge._validate_target_arn, targets) if answer), None)
            problem = str(json.loads(refused[2])["message"]) if refused else ""
        if problem:
            raise ValueError(f"{problem} (Service: EventBridge, Status Code: 400)")

    def create_rule(logical_id: str, props: Properties, stack_name: str) -> Made:
        check(props)
        made: Made = create(logical_id, props, stack_name)
        # The countdown of a rate begins with the rule.
        eventbridge._rules[eventbridge._rule_key(made[0], _bus(props))].setdefault("CreationTime", clock.now())
        return made

    def update_rule(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None) -> Made:
        check(new)
        made: Made = update(physical_id, old, new, stack_name, logical_id)
        return made

    return {**handlers, "create": create_rule, "update": update_rule}


TYPES = (
    ResourceType("AWS::Events::EventBusPolicy", _policy_create, _policy_delete, _policy_update, replacing=("EventBusName", "StatementId"),
                 tagged=False),
)


def install() -> None:
    """Register the type and complete EventBus."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::Events::EventBus"] = _whole_bus(handlers["AWS::Events::EventBus"])
    handlers["AWS::Events::Rule"] = _checked_rule(handlers["AWS::Events::Rule"])
    cfn_types.register(TYPES)
