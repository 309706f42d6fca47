"""The caller of a request, and corrections of MiniStack's IAM evaluation.

- ``aws:PrincipalArn`` of a role session is the ARN of the role, not of the session [page: AWS
  global condition context keys]. MiniStack gives the session's ARN, so a condition on the role's
  ARN never matches.
- ``aws:ResourceAccount`` of an S3 resource is the account that owns the bucket; an S3 ARN names
  none, and MiniStack gives the caller's.
- ``aws:PrincipalOrgID`` is ``o-localcloud`` for every account that made no organisation of its own:
  MiniStack knows no member accounts.
- ``aws:SecureTransport`` is true: loopback stands in for TLS here, and the templates deny plain
  HTTP.
- ``*`` and ``?`` in a policy match every character, a line break too, and a pattern is the whole
  value [page: IAM JSON policy elements: Resource]. A key of S3 may contain a line break; MiniStack
  then denies the request.
- sluice-redshift acts as its callers with the access key alone (seam 2 of local/README.md).
  MiniStack verifies the signature of every key that is not a 12-digit root key, so such a request
  would be rejected. It is recognised by its signed headers: ``host`` alone, which no AWS SDK sends,
  because they all sign the date too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam as iam_service
from ministack.services import s3

from .patching import Target, wrap
from .stand_in import Caller

TARGETS = (
    Target("ministack.core.iam_evaluator", "_resolve_condition_key", ("key", "ctx")),
    Target("ministack.core.iam_evaluator", "_fnmatch_compile", ("pattern", "ignore_case")),
    Target("ministack.core.iam_evaluator", "authenticate", ("access_key_id", "account_id")),
    Target("ministack.core.iam_evaluator", "_signed_request"),
    Target("ministack.core.iam_evaluator", "caller_arn", ()),
    Target("ministack.core.iam_evaluator", "resolve_credential", ("access_key_id", "account_id", "session_token")),
    Target("ministack.core.responses", "get_account_id", ()),
    Target("ministack.core.responses", "get_region", ()),
    Target("ministack.services.iam", "_roles"),
    Target("ministack.services.s3", "_bucket_owner_account", ("name",)),
)

ORGANIZATION = "o-localcloud"
_SESSION = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")
_UNSIGNED = re.compile(r"SignedHeaders=host\s*,")


def role_of_session(principal_arn: str) -> str:
    """The role's ARN for a session's ARN, any other ARN as it is."""
    session = _SESSION.fullmatch(principal_arn)
    if session is None:
        return principal_arn
    role = iam_service._roles.get_scoped(session["account"], None, session["role"])
    if role and role.get("Arn"):
        return str(role["Arn"])
    return f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}"


def caller(access_key: str) -> Caller:
    """The caller of the request that is being served."""
    return Caller(get_account_id(), get_region(), iam_evaluator.caller_arn(), access_key)


def principal_of(access_key: str) -> str:
    """The ARN behind an access key, ``"unknown"`` when there is none."""
    credential = iam_evaluator.resolve_credential(access_key or "", None)
    return credential.principal_arn if isinstance(credential, iam_evaluator.ResolvedCredential) else "unknown"


def acts_for_caller(headers: dict[str, str]) -> bool:
    """Return true if a request names a principal without a signature, as sluice-redshift does."""
    return bool(_UNSIGNED.search(headers.get("authorization", "")))


def _bucket_owner(resource_arn: str) -> str | None:
    _, separator, name = resource_arn.partition(":s3:::")
    owner: str | None = s3._bucket_owner_account(name.split("/", 1)[0]) if separator else None
    return owner


def _as_on_aws(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_condition_key(key: str, ctx: Any) -> Any:
        name = key.lower()
        if name == "aws:principalarn":
            return role_of_session(ctx.principal_arn)
        if name == "aws:securetransport":
            return "true"
        if name == "aws:principalorgid" and ctx.principal_account:
            return original(key, ctx) or ORGANIZATION
        if name in ("aws:resourceaccount", "s3:resourceaccount"):
            return _bucket_owner(ctx.resource_arn) or original(key, ctx)
        return original(key, ctx)

    return resolve_condition_key


@lru_cache(maxsize=4096)
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    words = {"*": ".*", "?": "."}
    text = "".join(words.get(one) or re.escape(one) for one in pattern)
    return re.compile(rf"{text}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _without_signature(original: Callable[..., Any]) -> Callable[..., Any]:
    def authenticate(access_key_id: str, account_id: str) -> Any:
        request = iam_evaluator._signed_request.get()
        if request is not None and request.access_key_id == access_key_id and acts_for_caller(request.headers):
            iam_evaluator._signed_request.set(None)
            return None
        return original(access_key_id, account_id)

    return authenticate


def install() -> None:
    """Correct the evaluation."""
    wrap(iam_evaluator, "_resolve_condition_key", _as_on_aws)
    wrap(iam_evaluator, "authenticate", _without_signature)
    iam_evaluator._fnmatch_compile = _pattern
