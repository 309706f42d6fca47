"""Functions in tests, written in Python."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from conftest import TARGET, Gateway


def function(gateway: Gateway, name: str, code: str, statements: list[dict[str, Any]] | None = None, account: str = TARGET,
             **options: Any) -> str:
    """A function ``index.handler`` with a role of the same name; its ARN."""
    role = gateway.role(name, statements or [], account)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", code)
    arn: str = gateway.client("lambda", account).create_function(
        FunctionName=name, Runtime="python3.11", Role=role["Arn"], Handler="index.handler", Code={"ZipFile": archive.getvalue()},
        Timeout=20, **options)["FunctionArn"]
    return arn


def invoke_later(gateway: Gateway, name: str, event: Any, account: str = TARGET) -> None:
    """Invoke asynchronously."""
    assert gateway.client("lambda", account).invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))["StatusCode"] == 202
