"""Service events put on an account's default bus for sluice-redshift."""

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


def put(account: str, region: str, source: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
    """Dispatch one event as the service would, to the rules of the account's default bus."""
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        eventbridge._dispatch_event({
            "EventId": str(uuid.uuid4()), "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail),
            "EventBusName": "default", "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "Resources": resources,
            "Account": account, "Region": region,
        })
