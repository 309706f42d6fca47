"""S3 events for Redshift's auto-copy, and Redshift's own entry in a bucket's notification
configuration.

On AWS an S3 event integration puts an entry of its own into the bucket's notification
configuration, and a later writer of that configuration can wipe it [page: Create an S3 event
integration …]. So the entry is real here: events name the integrations whose entry still matches.
How AWS spells the entry is not documented; here it is a QueueConfiguration whose Id is the
integration's ARN.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3
from ministack.core.responses import get_account_id, request_scope
from ministack.services import s3

from . import stand_in
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.s3", "_fire_s3_event_async", ("bucket_name", "key", "event_name", "size", "etag")),
    Target("ministack.services.s3", "_bucket_owner_account", ("name",)),
    Target("ministack.services.s3", "_bucket_notifications"),
    Target("ministack.services.s3", "_bucket_policies"),
    Target("ministack.services.s3", "_buckets"),
    Target("ministack.services.s3", "_notification_bucket_region", ("bucket_name",)),
    Target("ministack.services.s3", "_parse_notification_config", ("bucket_name",)),
    Target("ministack.services.s3", "_notification_configs_to_xml", ("configs", "has_eventbridge")),
    Target("ministack.services.s3", "_validate_notification_configs", ("configs", "bucket_region")),
    Target("ministack.services.s3", "_event_matches", ("event_name", "patterns")),
    Target("ministack.services.s3", "_key_matches_filter", ("key",)),
    Target("ministack.services.s3", "_deliver_event_to_sqs", ("arn", "event_payload", "bucket_region")),
)

_log = logging.getLogger("sluice.s3-events")
_ALL_CREATED = "s3:ObjectCreated:*"
_RETRY_SECONDS = 30.0

_queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
_sequence = itertools.count(1)
_start = time.time_ns()


def _queue_arn(integration_arn: str) -> str:
    """The service-owned queue of an integration; nothing but its name exists here."""
    _, part, _, region, account, resource = integration_arn.split(":", 5)
    return f"arn:{part}:sqs:{region}:{account}:amazon-redshift-{resource.rsplit(':', 1)[-1]}"


def _is_ours(config: dict[str, Any]) -> bool:
    return ":integration:" in str(config.get("id", "")) and ":amazon-redshift-" in str(config.get("arn", ""))


def _integrations_for(bucket: str, key: str, event_name: str) -> list[str]:
    return [config["id"] for config in s3._parse_notification_config(bucket)
            if _is_ours(config) and s3._event_matches(event_name, config["events"])
            and s3._key_matches_filter(key, config["filter_prefix"], config["filter_suffix"])]


def _forwarding(original: Callable[..., Any]) -> Callable[..., Any]:
    def fire(bucket_name: str, key: str, event_name: str, size: int = 0, etag: str = "", *args: Any, **kwargs: Any) -> Any:
        now = time.time()
        _queue.put({
            "account": get_account_id(), "region": s3._notification_bucket_region(bucket_name), "bucket": bucket_name,
            "key": key, "size": size, "etag": etag.strip('"'), "event_name": event_name.removeprefix("s3:"),
            "event_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z",
            "sequencer": f"{_start + next(_sequence):018X}",
            "integrations": _integrations_for(bucket_name, key, event_name),
        })
        return original(bucket_name, key, event_name, size, etag, *args, **kwargs)

    return fire


def _deliver_for_ever() -> None:
    """One event after the other; an event that cannot be delivered is retried, then logged and
    dropped.
    """
    while True:
        event = _queue.get()
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            try:
                stand_in.post_event(event)
                break
            except (urllib3.exceptions.HTTPError, stand_in.StandInError) as problem:
                if time.monotonic() > deadline:
                    _log.error("S3 event of s3://%s/%s was not accepted by sluice-redshift within %.0f s: %s",
                               event["bucket"], event["key"], _RETRY_SECONDS, problem)
                    break
                time.sleep(0.2)


def _not_to_our_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    def deliver(arn: str, payload: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if ":amazon-redshift-" in arn:
            return None
        return original(arn, payload, *args, **kwargs)

    return deliver


def _with_our_queue_valid(original: Callable[..., Any]) -> Callable[..., Any]:
    def validate(configs: list[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        # A writer who keeps or narrows Redshift's entry must not fail because the service's queue
        # is not here.
        return original([config for config in configs if not _is_ours(config)], *args, **kwargs)

    return validate


def describe_bucket(name: str) -> dict[str, Any] | None:
    """Owner, Region, policy and notifications of any account's bucket; None when there is none."""
    owner = s3._bucket_owner_account(name)
    if owner is None:
        return None
    with request_scope(owner, "us-east-1"):
        return {"account": owner, "region": s3._notification_bucket_region(name), "policy": s3._bucket_policies.get(name),
                "notifications": _as_json(name)}


_JSON_NAMES = {"sqs": ("QueueConfigurations", "QueueArn"), "sns": ("TopicConfigurations", "TopicArn"),
               "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn")}


def _as_json(bucket: str) -> dict[str, Any]:
    """The configuration as GetBucketNotificationConfiguration gives it in the CLI."""
    found: dict[str, Any] = {}
    for config in s3._parse_notification_config(bucket):
        group, arn_name = _JSON_NAMES[config["type"]]
        entry: dict[str, Any] = {"Id": config["id"], arn_name: config["arn"], "Events": config["events"]}
        rules = [{"Name": name, "Value": config[f"filter_{name}"]} for name in ("prefix", "suffix")
                 if config[f"filter_{name}"] is not None]
        if rules:
            entry["Filter"] = {"Key": {"FilterRules": rules}}
        found.setdefault(group, []).append(entry)
    if "EventBridgeConfiguration" in (s3._bucket_notifications.get(bucket) or ""):
        found["EventBridgeConfiguration"] = {}
    return found


def change_entry(bucket: str, integration_arn: str, operation: str) -> bool:
    """Write or remove an integration's entry; False when the bucket does not exist. Raises
    ValueError on another operation.
    """
    if operation not in ("add", "remove"):
        raise ValueError(f"operation must be add or remove, found {operation!r}")
    owner = s3._bucket_owner_account(bucket)
    if owner is None:
        return False
    with request_scope(owner, "us-east-1"):
        configs = [config for config in s3._parse_notification_config(bucket) if config["id"] != integration_arn]
        if operation == "add":
            configs.append({"type": "sqs", "id": integration_arn, "arn": _queue_arn(integration_arn),
                            "events": [_ALL_CREATED], "filter_prefix": None, "filter_suffix": None})
        eventbridge = "EventBridgeConfiguration" in (s3._bucket_notifications.get(bucket) or "")
        if configs or eventbridge:
            s3._bucket_notifications[bucket] = s3._notification_configs_to_xml(configs, eventbridge)
        else:
            s3._bucket_notifications.pop(bucket, None)
    return True


def install() -> None:
    """Forward events from now on."""
    wrap(s3, "_fire_s3_event_async", _forwarding)
    wrap(s3, "_deliver_event_to_sqs", _not_to_our_queue)
    wrap(s3, "_validate_notification_configs", _with_our_queue_valid)
    threading.Thread(target=_deliver_for_ever, name="sluice-s3-events", daemon=True).start()
