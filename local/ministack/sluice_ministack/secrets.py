"""Secrets Manager's version rules, which back-fills and rotations rely on.

Corrected [pages: GetSecretValue, PutSecretValue, UpdateSecretVersionStage of the Secrets Manager
API reference]:

- GetSecretValue of a version without a value (a rotation that has just begun) is
  ResourceNotFoundException, not an empty answer; with VersionId and VersionStage both given, the
  version must carry the stage;
- PutSecretValue with a ClientRequestToken that is a version's id: the same value is answered as
  before, another value is ResourceExistsException, and a version that has no value yet takes it;
  labels move from the version that had them;
- DescribeSecret and ListSecretVersionIds are MiniStack's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.secretsmanager", "_get_secret_value", ("data",)),
    Target("ministack.services.secretsmanager", "_put_secret_value", ("data",)),
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
    Target("ministack.services.secretsmanager", "_remove_stage_everywhere", ("secret", "stage", "except_version_id")),
    Target("ministack.services.secretsmanager", "_add_stage", ("secret", "version_id", "stage")),
)

Handler = Callable[[dict[str, Any]], Any]
_VALUES = ("SecretString", "SecretBinary")


def _has_value(version: dict[str, Any]) -> bool:
    return any(version.get(name) is not None for name in _VALUES)


def _getting(original: Handler) -> Handler:
    def get_secret_value(data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] != 200:
            return answer
        found = json.loads(answer[2])
        version_id, stage = data.get("VersionId"), data.get("VersionStage")
        if version_id and stage and stage not in found["VersionStages"]:
            return error_response_json(
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret value for VersionId: "
                f"{version_id} and staging label: {stage}", 400)
        if not _has_value(found):
            which = f"VersionId: {version_id}" if version_id else f"staging label: {stage or 'AWSCURRENT'}"
            return error_response_json(
                "ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {which}", 400)
        return answer

    return get_secret_value


def _putting(original: Handler) -> Handler:
    def put_secret_value(data: dict[str, Any]) -> Any:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        token = data.get("ClientRequestToken")
        version = secret["Versions"].get(token) if secret and token else None
        if secret is None or secret.get("DeletedDate"):
            return original(data)
        if version is not None and _has_value(version):
            if any(version.get(name) != data.get(name) for name in _VALUES):
                return error_response_json(
                    "ResourceExistsException",
                    f"A resource with the ID you requested already exists: version {token} has another value. You can't modify an "
                    "existing version, you can only create a new version.", 400)
            return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token,
                                  "VersionStages": list(version["Stages"])})
        kept = list(version["Stages"]) if version is not None else []
        wanted = list(data.get("VersionStages") or ["AWSCURRENT"])
        answer = original({**data, "VersionStages": wanted})
        if answer[0] != 200:
            return answer
        made = json.loads(answer[2])
        for stage in wanted:
            if stage != "AWSCURRENT":
                secretsmanager._remove_stage_everywhere(secret, stage, except_version_id=made["VersionId"])
        # Promotion takes AWSPENDING away with it; every other label the version had, or was given,
        # stays.
        for stage in (*kept, *wanted):
            if stage != "AWSPENDING" or "AWSCURRENT" not in wanted:
                secretsmanager._add_stage(secret, made["VersionId"], stage)
        _prune(secret)
        secretsmanager._sync_replicas(secret)
        return json_response({**made, "VersionStages": list(secret["Versions"][made["VersionId"]]["Stages"])})

    return put_secret_value


def _prune(secret: dict[str, Any]) -> None:
    """Remove values without labels beyond the number that Secrets Manager keeps (100)."""
    loose = [version_id for version_id, version in secret["Versions"].items() if not version["Stages"]]
    for version_id in loose[:max(0, len(secret["Versions"]) - 100)]:
        del secret["Versions"][version_id]


def install() -> None:
    """Correct the version rules."""
    wrap(secretsmanager, "_get_secret_value", _getting)
    wrap(secretsmanager, "_put_secret_value", _putting)
