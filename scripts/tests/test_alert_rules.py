"""The rules of the hub and of the spokes are the tested patterns of crates/alerts/patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "crates" / "alerts" / "patterns").glob("*.json")}
READS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


class Loader(yaml.SafeLoader):
    """Takes CloudFormation's short forms as their arguments."""


def _argument(loader: Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", _argument)


def rules(template: str) -> dict[str, dict[str, Any]]:
    """The rules with a pattern, by logical id."""
    loaded = yaml.load((ROOT / "templates" / template).read_text(), Loader)  # noqa: S506, a SafeLoader
    found = {name: one["Properties"] for name, one in loaded["Resources"].items() if one["Type"] == "AWS::Events::Rule"}
    return {name: one for name, one in found.items() if "EventPattern" in one}


def logical_id(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-")) + "Rule"


@pytest.mark.parametrize("template", ["alerts-hub.yaml", "alerts-spoke.yaml"])
def test_every_pattern_is_a_rule_and_every_rule_a_pattern(template: str) -> None:
    assert PATTERNS
    assert {name: one["EventPattern"] for name, one in rules(template).items()} == {
        logical_id(name): pattern for name, pattern in PATTERNS.items()}


@pytest.mark.parametrize("template", ["alerts-hub.yaml", "alerts-spoke.yaml"])
def test_reads_of_secrets_are_not_left_out(template: str) -> None:
    assert [name for name, one in rules(template).items() if one.get("State") == READS] == ["SecretReadsRule"]


@pytest.mark.parametrize("template", ["alerts-hub.yaml", "alerts-spoke.yaml"])
def test_every_rule_has_a_target_with_a_dead_letter_queue(template: str) -> None:
    for name, one in rules(template).items():
        assert [target.get("DeadLetterConfig") is not None for target in one["Targets"]] == [True], name
