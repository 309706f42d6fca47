"""All concerns of the extension, in the order in which they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from . import (
    alarm_events,
    alarms,
    api_calls,
    async_invocations,
    authorization,
    boundaries,
    cfn_events,
    cfn_monitoring,
    cfn_network,
    cfn_redshift,
    cfn_secrets,
    change_sets,
    control,
    custom_resources,
    dashboards,
    deletion,
    deliveries,
    elasticache,
    encryption_keys,
    event_buses,
    events,
    faults,
    forwarding,
    function_access,
    function_logs,
    holds,
    identity,
    metric_math,
    metrics,
    msk,
    queue_mappings,
    queue_redrive,
    queue_subscriptions,
    recorder,
    request_context,
    rotation,
    rotation_schedules,
    rule_targets,
    s3_events,
    s3_policies,
    schedules,
    secret_listing,
    secrets,
    stack_events,
    state_machines,
    subscriptions,
    topics,
)
from .contracts import gate
from .patching import Target

_PATCHING: tuple[ModuleType, ...] = (
    identity, recorder, request_context, s3_policies, s3_events, forwarding, secrets, encryption_keys, rotation, secret_listing, state_machines, custom_resources,
    stack_events, deletion, boundaries, cfn_redshift, cfn_network, cfn_secrets, cfn_events, cfn_monitoring, change_sets, subscriptions,
    elasticache, msk, rule_targets, event_buses, async_invocations, function_access, function_logs, queue_mappings, queue_redrive, topics, queue_subscriptions, alarm_events, metrics, alarms,
    schedules, holds, faults, api_calls, gate, control,
)
_USING: tuple[ModuleType, ...] = (authorization, deliveries, events, metric_math, dashboards, rotation_schedules)


def targets() -> Iterator[Target]:
    """Every name of MiniStack the extension depends on."""
    for concern in (*_PATCHING, *_USING):
        yield from concern.TARGETS


def install() -> None:
    """Install every concern."""
    for concern in _PATCHING:
        concern.install()
