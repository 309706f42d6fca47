"""Decisions for sluice-redshift: the checks of AWS besides the request's own action (seam 2 of
local/README.md).

Rule for a principal [page: Policy evaluation logic, and Cross-account policy evaluation logic]: an
explicit deny decides; in the resource's own account an allow in the identity policies or in the
resource policy is enough; across accounts both must allow. A permissions boundary limits what
identity policies allow, and what a resource policy allows to the role rather than to its session.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import _account_from_sts_session, get_region, request_scope
from ministack.services import iam as iam_service

from . import boundaries, recorder
from .patching import Target

TARGETS = (
    Target("ministack.core.iam_evaluator", "EvalContext"),
    Target("ministack.core.iam_evaluator", "EvalResult"),
    Target("ministack.core.iam_evaluator", "evaluate", ("ctx", "policies", "limits")),
    Target("ministack.core.iam_evaluator", "evaluate_resource_policy", ("doc", "ctx", "service")),
    Target("ministack.core.iam_evaluator", "combine_resource_policy",
           ("identity", "ctx", "policy", "owner_account", "required", "limits")),
    Target("ministack.core.iam_evaluator", "resolve_principal", ("access_key_id", "account_id")),
    Target("ministack.core.iam_evaluator", "find_iam_access_key_account", ("access_key_id",)),
    Target("ministack.core.iam_evaluator", "_gather_role_policies", ("role_name", "account_id")),
    Target("ministack.core.iam_evaluator", "_gather_user_policies", ("user_name", "account_id")),
    Target("ministack.core.iam_evaluator", "caller_arn", ()),
    Target("ministack.services.iam", "_roles"),
    Target("ministack.core.responses", "_account_from_sts_session", ("access_key_id",)),
    Target("ministack.core.responses", "request_scope", ("account_id", "region")),
)


@dataclass(frozen=True)
class Decision:
    """A decision, with AWS's message if it is a denial."""

    allowed: bool
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        """The response of seam 2."""
        return {"allowed": self.allowed, "message": self.message}


def account_of_key(access_key: str) -> str:
    """The account of an access key; ``""`` for an unknown key."""
    if access_key.isdigit() and len(access_key) == 12:
        return access_key
    found = _account_from_sts_session(access_key) or iam_evaluator.find_iam_access_key_account(access_key)
    return str(found or "")


