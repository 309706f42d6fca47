"""CloudFormation's events on the default bus: Stack Status Change and Resource Status Change.

MiniStack only keeps them for DescribeStackEvents. Fields [page: CloudFormation event details
reference, in Managing events with CloudFormation and Amazon EventBridge].
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import changesets, handlers, stacks
from ministack.services.cloudformation.stacks import CLIENT_REQUEST_TOKEN

from . import events
from .patching import Target

_PARAMETERS = ("stack_id", "stack_name", "logical_id", "resource_type", "status", "reason", "physical_id")
TARGETS = (
    Target("ministack.services.cloudformation.stacks", "_add_event", _PARAMETERS),
    Target("ministack.services.cloudformation.changesets", "_add_event", _PARAMETERS),
    Target("ministack.services.cloudformation.handlers", "_add_event", _PARAMETERS),
    Target("ministack.services.cloudformation.stacks", "CLIENT_REQUEST_TOKEN"),
)

_log = logging.getLogger("sluice.stack-events")


def _publishing(original: Callable[..., None]) -> Callable[..., None]:
    def add_event(stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, reason: str = "",
                  physical_id: str = "", *more: Any, **named: Any) -> None:
        original(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, *more, **named)
        detail: dict[str, Any] = {"stack-id": stack_id, "status-details": {"status": status, "status-reason": reason or ""},
                                  "client-request-token": CLIENT_REQUEST_TOKEN.get() or ""}
        own = resource_type == "AWS::CloudFormation::Stack" and logical_id == stack_name
        if not own:
            detail.update({"logical-resource-id": logical_id, "physical-resource-id": physical_id or "", "resource-type": resource_type})
        try:
            events.put(get_account_id(), get_region(), "aws.cloudformation",
                       f"CloudFormation {'Stack' if own else 'Resource'} Status Change", [stack_id], detail)
        except Exception:  # an event never fails a stack
            _log.exception("the event of %s in %s was not delivered", logical_id, stack_id)

    return add_event


def install() -> None:
    """Publish every stack event. Installed before ``deletion``, which calls this function."""
    publishing = _publishing(stacks._add_event)
    for module in (stacks, changesets, handlers):
        module._add_event = publishing
