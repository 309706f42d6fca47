"""Change sets with the resources that conditions add and remove.

MiniStack compares templates without their conditions, so that a parameter which only turns
resources on or off is "no changes". On AWS such a change set adds and removes them [page: Update
behaviors of stack resources; Conditions: "at stack creation or stack update, CloudFormation
evaluates all the conditions in your template before creating any resources"].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import changesets

from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudformation.changesets", "_resolve_props_for_diff", ("template", "params", "stack_name", "stack_id")),
    Target("ministack.services.cloudformation.changesets", "_evaluate_conditions", ("template", "params")),
)


def _with_conditions(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def resolve(template: dict[str, Any], params: dict[str, Any], stack_name: str, stack_id: str) -> dict[str, Any]:
        resolved = original(template, params, stack_name, stack_id)
        if not resolved.get("Resources") or not template.get("Conditions"):
            return resolved
        holds = changesets._evaluate_conditions(template, params)
        there = {name: one for name, one in resolved["Resources"].items() if holds.get(one.get("Condition"), True)}
        return {**resolved, "Resources": there}

    return resolve


def install() -> None:
    """Leave out resources whose condition is false."""
    wrap(changesets, "_resolve_props_for_diff", _with_conditions)
