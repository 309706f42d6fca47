"""Customer managed keys behind S3 objects and secrets, judged for the caller.

- S3: GetObject of an object under a customer managed key needs ``kms:Decrypt``, PutObject
  ``kms:GenerateDataKey``; in the caller's policies and in the key's, across accounts in both [page:
  Using server-side encryption with AWS KMS keys (SSE-KMS)].
- Secrets Manager: GetSecretValue of a secret under a customer managed key needs ``kms:Decrypt``,
  PutSecretValue also ``kms:GenerateDataKey``, with the encryption context ``SecretARN`` [page:
  Secret encryption and decryption in AWS Secrets Manager]. The message is "Access to KMS is not
  allowed".
- Both services call KMS in the caller's name: ``kms:ViaService`` is set.

MiniStack stores such objects and secrets and asks no key. It leaves out ``BucketEncryption`` of
AWS::S3::Bucket, so that no bucket of a template has a key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import error_response_json, get_account_id, get_region, request_scope
from ministack.services import kms, s3, secretsmanager
from ministack.services.cloudformation import provisioners

from . import authorization
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.kms", "_resolve_key"),
    Target("ministack.services.kms", "key_policy_for_arn"),
    Target("ministack.services.s3", "_get_object", ("bucket_name", "key", "headers", "query_params")),
    Target("ministack.services.s3", "_put_object", ("bucket_name", "key", "body", "headers")),
    Target("ministack.services.s3", "_resolve_sse_write_headers", ("headers", "bucket_name")),
    Target("ministack.services.s3", "_error", ("code", "message", "status")),
    Target("ministack.services.s3", "_put_bucket_encryption", ("name", "body")),
    Target("ministack.services.cloudformation.provisioners", "_s3_apply_configurations", ("name", "props")),
    Target("ministack.services.secretsmanager", "_get_secret_value", ("data",)),
    Target("ministack.services.secretsmanager", "_put_secret_value", ("data",)),
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
)

_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def lookup(key_id: str, owner: str) -> tuple[dict[str, Any] | None, Any]:
    """A key, and its policy with its owner. A key that is no ARN is of the place of ``owner``, the
    ARN of what it encrypts.
    """
    place = (key_id if key_id.startswith("arn:") else owner).split(":")
    with request_scope(place[4], place[3]):
        return kms._resolve_key(key_id), kms.key_policy_for_arn(key_id)


def problem(key_id: str, owner: str, actions: tuple[str, ...], context: dict[str, Any]) -> str:
    """The reason why the caller of the current request may not use a customer managed key; ``""``
    if it may, or if the key is the service's. ``owner`` is what the key encrypts, as in ``lookup``.
    """
    if not key_id or key_id.rsplit("/", 2)[-2:-1] == ["aws"]:
        return ""
    key, policy = lookup(key_id, owner)
    if key is None:
        return f"the key {key_id} does not exist"
    for action in actions:
        decision = authorization.for_caller(action, str(key["Arn"]), policy, context)
        if not decision.allowed:
            return decision.message
    return ""


def _in_s3(key_id: str, action: str) -> Any:
    bucket = f"arn:aws:s3:{get_region()}:{get_account_id()}:bucket"
    refused = problem(key_id, bucket, (action,), {"kms:ViaService": f"s3.{get_region()}.amazonaws.com"})
    return s3._error("AccessDenied", refused, 403) if refused else None


def _reading(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_object(bucket_name: str, key: str, headers: dict[str, str], query_params: Any = None) -> Any:
        answer = original(bucket_name, key, headers, query_params)
        if answer[0] >= 300:
            return answer
        sealed = {name.lower(): value for name, value in answer[1].items()}
        return _in_s3(str(sealed.get(_KEY_HEADER) or ""), "kms:Decrypt") or answer

    return get_object


def _writing(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_object(bucket_name: str, key: str, body: bytes, headers: dict[str, str]) -> Any:
        sealed, wrong = s3._resolve_sse_write_headers(headers, bucket_name)
        refused = None if wrong else _in_s3(str((sealed or {}).get(_KEY_HEADER) or ""), "kms:GenerateDataKey")
        return refused or original(bucket_name, key, body, headers)

    return put_object


def _of_secret(*actions: str) -> Callable[[Callable[[dict[str, Any]], Any]], Callable[[dict[str, Any]], Any]]:
    def checked(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        def call(data: dict[str, Any]) -> Any:
            _, secret = secretsmanager._resolve(data.get("SecretId"))
            if secret:
                context = {"kms:EncryptionContext:SecretARN": secret["ARN"],
                           "kms:ViaService": f"secretsmanager.{get_region()}.amazonaws.com"}
                refused = problem(str(secret.get("KmsKeyId") or ""), secret["ARN"], actions, context)
                if refused:
                    return error_response_json("AccessDeniedException", f"Access to KMS is not allowed: {refused}", 400)
            return original(data)

        return call

    return checked


def _encryption(props: dict[str, Any]) -> str:
    """The XML of PutBucketEncryption for a template's BucketEncryption."""
    rules = ""
    for rule in props["BucketEncryption"].get("ServerSideEncryptionConfiguration") or []:
        default = rule.get("ServerSideEncryptionByDefault") or {}
        words = "".join(f"<{name}>{escape(str(default[name]))}</{name}>" for name in ("SSEAlgorithm", "KMSMasterKeyID") if default.get(name))
        enabled = str(rule.get("BucketKeyEnabled", False)).lower()
        rules += (f"<Rule><ApplyServerSideEncryptionByDefault>{words}</ApplyServerSideEncryptionByDefault>"
                  f"<BucketKeyEnabled>{enabled}</BucketKeyEnabled></Rule>")
    return f'<ServerSideEncryptionConfiguration xmlns="{s3.S3_NS}">{rules}</ServerSideEncryptionConfiguration>'


def _of_template(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(name: str, props: dict[str, Any], *rest: Any, **more: Any) -> Any:
        done = original(name, props, *rest, **more)
        if props.get("BucketEncryption"):
            answer = s3._put_bucket_encryption(name, _encryption(props).encode())
            if answer[0] >= 300:
                raise ValueError(f"BucketEncryption of {name} is not valid (Service: S3, Status Code: {answer[0]})")
        return done

    return apply


def install() -> None:
    """Judge the keys, and give the buckets of templates theirs."""
    wrap(provisioners, "_s3_apply_configurations", _of_template)
    wrap(s3, "_get_object", _reading)
    wrap(s3, "_put_object", _writing)
    wrap(secretsmanager, "_get_secret_value", _of_secret("kms:Decrypt"))
    wrap(secretsmanager, "_put_secret_value", _of_secret("kms:Decrypt", "kms:GenerateDataKey"))
