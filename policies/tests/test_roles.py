"""Roles take their path and permissions boundary from parameters; the pages about them are current."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts import grants, limits, samples, statements, templates
from contracts.roles import roles
from contracts.templates import ROOT, Renderer, Template

BOUNDARY = samples.arn("iam", "policy/bank/limit", region="")
PATH = "/bank/sluice/"
SECURITY = ROOT / "docs" / "security"


def renderers(template: Template) -> Iterator[Renderer]:
    """Yields the renderers with the defaults, with every condition on and with every condition off."""
    yield from (it for name, it in templates.renderings(template) if ", only " not in name)


def rendered(template: Template, boundary: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the roles of a template, whatever its other conditions are."""
    found = []
    for renderer in renderers(template):
        values = renderer.values | {"PermissionsBoundaryArn": boundary, "RolePath": path}

        def decide(name: str, decided: Any = renderer.decide) -> bool | None:
            return None if name == "HasPermissionsBoundary" else decided(name)

        found += [(name, it["Properties"]) for name, it in Renderer(template, values, decide).resources()
                  if it["Type"] == "AWS::IAM::Role"]
    return found


def test_every_template_makes_roles_and_takes_both_parameters(all_templates: list[Template]) -> None:
    for template in all_templates:
        assert roles(template), f"{template.name} makes no role: remove it from this test"
        assert {"PermissionsBoundaryArn", "RolePath"} <= template.parameters.keys(), template.name
        assert template.parameters["PermissionsBoundaryArn"]["Default"] == "", template.name
        assert template.parameters["RolePath"]["Default"] == "/", template.name


def test_every_role_has_the_boundary_and_the_path(all_templates: list[Template]) -> None:
    checked = set()
    for template in all_templates:
        for name, properties in rendered(template, BOUNDARY, PATH):
            assert properties.get("PermissionsBoundary") == BOUNDARY, f"{template.name}: {name}"
            assert properties.get("Path") == PATH, f"{template.name}: {name}"
            checked.add((template.name, name))
    assert checked == {(it.template, it.name) for template in all_templates for it in roles(template)}


def test_no_role_has_a_boundary_by_default(all_templates: list[Template]) -> None:
    for template in all_templates:
        for name, properties in rendered(template, "", "/"):
            assert "PermissionsBoundary" not in properties, f"{template.name}: {name}"
            assert properties["Path"] == "/", f"{template.name}: {name}"


def test_role_that_sam_makes_by_itself_is_seen() -> None:
    text = """
Transform: AWS::Serverless-2016-10-31
Parameters: {}
Resources:
  Bare:
    Type: AWS::Serverless::Function
    Properties: {Handler: bootstrap, Runtime: provided.al2023, CodeUri: ../x}
"""
    found = rendered(templates.parse("implicit", text), BOUNDARY, PATH)
    assert {(name, "PermissionsBoundary" in properties) for name, properties in found} == {("BareRole", False)}


@pytest.mark.parametrize(("value", "accepted"), [
    ("/", True), ("/sluice/", True), ("/team-a/sluice.v1_x/", True), ("/" + "p" * 126 + "/", True),
    ("", False), ("sluice", False), ("/sluice", False), ("sluice/", False), ("//", False), ("/a//b/", False),
    ("/a b/", False), ("/a*/", False), ("/a?/", False), ("/${x}/", False), ("/a\n/", False), ("/ä/", False),
])
def test_role_path_accepts_paths_only(all_templates: list[Template], value: str, accepted: bool) -> None:
    for template in all_templates:
        parameter = template.parameters["RolePath"]
        assert bool(re.fullmatch(parameter["AllowedPattern"], value)) == accepted, template.name
        assert parameter["ConstraintDescription"] and parameter["MaxLength"] == 128


@pytest.mark.parametrize(("value", "accepted"), [
    ("", True), (BOUNDARY, True), ("arn:aws:iam::aws:policy/PowerUserAccess", True),
    ("limit", False), ("arn:aws:iam::123456789012:role/limit", False), ("arn:aws:iam::12345:policy/limit", False),
    ("arn:aws:iam::123456789012:policy/*", False), ("arn:aws:iam::123456789012:policy/", False),
])
def test_boundary_parameter_accepts_policies_only(all_templates: list[Template], value: str, accepted: bool) -> None:
    for template in all_templates:
        parameter = template.parameters["PermissionsBoundaryArn"]
        assert bool(re.fullmatch(parameter["AllowedPattern"], value)) == accepted, template.name
        assert parameter["ConstraintDescription"]


def role_arns(template: Template, path: str) -> tuple[set[str], set[str]]:
    """Returns the role ARNs that a template's statements name, and those of its roles, for one path."""
    named: set[str] = set()
    for renderer in renderers(template):
        other = Renderer(template, renderer.values | {"RolePath": path}, renderer.decide)
        for statement in statements.of_renderer(template.name, other):
            named |= set(re.findall(r'arn:[^"]*:iam::[^"]*:role/[^",]*', statement.text))
    made = {samples.resource_arn(it.name, "AWS::IAM::Role", None, path) or "" for it in roles(template)}
    return named, made


