"""Rotation by schedule: a secret is rotated when its NextRotationDate has come.

Secrets Manager starts the rotation at some time within the rotation window that ends at
NextRotationDate [page: RotateSecret, RotationRules]; here it starts at NextRotationDate. An
unfinished rotation is reattempted. A rotation that failed is started again one interval later.

Only the clock starts rotations (``SLUICE_CLOCK_SECONDS``); ``POST /_sluice/tick`` does not.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import secretsmanager

from . import rotation
from .patching import Target

TARGETS = (Target("ministack.services.secretsmanager", "_secrets"),)

_log = logging.getLogger("sluice.rotation")
# Secret ARN -> time of the last scheduled start.
_started: dict[str, float] = {}


def _is_due(secret: dict[str, Any], now: float) -> bool:
    if not secret.get("RotationEnabled") or secret.get("DeletedDate"):
        return False
    due = rotation.next_rotation(secret, max(rotation.last_rotation(secret), _started.get(secret["ARN"], 0)))
    return due is not None and due <= now


def start_due(now: float) -> None:
    """Start the rotation of every secret that is due, in every account."""
    for (account, region, _), secret in secretsmanager._secrets.all_items():
        if not _is_due(secret, now):
            continue
        _started[secret["ARN"]] = now
        with request_scope(account, region):
            answer = rotation.rotate({"SecretId": secret["ARN"]})
        if answer[0] != 200:
            _log.warning("scheduled rotation of %s did not start: %s", secret["ARN"], json.loads(answer[2]).get("message"))
