"""ListSecrets with its fields about rotation, and dates of secrets that tests set.

MiniStack's ListSecrets leaves out RotationLambdaARN, RotationRules, LastRotatedDate,
NextRotationDate and KmsKeyId [page: SecretListEntry]. A test that needs an overdue or unused
secret, or a replica out of sync, sets them with ``POST /_sluice/secret``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import json_response, request_scope
from ministack.services import secretsmanager

from . import rotation
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.secretsmanager", "_list_secrets", ("data",)),
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
    Target("ministack.services.secretsmanager", "_secrets"),
)

SETTABLE = ("CreatedDate", "LastChangedDate", "LastAccessedDate", "LastRotatedDate", "ReplicationStatus")
_LISTED = ("RotationLambdaARN", "RotationRules", "KmsKeyId")


def change(arn: str, fields: dict[str, Any]) -> bool:
    """Set dates (seconds since 1970) or the replication status of a secret; False when there is
    none. Raises ValueError.
    """
    wrong = sorted(set(fields) - set(SETTABLE))
    if wrong:
        raise ValueError(f"of a secret only {', '.join(SETTABLE)} can be set, found {', '.join(wrong)}")
    with request_scope(arn.split(":")[4], arn.split(":")[3]):
        _, secret = secretsmanager._resolve(arn)
        if secret is None:
            return False
        secret.update(fields)
    return True


def _listing(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def list_secrets(data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] != 200:
            return answer
        found = json.loads(answer[2])
        for entry in found["SecretList"]:
            secret = secretsmanager._secrets.get(entry["Name"])
            if secret is not None:
                entry.update({name: secret[name] for name in _LISTED if secret.get(name)}, **rotation.dates_of(secret))
        return json_response({**found, "SecretList": [{name: value for name, value in entry.items() if value is not None}
                                                      for entry in found["SecretList"]]})

    return list_secrets


def install() -> None:
    """List the missing fields."""
    wrap(secretsmanager, "_list_secrets", _listing)
