"""Events of services put on an account's default bus."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import eventbridge

from .patching import Target

TARGETS = (
    Target("ministack.services.eventbridge", "_dispatch_event", ("event",)),
    Target("ministack.services.eventbridge", "_ensure_default_bus", ()),
)


# Marks a read-only management event, which only rules with
# ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS get.
READ_ONLY = "_SluiceReadOnly"


def put(account: str, region: str, source: str, detail_type: str, resources: list[str], detail: dict[str, Any],
        read_only: bool = False) -> None:
    """Dispatch one event as the service would, to the rules of the account's default bus."""
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        eventbridge._dispatch_event({
            "EventId": str(uuid.uuid4()), "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail),
            "EventBusName": "default", "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "Resources": resources,
            "Account": account, "Region": region, **({READ_ONLY: True} if read_only else {}),
        })
