"""Event buses of other accounts and Regions, and bus policies.

MiniStack rejects them. Here [page: Sending and receiving events between AWS accounts in Amazon
EventBridge]:

- PutEvents to, and a rule's target with, the ARN of another account's bus: the caller, or the
  target's role, needs events:PutEvents on the bus, and the bus's policy must allow it too. The
  event keeps its id, source, account, time and Region;
- an event that came from another account is not sent on to a third one: THIRD_ACCOUNT_HOP_DETECTED;
- PutPermission takes a whole policy, or an account, which is written as its root's ARN, and an
  organisation as a condition;
- an event has the Time its entry gives [page: PutEventsRequestEntry].

The error code for a bus that rejects an event or is missing is not documented; here it is
CROSS_ACCOUNT_INGESTION_FAILED.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.services import eventbridge

from . import clock, deliveries, recorder, rule_targets
from .deliveries import Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.eventbridge", "_put_events", ("data", "allow_aws_source")),
    Target("ministack.services.eventbridge", "_put_permission", ("data",)),
    Target("ministack.services.eventbridge", "_now_ts", ()),
    Target("ministack.services.eventbridge", "_dispatch_to_event_bus", ("spec", "event", "rule", "event_path", "target_input_payload")),
    Target("ministack.services.eventbridge", "_dispatch_event", ("event", "view")),
    Target("ministack.services.eventbridge", "_archive_event", ("event", "view")),
    Target("ministack.services.eventbridge", "_ensure_default_bus", ()),
    Target("ministack.services.eventbridge", "_rule_key", ("rule_name", "bus_name")),
    Target("ministack.services.eventbridge", "_event_buses"),
    Target("ministack.services.eventbridge", "_event_bus_policies"),
)

_PUT = "events:PutEvents"
# The account an event of this account's buses came from.
_FROM = "_SluiceFrom"
_time: contextvars.ContextVar[float | None] = contextvars.ContextVar("sluice_event_time", default=None)


def is_bus(arn: str) -> bool:
    """Return true for the ARN of a bus."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] == "events" and parts[5].startswith("event-bus/")


def _name(arn: str) -> str:
    return arn.split("/", 1)[1]


def _is_foreign(arn: str) -> bool:
    return is_bus(arn) and arn.split(":")[3:5] != [get_region(), get_account_id()]


def policy_of(arn: str) -> tuple[str, str] | None:
    """A bus's policy and its owner, None when there is no such bus."""
    with deliveries.owning(arn):
        eventbridge._ensure_default_bus()
        if _name(arn) not in eventbridge._event_buses:
            return None
        return json.dumps(eventbridge._event_bus_policies.get(_name(arn)) or {}), get_account_id()


def _hand_over(arn: str, event: dict[str, Any]) -> None:
    """Put an event on a bus in its own account and Region."""
    with deliveries.owning(arn):
        received = {name: value for name, value in event.items() if name != "_DispatchPath"}
        received.update({"EventBusName": _name(arn)}, **({_FROM: event["Account"]} if event["Account"] != get_account_id() else {}))
        eventbridge._dispatch_event(received)
        eventbridge._archive_event({name: value for name, value in received.items() if name != _FROM})


def put(sender: Sender, arn: str, source: str, detail_type: str, resources: list[str], detail: str) -> None:
    """Put one event on any bus as a sender."""
    policy = policy_of(arn)
    if policy is None:
        raise Undelivered("NO_RESOURCE", f"the event bus {arn} does not exist")
    deliveries.admit(sender, _PUT, arn, policy)
    _hand_over(arn, {"EventId": new_uuid(), "Source": source, "DetailType": detail_type, "Detail": detail, "Time": int(clock.now()),
                     "Resources": resources, "Account": sender.account, "Region": sender.arn.split(":")[3]})


def _across(sender: Sender, arn: str, event: dict[str, Any], account: str) -> None:
    """Send an event from a rule to another account's or Region's bus."""
    if event.get(_FROM) and arn.split(":")[4] != account:
        raise Undelivered("THIRD_ACCOUNT_HOP_DETECTED", f"the event came from account {event[_FROM]} and is not sent on to {arn}")
    if not sender.role_arn:
        raise Undelivered("NO_PERMISSIONS", f"the target {arn} has no role")
    policy = policy_of(arn)
    # The role alone first, so that the error code names the policy that lacks the permission.
    deliveries.admit(sender, _PUT, arn, None)
    if policy is None:
        raise Undelivered("CROSS_ACCOUNT_INGESTION_FAILED", f"the event bus {arn} does not exist")
    if policy[1] != account:
        try:
            deliveries.admit(sender, _PUT, arn, policy)
        except Undelivered as refused:
            raise Undelivered("CROSS_ACCOUNT_INGESTION_FAILED", refused.message) from refused
    _hand_over(arn, event)


