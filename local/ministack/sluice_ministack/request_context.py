"""Condition keys and resources of KMS and Secrets Manager requests that MiniStack leaves out.

- ``kms:EncryptionContext:KEY`` and ``kms:EncryptionContextKeys`` [page: AWS KMS condition keys];
- a KMS request by alias is authorised on the key's ARN [page: Actions, resources, and condition
  keys for AWS KMS];
- ``secretsmanager:SecretId``, ``secretsmanager:VersionId`` and ``secretsmanager:VersionStage``
  [page: Actions, resources, and condition keys for AWS Secrets Manager];
- ``sns:Protocol`` and ``sns:Endpoint`` of a Subscribe [page: Actions, resources, and condition keys
  for Amazon SNS].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions
from ministack.services import kms

from . import forwarding
from .patching import Target, wrap
from .queue_subscriptions import condition_keys

TARGETS = (
    Target("ministack.core.iam_actions", "request_tag_context", ("service", "iam_action", "body", "params")),
    Target("ministack.core.iam_actions", "extract_resource_arn",
           ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")),
    Target("ministack.services.kms", "_resolve_key"),
)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def context_of(service: str, body: bytes) -> dict[str, Any]:
    """The service's own condition keys of one request."""
    if service == "kms":
        encryption = _json(body).get("EncryptionContext")
        if not isinstance(encryption, dict) or not encryption:
            return {}
        return {"kms:EncryptionContextKeys": list(encryption),
                **{f"kms:EncryptionContext:{key}": value for key, value in encryption.items()}}
    if service == "secretsmanager":
        request = _json(body)
        return {f"secretsmanager:{name}": request[name] for name in ("SecretId", "VersionId", "VersionStage")
                if isinstance(request.get(name), str)}
    if service == "sns":
        form = forwarding.form_of(body)
        return condition_keys(form.get("Protocol", ""), form.get("Endpoint", "")) if form.get("Action") == "Subscribe" else {}
    return {}


def _with_service_keys(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def request_tag_context(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        return {**context_of(service, body), **original(service, iam_action, body, params)}

    return request_tag_context


def _with_key_of_alias(original: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(service: str, *request: Any) -> str:
        arn = original(service, *request)
        if service == "kms" and ":alias/" in arn:
            key = kms._resolve_key(arn)
            return str(key["Arn"]) if key and key.get("Arn") else arn
        return arn

    return extract_resource_arn


def install() -> None:
    """Add the keys."""
    wrap(iam_actions, "request_tag_context", _with_service_keys)
    wrap(iam_actions, "extract_resource_arn", _with_key_of_alias)
