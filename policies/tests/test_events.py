"""The sample events against the shapes that AWS publishes, and wrong events that are refused."""

from __future__ import annotations

import copy
import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts import events, templates
from contracts.templates import ROOT, Template

SOURCES = ROOT / "events" / "SOURCES.md"


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def breaches(event: Any, where: str = "event") -> list[str]:
    return [*events.check(event, where), *events.check_resources(event, where)]


@pytest.mark.parametrize("path", events.samples(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_has_the_published_shape(path: Path) -> None:
    found = breaches(json.loads(path.read_text()), f"events/{path.parent.name}/{path.name}")
    assert not found, "\n".join(found)


def test_every_schema_has_a_source_and_a_sample() -> None:
    used = {kind for path in events.samples() for kind in events.kinds(json.loads(path.read_text()))}
    assert used == set(events.schemas()) - {"undescribed"}
    assert all(len(schema["source"]) > 30 for schema in events.schemas().values())


def sources() -> str:
    """Returns the text of events/SOURCES.md."""
    lines = [
        "# Sources of the sample events", "",
        "`policies/tests/test_events.py` compares each sample with the schemas below, which were written",
        "from these pages and schemas, and writes this file with `SLUICE_UPDATE_GOLDEN=1`.",
    ]
    of: dict[str, list[str]] = {}
    for path in events.samples():
        for kind in events.kinds(json.loads(path.read_text())):
            of.setdefault(kind, []).append(f"{path.parent.name}/{path.stem}")
    for kind, schema in events.schemas().items():
        if kind not in of:
            continue
        lines += ["", f"## {kind}", ""]
        lines += textwrap.wrap(f"Source: {schema['source']}.", 100, break_long_words=False)
        names = "all events with a `detail-type`" if kind == "envelope" else ", ".join(of[kind])
        lines += ["", *textwrap.wrap(f"Samples: {names}.", 100, break_long_words=False, break_on_hyphens=False)]
    undescribed = ", ".join(sorted(events.UNDESCRIBED))
    lines += ["", "## Without a page", "", f"Only the envelope is compared: {undescribed}."]
    return "\n".join(lines) + "\n"


def test_every_sample_has_its_source_in_the_file() -> None:
    if os.environ.get("SLUICE_UPDATE_GOLDEN"):
        SOURCES.write_text(sources())
    assert SOURCES.read_text() == sources(), "run with SLUICE_UPDATE_GOLDEN=1 and read the difference"


def test_samples_have_the_properties_of_custom_resources(all_templates: list[Template]) -> None:
    """CloudFormation sends what the template says, and nothing else."""
    known: dict[str, set[str]] = {}
    for template in all_templates:
        for _, renderer in templates.renderings(template):
            for _, resource in renderer.resources():
                if resource["Type"].startswith("Custom::"):
                    known.setdefault(resource["Type"], set()).update(resource["Properties"])
    checked = 0
    for path in events.samples():
        request = json.loads(path.read_text())
        if "RequestType" in request:
            given = set(request["ResourceProperties"]) | set(request.get("OldResourceProperties", {}))
            unknown = given - known[request["ResourceType"]]
            assert not unknown, f"{path.name}: no template passes {sorted(unknown)}"
            checked += 1
    assert checked >= 6


def put(*place: str | int, value: Any) -> Callable[[Any], None]:
    def change(event: Any) -> None:
        for step in place[:-1]:
            event = event[step]
        event[place[-1]] = value
    return change


def drop(*place: str | int) -> Callable[[Any], None]:
    def change(event: Any) -> None:
        for step in place[:-1]:
            event = event[step]
        del event[place[-1]]
    return change


def in_text(place: tuple[str | int, ...], inner: Callable[[Any], None]) -> Callable[[Any], None]:
    """Changes an event that another one contains as text."""
    def change(event: Any) -> None:
        for step in place[:-1]:
            event = event[step]
        content = json.loads(event[place[-1]])
        inner(content)
        event[place[-1]] = json.dumps(content)
    return change


# Wrong events: a name, a sample, its change, and a part of the sentence that names it.
PLANTED: list[tuple[str, str, Callable[[Any], None], str]] = [
    ("no Region in the envelope", "events/scheduled", drop("region"), "'region' is a required property"),
    ("a member that EventBridge has not", "events/scheduled", put("detailType", value="x"), "'detailType' was unexpected"),
    ("an account that is a number", "events/scheduled", put("account", value=333333333333), "is not of type 'string'"),
    ("milliseconds in the envelope's time", "events/scheduled", put("time", value="2026-03-01T02:58:07.123Z"),
     "event.time: '2026-03-01T02:58:07.123Z' does not match"),
    ("bytes of a backup as a number", "backup/job-failed", put("detail", "bytesTransferred", value=0), "is not of type 'string'"),
    ("a backup job without its vault", "backup/job-failed", drop("detail", "backupVaultName"), "'backupVaultName' is a required"),
    ("a copy job of no recovery point", "backup/copy-failed", put("resources", value=[]), "resources: 0 found, AWS sends 1"),
    ("a stack's status without its reason", "cloudformation/stack-delete-failed",
     drop("detail", "status-details", "status-reason"), "'status-reason' is a required property"),
    ("a resource's properties in its event", "cloudformation/resource-cancelled",
     put("detail", "properties", value="{}"), "'properties' was unexpected"),
    ("a boolean in a custom resource's properties", "cloudformation/copy-job-create",
     put("ResourceProperties", "Auto", value=True), "True is not of type 'string', 'array', 'object'"),
    ("a Create with a physical id", "cloudformation/copy-job-create", put("PhysicalResourceId", value="x"),
     "False schema does not allow 'x'"),
    ("an Update without the old properties", "cloudformation/copy-job-update-auto",
     drop("OldResourceProperties"), "'OldResourceProperties' is a required property"),
    ("an alarm's state without a time", "cloudwatch/alarm", drop("detail", "state", "timestamp"), "'timestamp' is a required"),
    ("a statement's rows as text", "redshift-data/statement-finished", put("detail", "rows", value="12"), "'12' is not of type 'number'"),
    ("a statement that is still running", "redshift-data/statement-finished",
     put("detail", "state", value="STARTED"), "'STARTED' is not one of"),
    ("a rotation step that does not exist", "secretsmanager/rotation-set-secret", put("Step", value="SetSecret"), "'SetSecret' is not one of"),
    ("a label event of AWSPENDING", "secretsmanager/secret-label-updated",
     put("detail", "labelUpdated", value="AWSPENDING"), "should not be valid"),
    ("a CloudTrail record without its request", "redshift/delete-integration",
     drop("detail", "requestParameters"), "'requestParameters' is a required property"),
    ("a running execution that has stopped", "states/execution-running", put("detail", "stopDate", value=1772333887000),
     "is not of type 'null'"),
    ("a record of Lambda without the destination", "lambda/on-failure-by-bus",
     drop("resources", 0), "resources: 1 found, AWS sends 2"),
    ("a message of a topic in a queue as Lambda gets it", "sqs/batch",
     in_text(("Records", 3, "body"), lambda it: it.update(SigningCertUrl=it.pop("SigningCertURL"))), "'SigningCertURL' is a required"),
    ("an event in a queue with a wrong member", "sqs/batch",
     in_text(("Records", 0, "body"), put("detail", "eventname", value="x")), "Records[0].body.detail: Additional properties"),
    ("a database message without its event id", "rds/subscription-low-storage",
     in_text(("Records", 0, "Sns", "Message"), drop("Event ID")), "'Event ID' is a required property"),
    ("a kind of event that no page describes", "events/scheduled", put("detail-type", value="Scheduled Events"), "(schemas/undescribed.json)"),
]


@pytest.mark.parametrize(("name", "source", "change", "expected"), PLANTED, ids=[it[0] for it in PLANTED])
def test_planted_event_is_refused(name: str, source: str, change: Callable[[Any], None], expected: str) -> None:
    event = copy.deepcopy(sample(source))
    change(event)
    found = breaches(event)
    assert any(expected in sentence for sentence in found), found
