"""The secrets that an MSK cluster accepts, and the resources on which its requests are authorised.

- A secret's name begins with ``AmazonMSK_`` and its key is a customer managed one; others come back
  as unprocessed [page: Sign-in credentials authentication with AWS Secrets Manager]. AWS documents
  no error codes for these cases; the codes here are chosen.
- A request about a cluster is authorised on the cluster's ARN, which stands in its path [SAR of
  Amazon MSK].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_actions
from ministack.services import msk, secretsmanager

from .patching import Target, wrap

TARGETS = (
    Target("ministack.core.iam_actions", "extract_resource_arn",
           ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")),
    Target("ministack.services.msk", "_batch_associate_scram", ("arn", "body")),
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
)

Answer = tuple[int, dict[str, str], bytes]
_CLUSTERS = "/v1/clusters/"


def _problem(arn: str) -> str | None:
    _, secret = secretsmanager._resolve(arn)
    if secret is None:
        return "The secret does not exist."
    if not str(secret["Name"]).startswith("AmazonMSK_"):
        return "The name of the secret must begin with AmazonMSK_."
    key = str(secret.get("KmsKeyId") or "")
    if not key or key.endswith("alias/aws/secretsmanager"):
        return "The secret must be encrypted with a customer managed key."
    return None


def _associating(original: Callable[[str, bytes], Answer]) -> Callable[[str, bytes], Answer]:
    def batch_associate_scram(arn: str, body: bytes) -> Answer:
        try:
            wanted = json.loads(body or b"{}").get("secretArnList", [])
            problems = {secret: _problem(secret) for secret in wanted}
        except (ValueError, AttributeError, TypeError):
            return original(arn, body)
        good = [secret for secret in wanted if problems[secret] is None]
        answer = original(arn, json.dumps({"secretArnList": good}).encode())
        if answer[0] != 200:
            return answer
        found = json.loads(answer[2])
        found["unprocessedScramSecrets"] += [
            {"errorCode": "InvalidSecret", "errorMessage": problem, "secretArn": secret} for secret, problem in problems.items() if problem]
        return answer[0], answer[1], json.dumps(found).encode()

    return batch_associate_scram


def _with_clusters(original: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(service: str, method: str, path: str, *request: Any) -> str:
        if service == "kafka" and path.startswith(_CLUSTERS):
            arn = unquote(path[len(_CLUSTERS):])
            parts = arn.split("/")
            if arn.startswith("arn:") and len(parts) >= 3:
                return "/".join(parts[:3])
        return original(service, method, path, *request)

    return extract_resource_arn


def install() -> None:
    """Reject secrets that MSK does not accept."""
    wrap(msk, "_batch_associate_scram", _associating)
    wrap(iam_actions, "extract_resource_arn", _with_clusters)
