"""The deployed function, or the tool of a deployment, behind a request.

A function has the session that Lambda made for it, or one that it got by AssumeRole. The AWS SDK
for Rust outside of a function is code of ours that a test runs itself. It, the AWS CLI and the SAM
CLI name themselves in the User-Agent. Calls of sluice-redshift in a function's name
(seam 2 of local/README.md) are not the function's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime, router
from ministack.services import lambda_svc

from .. import identity
from ..patching import Target, wrap

TARGETS = (
    Target("ministack.core.lambda_runtime", "execution_credentials", ("config",)),
    Target("ministack.services.lambda_svc", "execution_credentials", ("config",)),
    Target("ministack.core.router", "extract_access_key_id", ("headers", "query_params")),
)

# The sender of requests of the AWS SDK for Rust that are no function's.
OF_TESTS = "the AWS SDK for Rust in a test"
_RUST = "aws-sdk-rust/"

_functions: dict[str, str] = {}
_TOOLS = (("aws-sam-cli/", "the SAM CLI"), ("aws-cli/", "the AWS CLI"))


def _registering(original: Callable[[dict[str, Any]], dict[str, str]]) -> Callable[[dict[str, Any]], dict[str, str]]:
    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        credentials = original(config)
        register(credentials["AWS_ACCESS_KEY_ID"], f"function {config.get('FunctionName', '')}")
        return credentials

    return execution_credentials


def register(access_key: str, function: str) -> None:
    """Remember that the requests with an access key are a function's, ``function NAME``."""
    _functions[access_key] = function


def access_key_of(headers: dict[str, str], query: dict[str, Any]) -> str:
    """The access key of a request."""
    return str(router.extract_access_key_id(headers, query))


def function_of(headers: dict[str, str], query: dict[str, Any]) -> str | None:
    """The function that sent a request, or the code of ours that a test runs."""
    if identity.acts_for_caller(headers):
        return None
    found = _functions.get(access_key_of(headers, query)) if _functions else None
    return found or (OF_TESTS if _RUST in headers.get("user-agent", "") else None)


def tool_of(headers: dict[str, str]) -> str | None:
    """The tool of a deployment that sent a request."""
    agent = headers.get("user-agent", "")
    return next((name for mark, name in _TOOLS if mark in agent), None)


def install() -> None:
    """Remember the session of every function that is started."""
    wrap(lambda_runtime, "execution_credentials", _registering)
    lambda_svc.execution_credentials = lambda_runtime.execution_credentials
