"""Reads scripts/limits, by which scripts/deploy refuses lists and texts that are too long."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .limits import compact, inline_size
from .templates import ROOT, Renderer, Template

TEMPLATES = {"target": "copy-target", "source": "copy-source", "job": "copy-job", "hub": "alerts-hub", "spoke": "alerts-spoke"}


@dataclass(frozen=True)
class Limit:
    """A line of scripts/limits."""

    stack: str
    what: str
    limit: int
    fixed: int
    terms: tuple[str, ...]
    remedy: str

    @property
    def template(self) -> str:
        return TEMPLATES.get(self.stack, self.stack)

    @property
    def resource(self) -> str:
        return self.what.rpartition(" ")[2]

    @property
    def parameters(self) -> list[str]:
        return [term.partition("*")[0] for term in self.terms]

    def estimate(self, values: dict[str, Any]) -> int:
        """Returns the length as scripts/deploy computes it."""
        return self.fixed + sum(self._length(term, values) for term in self.terms)

    @staticmethod
    def _length(term: str, values: dict[str, Any]) -> int:
        name, _, factors = term.partition("*")
        text = values.get(name, "")
        if not factors:
            return len(json.dumps(text)) - 2
        times, extra = map(int, factors.split("+"))
        return sum(times * (len(item) + extra) for item in text.split(",") if item)

    def rendered(self, template: Template, values: dict[str, Any], false: set[str]) -> int:
        """Returns the length in the template, with every other condition on."""
        renderer = Renderer(template, values, lambda it: it not in false)
        properties = dict(renderer.resources())[self.resource]["Properties"]
        if self.what.startswith("the environment"):
            return len(compact(properties["Environment"]["Variables"]).encode())
        if self.what.startswith("the trust policy"):
            return len(compact(properties["AssumeRolePolicyDocument"]))
        if self.what.startswith("the policies"):
            return inline_size([it["PolicyDocument"] for it in properties["Policies"]])
        return len(compact(properties["PolicyDocument"]))


def limits() -> list[Limit]:
    found = []
    for line in (ROOT / "scripts" / "limits").read_text().splitlines():
        if line.startswith("#"):
            continue
        stack, what, limit, fixed, terms, remedy = (part.strip() for part in re.split(r"\|", line))
        found.append(Limit(stack, what, int(limit), int(fixed), tuple(terms.split()), remedy))
    return found
