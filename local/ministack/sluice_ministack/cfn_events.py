"""AWS::Events::* in CloudFormation: EventBusPolicy, and the properties of EventBus that MiniStack drops.

Schemas of AWS::Events::EventBusPolicy (Ref is ``BUS|STATEMENT``) and AWS::Events::EventBus (Policy, DeadLetterConfig, KmsKeyIdentifier,
LogConfig).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from . import cfn_types
from .cfn_types import Made, Properties, ResourceType
from .patching import Target

TARGETS = (
    Target("ministack.services.eventbridge", "_event_buses"),
    Target("ministack.services.eventbridge", "_event_bus_policies"),
    Target("ministack.services.eventbridge", "_put_permission", ("data",)),
    Target("ministack.services.eventbridge", "_remove_permission", ("data",)),
    Target("ministack.services.eventbridge", "_ensure_default_bus", ()),
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


TYPES = (
    ResourceType("AWS::Events::EventBusPolicy", _policy_create, _policy_delete, _policy_update, replacing=("EventBusName", "StatementId"),
                 tagged=False),
)


def install() -> None:
    """Register the type and mend EventBus."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::Events::EventBus"] = _whole_bus(handlers["AWS::Events::EventBus"])
    cfn_types.register(TYPES)
