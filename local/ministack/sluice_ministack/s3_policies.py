"""Bucket policies evaluated for the caller, not for the root of the caller's account.

MiniStack evaluates a request to another account's bucket as that account's root: a policy that
names a role, or has a condition on aws:PrincipalArn, then never matches, and a deny for a role is
never seen. Rule: [page: Cross-account policy evaluation logic].

The caller travels in a context variable into the one evaluation that ``_foreign_bucket_allows``
makes, so requests served at the same time do not see each other's.
"""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import s3

from . import recorder
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.s3", "_foreign_bucket_allows",
           ("owner_account", "bucket_name", "key", "method", "query_params", "caller")),
    Target("ministack.core.iam_evaluator", "evaluate_resource_policy", ("doc", "ctx", "service")),
)


@dataclasses.dataclass
class _Foreign:
    """The caller of another account's bucket, and the request to its policy."""

    principal: str
    ctx: Any = None


_foreign: contextvars.ContextVar[_Foreign | None] = contextvars.ContextVar("sluice_foreign_caller", default=None)


def _as_caller(original: Callable[..., Any]) -> Callable[..., Any]:
    def foreign_bucket_allows(owner_account: str, bucket_name: str, key: str, method: str, query_params: dict[str, Any],
                              caller: str, headers: dict[str, Any] | None = None) -> bool:
        principal = iam_evaluator.caller_arn()
        if not caller or f":{caller}:" not in principal:
            return bool(original(owner_account, bucket_name, key, method, query_params, caller, headers))
        foreign = _Foreign(principal)
        token = _foreign.set(foreign)
        try:
            allowed = bool(original(owner_account, bucket_name, key, method, query_params, caller, headers))
        finally:
            _foreign.reset(token)
        if not allowed:
            action = foreign.ctx.action if foreign.ctx else "s3:*"
            recorder.record(principal, action, f"arn:aws:s3:::{bucket_name}" + (f"/{key}" if key else ""), "denied",
                            "bucket-policy")
        return allowed

    return foreign_bucket_allows


def _for_foreign_caller(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate_resource_policy(doc: Any, ctx: Any, *args: Any, **kwargs: Any) -> Any:
        foreign = _foreign.get()
        if foreign is not None and ctx.principal_arn.endswith(":root"):
            kind = "AssumedRole" if ":assumed-role/" in foreign.principal else "User" if ":user/" in foreign.principal else "Root"
            ctx = dataclasses.replace(ctx, principal_arn=foreign.principal, principal_type=kind)
            foreign.ctx = ctx
        return original(doc, ctx, *args, **kwargs)

    return evaluate_resource_policy


def install() -> None:
    """Evaluate as the caller."""
    wrap(s3, "_foreign_bucket_allows", _as_caller)
    wrap(iam_evaluator, "evaluate_resource_policy", _for_foreign_caller)