def _to_event_bus(original: Callable[..., None]) -> Callable[..., None]:
    def dispatch(spec: Any, event: dict[str, Any], rule: dict[str, Any], event_path: Any, target_input_payload: str | None = None) -> None:
        arn, account = str(spec), get_account_id()
        given = event if target_input_payload is None else {**event, "Detail": target_input_payload}
        if _is_foreign(arn):
            rule_targets.deliver(lambda sender: _across(sender, arn, given, account))
            return

        def send(sender: Sender) -> None:
            if policy_of(arn) is None:
                raise Undelivered("NO_RESOURCE", f"the event bus {arn} does not exist")
            if sender.role_arn:
                deliveries.admit(sender, _PUT, arn, policy_of(arn))
            original(spec, event, rule, event_path, target_input_payload)

        rule_targets.deliver(send)

    return dispatch


def _seconds(value: Any) -> float | None:
    if value is None or isinstance(value, (int, float)):
        return value
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()


def _denied(arn: str) -> str:
    """The reason why the caller may not put events on another account's bus; its own policies are
    checked before.
    """
    caller, account = iam_evaluator.caller_arn(), get_account_id()
    if arn.split(":")[4] == account:
        return ""
    ctx = iam_evaluator.EvalContext(principal_arn=caller, principal_type="AssumedRole", principal_account=account, action=_PUT,
                                    resource_arn=arn, region=get_region())
    policy = policy_of(arn)
    # PutEvents does not reveal if a bus exists.
    allowed = policy is None or iam_evaluator.evaluate_resource_policy(policy[0], ctx).decision == "Allow"
    recorder.record(caller, _PUT, arn, "allowed" if allowed else "denied", "bus-policy")
    return "" if allowed else (f"User: {caller} is not authorized to perform: {_PUT} on resource: {arn} because no resource-based policy "
                               f"allows the {_PUT} action")


def _put_foreign(entry: dict[str, Any], allow_aws_source: bool) -> dict[str, Any]:
    arn, source = entry["EventBusName"], str(entry.get("Source", ""))
    if source.startswith("aws.") and not allow_aws_source:
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    event = {"EventId": new_uuid(), "Source": source, "DetailType": entry.get("DetailType", ""), "Detail": entry.get("Detail", "{}"),
             "Time": int(eventbridge._now_ts()), "Resources": entry.get("Resources", []), "Account": get_account_id(), "Region": get_region()}
    if policy_of(arn) is not None:
        _hand_over(arn, event)
    return {"EventId": event["EventId"]}


def _putting(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_events(data: dict[str, Any], allow_aws_source: bool = False) -> Any:
        entries = data.get("Entries", [])
        if not 1 <= len(entries) <= 10:
            return original(data, allow_aws_source)
        for entry in entries:
            denied = _denied(entry["EventBusName"]) if _is_foreign(str(entry.get("EventBusName"))) else ""
            if denied:
                return error_response_json("AccessDeniedException", denied, 400)
        results: list[dict[str, Any]] = []
        for entry in entries:
            token = _time.set(_seconds(entry.get("Time")))
            try:
                if _is_foreign(str(entry.get("EventBusName"))):
                    results.append(_put_foreign(entry, allow_aws_source))
                else:
                    results += json.loads(original({**data, "Entries": [entry]}, allow_aws_source)[2])["Entries"]
            finally:
                _time.reset(token)
        return json_response({"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results})

    return put_events


def _as_given(original: Callable[[], float]) -> Callable[[], float]:
    def now_ts() -> float:
        given = _time.get()
        return clock.now() if given is None else given

    return now_ts


def _bus_of(data: dict[str, Any]) -> str:
    bus = str(data.get("EventBusName") or "default")
    return _name(bus) if is_bus(bus) else bus


def _permitting(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_permission(data: dict[str, Any]) -> Any:
        bus = _bus_of(data)
        if bus not in eventbridge._event_buses:
            return error_response_json("ResourceNotFoundException", f"Event bus {bus} does not exist.", 400)
        if data.get("Policy"):
            try:
                eventbridge._event_bus_policies[bus] = json.loads(data["Policy"])
            except ValueError:
                return error_response_json("ValidationException", "The policy is not valid JSON.", 400)
            return json_response({})
        principal = str(data.get("Principal", "*"))
        condition = data.get("Condition")
        if isinstance(condition, dict) and "Key" in condition:
            condition = {condition.get("Type", "StringEquals"): {condition["Key"]: condition.get("Value")}}
        return original({**data, "EventBusName": bus, "Condition": condition,
                         "Principal": {"AWS": f"arn:aws:iam::{principal}:root"} if principal.isdigit() else principal})

    return put_permission


def install() -> None:
    """Reach buses everywhere, under their policies. After the rule targets."""
    wrap(eventbridge, "_dispatch_to_event_bus", _to_event_bus)
    wrap(eventbridge, "_now_ts", _as_given)
    wrap(eventbridge, "_put_events", _putting)
    wrap(eventbridge, "_put_permission", _permitting)