def test_policies_name_roles_with_their_path(all_templates: list[Template]) -> None:
    with_path = {}
    for template in all_templates:
        bare, _ = role_arns(template, "/")
        named, made = role_arns(template, PATH)
        # Roles of other stacks are parameters; of these, only the read role has the path of this stack.
        own = {it for it in named if it in made or PATH in it}
        assert len(own) == len({it for it in bare if it not in named}), f"{template.name}: {bare ^ named}"
        if own:
            with_path[template.name] = sorted(it.split(":role")[1].split("-")[0] for it in own)
    assert with_path["copy-target"] == [f"{PATH}sluice"]
    assert with_path["alerts-hub"] == [f"{PATH}sluice"]


def test_hub_assumes_the_read_role_that_a_spoke_makes(all_templates: list[Template]) -> None:
    by_name = {it.name: it for it in all_templates}
    for path in ("/", PATH, "/" + "p" * 126 + "/"):
        hub, spoke = (Renderer(it, templates.default_values(it) | {"RolePath": path})
                      for it in (by_name["alerts-hub"], by_name["alerts-spoke"]))
        made = dict(spoke.resources())["HubReadRole"]["Properties"]
        resources = dict(hub.resources())
        arn = f"role{made['Path']}{made['RoleName']}"
        functions = ("RotationFunction", "FailureFunction", "SecretsFunction")
        for name in functions:
            # crates/alerts/src/lookup/assume.rs: role/ and the variable.
            assert "role/" + resources[name]["Properties"]["Environment"]["Variables"]["READ_ROLE_NAME"] == arn
        for role in ("RotationRole", "FailureRole", "SecretsRole"):
            text = str(resources[role]["Properties"]["Policies"])
            assert f":iam::*:{arn}'" in text
        assert hub.value(by_name["alerts-hub"].outputs["RolePath"]["Value"]) == path


# --- Pages ---


def current(path: Path, wanted: str) -> None:
    if os.environ.get("SLUICE_UPDATE_GOLDEN"):
        path.write_text(wanted)
    found = path.read_text() if path.exists() else ""
    assert found == wanted, f"{path.relative_to(ROOT)} is not current; run this test with SLUICE_UPDATE_GOLDEN=1"


def test_page_of_grants_is_current(all_templates: list[Template]) -> None:
    current(SECURITY / "grants.md", grants.page(all_templates))


def test_page_of_grants_names_every_statement(all_templates: list[Template], all_statements: list[statements.Statement]) -> None:
    page = grants.page(all_templates)
    for statement in all_statements:
        if statement.is_identity:
            section = page.split(f"\n## {statement.origin}\n")[1].split("\n## ")[0]
            assert f"**{statement.body['Sid']}**" in section, statement.where
            for action in statement.body["Action"] if isinstance(statement.body["Action"], list) else [statement.body["Action"]]:
                assert f"`{action}`" in section, statement.where
    # A line that is one word cannot be broken.
    too_wide = [line for line in page.splitlines() if len(line) > grants.WIDTH and " " in line.strip().removeprefix("- ")]
    assert not too_wide


def test_permissions_boundary_is_current(all_templates: list[Template]) -> None:
    current(SECURITY / "permissions-boundary.json", grants.boundary_text(all_templates))


def test_permissions_boundary_is_the_smallest_by_actions(
    all_templates: list[Template], all_statements: list[statements.Statement]
) -> None:
    allowed = [action for it in grants.boundary(all_templates)["Statement"] for action in it["Action"]]
    assert len(allowed) == len(set(allowed)) and not [it for it in allowed if "*" in it]
    needed = set()
    for statement in all_statements:
        if statement.is_identity:
            actions = statement.body["Action"]
            needed |= set(actions if isinstance(actions, list) else [actions])
    assert set(allowed) == needed
    assert len(limits.compact(grants.boundary(all_templates))) <= limits.MANAGED_POLICY


def test_new_action_makes_the_boundary_grow(all_templates: list[Template]) -> None:
    job = next(it for it in all_templates if it.name == "copy-job")
    role = job.resources["CopyJobRole"]
    policy = {"PolicyName": "more", "PolicyDocument": {"Statement": [
        {"Sid": "More", "Effect": "Allow", "Action": "sqs:PurgeQueue", "Resource": "*"}]}}
    changed = {**role, "Properties": {**role["Properties"], "Policies": [*role["Properties"]["Policies"], policy]}}
    wider = dataclasses.replace(job, resources={**job.resources, "CopyJobRole": changed})
    others = [it for it in all_templates if it.name != "copy-job"]
    assert grants.granted_actions([*others, wider]) - grants.granted_actions(all_templates) == {"sqs:PurgeQueue"}
