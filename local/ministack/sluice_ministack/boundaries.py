"""Permissions boundaries of roles that a template makes.

MiniStack evaluates the boundary of a role that CreateRole or PutRolePermissionsBoundary gave one,
for the role's own requests, but ignores the property of AWS::IAM::Role. Requests of services in a
role's name are evaluated in ``authorization``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam as iam_service
from ministack.services.cloudformation import provisioners

from .patching import Target

TARGETS = (
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
    Target("ministack.services.cloudformation.provisioners", "_iam_role_create", ("logical_id", "props", "stack_name")),
    Target("ministack.services.cloudformation.provisioners", "_iam_role_update",
           ("physical_id", "old_props", "new_props", "stack_name", "logical_id")),
    Target("ministack.core.iam_evaluator", "_permissions_boundary", ("store", "name", "account_id")),
    Target("ministack.services.iam", "_boundary_policy_error", ("arn",)),
    Target("ministack.services.iam", "_roles"),
    Target("ministack.services.iam", "_users"),
)

_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)

Limits = list[Any]


def of_role(name: str, account: str) -> Limits:
    """The limits that the boundary of a role sets; none if it has no boundary."""
    return list(iam_evaluator._permissions_boundary(iam_service._roles, name, account))


def of_user(name: str, account: str) -> Limits:
    """The limits that the boundary of a user sets; none if it has no boundary."""
    return list(iam_evaluator._permissions_boundary(iam_service._users, name, account))


def _existing(arn: str | None) -> str | None:
    """Return the ARN; raise if there is no such policy, as IAM's error fails the resource."""
    wrong = iam_service._boundary_policy_error(arn) if arn else None
    if wrong is not None:
        body = wrong[2].decode() if isinstance(wrong[2], bytes) else str(wrong[2])
        found = _MESSAGE.search(body)
        raise ValueError(found[1] if found else body)
    return arn or None


def _creating(original: Callable[..., Any]) -> Callable[..., Any]:
    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        boundary = _existing(props.get("PermissionsBoundary"))
        made = original(logical_id, props, stack_name)
        iam_service._roles[made[0]]["PermissionsBoundary"] = boundary
        return made

    return create


def _updating(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(physical_id: str, old_props: dict[str, Any], new_props: dict[str, Any], stack_name: str, *rest: Any, **more: Any) -> Any:
        boundary = _existing(new_props.get("PermissionsBoundary"))
        made = original(physical_id, old_props, new_props, stack_name, *rest, **more)
        iam_service._roles[made[0]]["PermissionsBoundary"] = boundary
        return made

    return update


def install() -> None:
    """Give the roles of templates their boundaries."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]
    provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"] = {
        **handlers, "create": _creating(handlers["create"]), "update": _updating(handlers["update"])}
