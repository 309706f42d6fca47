"""Event subscriptions of Amazon RDS and Amazon Redshift: the notifications these services publish
to a topic.

Nothing fails over or resizes by itself, so a test reports an event with ``POST
/_sluice/database-event``; every enabled subscription that matches by source type, source and
category publishes it. Schemas of AWS::RDS::EventSubscription and AWS::Redshift::EventSubscription;
messages [pages: Overview of Amazon RDS event notification; Amazon Redshift cluster event
notifications]. They publish as ``events.rds.amazonaws.com`` and ``redshift.amazonaws.com`` [page:
Amazon SNS Key management], which the topic's policy and key must admit. RDS gives aws:SourceArn and
aws:SourceAccount (page Granting permissions to publish notifications to an Amazon SNS topic) and,
since a topic's first policy admits it, AWS:SourceOwner. Redshift documents none; here it gives the
same.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

from . import cfn_types, deliveries, faults
from .cfn_types import Made, Properties, ResourceType, is_true
from .deliveries import Sender, Undelivered
from .patching import Target

TARGETS = (
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
    Target("ministack.services.cloudformation.provisioners", "_physical_name", ("stack_name", "logical_id", "lowercase", "max_len")),
)

_log = logging.getLogger("sluice.subscriptions")
_PRINCIPALS = {"rds": "events.rds.amazonaws.com", "redshift": "redshift.amazonaws.com"}
_SUBJECTS = {"rds": "RDS Notification Message", "redshift": "[Amazon Redshift] - Event Notification"}


@dataclass(frozen=True)
class Subscription:
    """One subscription; empty lists match everything."""

    service: str
    account: str
    region: str
    name: str
    topic: str
    source_type: str
    sources: tuple[str, ...]
    categories: tuple[str, ...]
    severity: str = ""
    enabled: bool = True

    @property
    def arn(self) -> str:
        """The subscription's ARN."""
        kind = "es" if self.service == "rds" else "eventsubscription"
        return f"arn:aws:{self.service}:{self.region}:{self.account}:{kind}:{self.name}"


@dataclass(frozen=True)
class Event:
    """An event of a database."""

    service: str
    account: str
    region: str
    source_type: str
    source: str
    event_id: str
    message: str
    categories: tuple[str, ...] = field(default=())
    severity: str = "INFO"


_subscriptions: dict[tuple[str, str, str, str], Subscription] = {}


def _body(event: Event) -> dict[str, Any]:
    when = time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime())
    console = f"https://console.aws.amazon.com/{event.service}/home?region={event.region}"
    if event.service == "rds":
        return {"Event Source": event.source_type, "Event Time": when, "Identifier Link": f"{console}#dbinstance:id={event.source}",
                "Source ID": event.source, "Source ARN": f"arn:aws:rds:{event.region}:{event.account}:db:{event.source}",
                "Event ID": f"http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#{event.event_id}",
                "Event Message": event.message}
    return {"Event Source": event.source_type, "Resource": event.source, "Event Time": when,
            "Identifier Link": f"{console}#cluster-details:cluster={event.source}", "Severity": event.severity,
            # Messages write categories with a capital, subscriptions without.
            "Category": [category.capitalize() for category in event.categories],
            "About this Event": "http://docs.aws.amazon.com/redshift/latest/mgmt/working-with-event-notifications.html"
                                f"#{event.event_id}",
            "Event Message": event.message}


def _matches(one: Subscription, event: Event) -> bool:
    same = (one.service, one.account, one.region) == (event.service, event.account, event.region)
    return (same and one.enabled and one.source_type in ("", event.source_type) and (not one.sources or event.source in one.sources)
            and (not one.categories or bool(set(one.categories) & set(event.categories)))
            and (one.severity != "ERROR" or event.severity == "ERROR"))


def publish(event: Event) -> int:
    """Publish to the topic of every matching subscription; return the number of deliveries."""
    published = 0
    for one in [one for one in _subscriptions.values() if _matches(one, event)]:
        sender = Sender(_PRINCIPALS[one.service], one.arn)
        try:
            deliveries.to_topic(sender, one.topic, json.dumps(_body(event)), _SUBJECTS[one.service],
                                context={**sender.context(), "aws:SourceOwner": sender.account})
            published += 1
        except (Undelivered, faults.Struck) as problem:
            _log.warning("%s: %s", one.arn, problem)
    return published


def _type(service: str, type_name: str, sources: str) -> ResourceType:
    def put(name: str, props: Properties) -> Made:
        one = Subscription(service, get_account_id(), get_region(), name, str(props.get("SnsTopicArn", "")), str(props.get("SourceType") or ""),
                           tuple(str(source) for source in props.get(sources) or []),
                           tuple(str(category) for category in props.get("EventCategories") or []), str(props.get("Severity") or ""),
                           is_true(props.get("Enabled", True)))
        _subscriptions[service, one.account, one.region, name] = one
        return name, {"Arn": one.arn}

    def create(logical_id: str, props: Properties, stack_name: str) -> Made:
        name = props.get("SubscriptionName") or provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=255)
        return put(str(name).lower(), props)

    def update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
        return put(name, new)

    def delete(name: str, props: Properties) -> None:
        _subscriptions.pop((service, get_account_id(), get_region(), name), None)

    return ResourceType(type_name, create, delete, update, replacing=("SubscriptionName",))


TYPES = (
    _type("rds", "AWS::RDS::EventSubscription", "SourceIds"),
    _type("redshift", "AWS::Redshift::EventSubscription", "SourceIds"),
)


def install() -> None:
    """Register the types."""
    cfn_types.register(TYPES)