def _account_of_arn(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def for_principal(access_key: str, action: str, resource: str, region: str, context: dict[str, Any],
                  resource_policy: str | None, resource_account: str | None) -> Decision:
    """Evaluate a caller's identity policies together with the resource policy."""
    account = account_of_key(access_key)
    owner = resource_account or _account_of_arn(resource) or account
    with request_scope(account, region):
        principal = iam_evaluator.resolve_principal(access_key, account) if account else None
        if principal is None or isinstance(principal, iam_evaluator.AuthError):
            recorder.record("unknown", action, resource, "unauthenticated", "service")
            return Decision(False, "The security token included in the request is invalid.")
        ctx = iam_evaluator.EvalContext(
            principal_arn=principal.arn, principal_type=principal.type, principal_account=principal.account, action=action,
            resource_arn=resource, region=region, principal_keys=principal.keys,
            service_context={key.lower(): value for key, value in context.items()})
        if principal.policies is None:
            identity = iam_evaluator.EvalResult("Allow", principal.arn)
        else:
            identity = iam_evaluator.evaluate(ctx, principal.policies, *principal.limits)
        result = iam_evaluator.combine_resource_policy(identity, ctx, resource_policy, owner, limits=principal.limits)
    allowed = result.decision == "Allow"
    recorder.record(principal.arn, action, resource, "allowed" if allowed else "denied", "service")
    if allowed:
        return Decision(True)
    by_resource = bool(result.resource_policy_arn) or identity.decision == "Allow"
    return Decision(False, _sentence(f"User: {principal.arn}", action, resource, by_resource, result.decision == "Deny"))


def for_role(role_arn: str, session: str, action: str, resource: str, resource_policy: tuple[Any, ...] | None = None,
             context: dict[str, Any] | None = None, via: str = "service") -> Decision:
    """Evaluate a role that a service assumed; ``session`` is the service's session name.

    ``resource_policy`` is the resource's policy and its owner's account, if the resource has one.
    """
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    principal = f"arn:{role_arn.split(':')[1]}:sts::{account}:assumed-role/{name}/{session}"
    ctx = iam_evaluator.EvalContext(
        principal_arn=principal, principal_type="AssumedRole", principal_account=account, action=action, resource_arn=resource,
        region=get_region(), service_context={key.lower(): value for key, value in (context or {}).items()})
    limits = boundaries.of_role(name, account)
    identity = result = iam_evaluator.evaluate(ctx, iam_evaluator._gather_role_policies(name, account), *limits)
    if resource_policy is not None:
        # A key's policy must allow even its own account's roles.
        result = iam_evaluator.combine_resource_policy(identity, ctx, resource_policy[0], resource_policy[1],
                                                       required=action.startswith("kms:"), limits=tuple(limits))
    allowed = result.decision == "Allow"
    recorder.record(principal, action, resource, "allowed" if allowed else "denied", via)
    return Decision(True) if allowed else Decision(False, _sentence(
        f"User: {principal}", action, resource, bool(result.resource_policy_arn) or identity.decision == "Allow",
        result.decision == "Deny"))


def for_caller(action: str, resource: str, resource_policy: tuple[Any, ...] | None, context: dict[str, Any]) -> Decision:
    """Evaluate the caller of the current request for a further action that the request needs."""
    principal = iam_evaluator.caller_arn()
    account = principal.split(":")[4]
    if ":assumed-role/" in principal:
        role, session = principal.split(":assumed-role/", 1)[1].split("/", 1)
        return for_role(f"arn:aws:iam::{account}:role/{role}", session, action, resource, resource_policy, context)
    root = principal.endswith(":root")
    ctx = iam_evaluator.EvalContext(
        principal_arn=principal, principal_type="Root" if root else "User", principal_account=account, action=action,
        resource_arn=resource, region=get_region(), service_context={key.lower(): value for key, value in context.items()})
    user = principal.rsplit("/", 1)[-1]
    limits = [] if root else boundaries.of_user(user, account)
    identity = iam_evaluator.EvalResult("Allow", principal) if root else iam_evaluator.evaluate(
        ctx, iam_evaluator._gather_user_policies(user, account), *limits)
    result = identity if resource_policy is None else iam_evaluator.combine_resource_policy(
        identity, ctx, resource_policy[0], resource_policy[1], required=action.startswith("kms:"), limits=tuple(limits))
    allowed = result.decision == "Allow"
    recorder.record(principal, action, resource, "allowed" if allowed else "denied", "service")
    return Decision(True) if allowed else Decision(False, _sentence(
        f"User: {principal}", action, resource, identity.decision == "Allow", result.decision == "Deny"))


def may_assume(service: str, role_arn: str, context: dict[str, Any]) -> bool:
    """Return true if a role exists and trusts a service principal."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = iam_service._roles.get_scoped(account, None, name)
    if role is None:
        return False
    # A trust policy names no resource, but the evaluator requires one.
    document = role.get("AssumeRolePolicyDocument") or "{}"
    trust = json.loads(document) if isinstance(document, str) else document
    statements = trust.get("Statement", [])
    listed = [statements] if isinstance(statements, dict) else statements
    return for_service(service, "sts:AssumeRole", role_arn, context,
                       json.dumps({"Statement": [{**one, "Resource": "*"} for one in listed]})).allowed


def for_service(service: str, action: str, resource: str, context: dict[str, Any], resource_policy: str | None) -> Decision:
    """Evaluate a resource policy for a service principal such as ``redshift.amazonaws.com``."""
    ctx = iam_evaluator.EvalContext(
        principal_arn="", principal_type="Service", principal_account="", action=action, resource_arn=resource,
        region=resource.split(":")[3] if resource.count(":") >= 5 else "",
        service_context={key.lower(): value for key, value in context.items()})
    result = iam_evaluator.evaluate_resource_policy(resource_policy, ctx, service=service)
    allowed = result.decision == "Allow"
    recorder.record(service, action, resource, "allowed" if allowed else "denied", "service")
    return Decision(True) if allowed else Decision(
        False, _sentence(f"Service: {service}", action, resource, True, result.decision == "Deny"))


def _sentence(who: str, action: str, resource: str, by_resource: bool, explicit: bool) -> str:
    kind = "a resource-based policy" if by_resource else "an identity-based policy"
    no_kind = kind.removeprefix("a ").removeprefix("an ")
    why = f"with an explicit deny in {kind}" if explicit else f"because no {no_kind} allows the {action} action"
    return f"{who} is not authorized to perform: {action} on resource: {resource} {why}"
