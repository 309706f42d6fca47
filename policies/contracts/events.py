"""Compares sample events with the shapes that AWS publishes.

Each file in ``schemas/`` is a JSON schema that was written from the page or schema in its
``source``; the member ``event`` says which events it is for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from .templates import ROOT

SCHEMAS = Path(__file__).with_name("schemas")
# Samples of events that no page describes: only the envelope is compared.
UNDESCRIBED = {"Redshift Serverless Capacity Change"}


@cache
def schemas() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(SCHEMAS.glob("*.json"))}


def samples() -> list[Path]:
    return sorted((ROOT / "events").glob("*/*.json"))


def _breaches(name: str, value: Any, where: str) -> Iterator[str]:
    validator = Draft202012Validator(schemas()[name]["schema"])
    for error in validator.iter_errors(value):
        place = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in error.absolute_path)
        yield f"{where}{place}: {error.message[:300]} (schemas/{name}.json)"


def kinds(event: Any) -> list[str]:
    """Returns the names of the schemas that an event is compared with, the outermost first."""
    return list(dict.fromkeys(name for name, *_ in _parts(event, "")))


def is_described(event: Any) -> bool:
    """Returns true if there is a schema for the event."""
    found = kinds(event)
    return bool(found) and "undescribed" not in found


def check(event: Any, where: str) -> Iterator[str]:
    """Yields a sentence for each difference from the published shape."""
    found = False
    for name, value, place in _parts(event, where):
        found = True
        yield from _breaches(name, value, place)
    if not found:
        yield f"{where}: no schema in policies/contracts/schemas is for this event"


def _parts(event: Any, where: str) -> Iterator[tuple[str, Any, str]]:
    """Yields the parts of an event with their schemas: envelopes, and what they contain."""
    if not isinstance(event, dict):
        return
    if "detail-type" in event:
        yield "envelope", event, where
        yield from _detail(event, where)
    elif "RequestType" in event:
        yield "custom-resource", event, where
    elif "Step" in event:
        yield "rotation", event, where
    elif "requestContext" in event:
        yield "lambda-record", event, where
    elif event.get("Type") == "Notification":
        yield "sns-body", event, where
        yield from _text(event.get("Message"), f"{where}.Message")
    elif "Event Source" in event:
        yield ("redshift-message" if "Severity" in event else "rds-message"), event, where
    elif "Records" in event:
        yield from _records(event, where)


def _records(event: dict[str, Any], where: str) -> Iterator[tuple[str, Any, str]]:
    if all("Sns" in record for record in event["Records"]):
        yield "sns-records", event, where
        for index, record in enumerate(event["Records"]):
            yield from _text(record["Sns"].get("Message"), f"{where}.Records[{index}].Sns.Message")
    elif all("body" in record for record in event["Records"]):
        yield "sqs-records", event, where
        for index, record in enumerate(event["Records"]):
            yield from _text(record["body"], f"{where}.Records[{index}].body")


def _text(text: Any, where: str) -> Iterator[tuple[str, Any, str]]:
    try:
        inner = json.loads(text)
    except (TypeError, ValueError):
        # A message that is no JSON is somebody's own text.
        return
    yield from _parts(inner, where)


def _detail(event: dict[str, Any], where: str) -> Iterator[tuple[str, Any, str]]:
    kind = str(event["detail-type"])
    if kind in UNDESCRIBED:
        return
    for name, schema in schemas().items():
        wanted = schema.get("event")
        if wanted and re.search(_anchored(wanted["detail-type"]), kind) \
                and re.search(_anchored(wanted["source"]), str(event.get("source"))):
            yield name, event.get("detail"), f"{where}.detail"
            return
    # No schema: compare with one that nothing matches, so that the sentence names the event.
    yield "undescribed", kind, f"{where}.detail-type"


def _anchored(pattern: str) -> str:
    return pattern if pattern.startswith("^") else f"^{re.escape(pattern)}$"


def check_resources(event: Any, where: str) -> Iterator[str]:
    """Yields a sentence if an event names fewer resources than those that AWS sends."""
    for name, value, place in _parts(event, where):
        if name != "envelope":
            continue
        for detail, *_ in _detail(value, place):
            least = schemas().get(detail, {}).get("resources", {}).get("minItems", 0)
            if len(value.get("resources", [])) < least:
                yield f"{place}.resources: {len(value['resources'])} found, AWS sends {least} (schemas/{detail}.json)"
