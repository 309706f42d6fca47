"""The start: a mismatch ends it with a message."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
from conftest import PACKAGE, Gateway
from sluice_ministack import config
from sluice_ministack.patching import Mismatch, Target


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("GATEWAY_PORT", "SLUICE_REDSHIFT_URL")}
    return subprocess.run([sys.executable, "-m", "sluice_ministack"], env={**kept, "PYTHONPATH": str(PACKAGE), **environment},
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("environment", "sentence"), [
    ({}, "GATEWAY_PORT must be the gateway's port"),
    ({"GATEWAY_PORT": "no"}, "GATEWAY_PORT must be the gateway's port"),
    ({"GATEWAY_PORT": "4566"}, "SLUICE_REDSHIFT_URL must be the http:// address of sluice-redshift"),
])
def test_a_missing_setting_ends_the_start_with_one_sentence(environment: dict[str, str], sentence: str) -> None:
    ended = start(**environment)
    assert ended.returncode == 2
    assert ended.stderr.startswith(sentence) and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(("target", "sentence"), [
    (Target("ministack.app", "gone"), "expects ministack.app.gone of MiniStack"),
    (Target("ministack.gone", "x"), "expects ministack.gone.x of MiniStack"),
    (Target("ministack.app", "AUTH", ("x",)), "expects ministack.app.AUTH to be a function"),
    (Target("ministack.app", "_lazy_handler", ("name",)), "expects ministack.app._lazy_handler(name), found (module_name)"),
])
def test_changed_name_of_ministack_is_reported(target: Target, sentence: str) -> None:
    with pytest.raises(Mismatch) as mismatch:
        target.check()
    assert sentence in str(mismatch.value) and "install ministack==" in str(mismatch.value)


def test_only_loopback_is_served_and_policies_are_enforced(gateway: Gateway) -> None:
    assert gateway.url.startswith("http://127.0.0.1:")
    health = gateway.raw("GET", f"{gateway.url}/_ministack/health").json()
    assert health["auth"] == "enabled"


def test_ministacks_files_go_below_tmpdir() -> None:
    environment = {"GATEWAY_PORT": "4566"}
    config.set_ministack_defaults(environment)
    assert environment["STATE_DIR"].startswith(tempfile.gettempdir())
    assert environment["S3_DATA_DIR"].startswith(tempfile.gettempdir())
    assert environment["BIND_HOST"] == "127.0.0.1" and environment["AUTH"] == "true"
