"""The extension's settings, all from the environment, and the defaults it gives MiniStack."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import lru_cache


class ConfigError(Exception):
    """A setting is missing or not valid; the text is the message to print."""


@dataclass(frozen=True)
class Config:
    """The settings of the launcher.

    ``custom_resource_timeout`` (seconds) stands for CloudFormation's 3600 where a template sets no
    ServiceTimeout.
    """

    gateway_port: int
    redshift_url: str
    custom_resource_timeout: float

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway, as functions and response URLs use it."""
        return f"http://127.0.0.1:{self.gateway_port}"


def _port(environ: MutableMapping[str, str]) -> int:
    text = environ.get("GATEWAY_PORT", "")
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ConfigError(f"GATEWAY_PORT must be the gateway's port, 1 to 65535, found {text!r}; set it before the start.")
    return int(text)


def read(environ: MutableMapping[str, str] | None = None) -> Config:
    """Read the settings; raises ConfigError with the message to print."""
    env = os.environ if environ is None else environ
    url = env.get("SLUICE_REDSHIFT_URL", "").rstrip("/")
    if not url.startswith("http://"):
        raise ConfigError("SLUICE_REDSHIFT_URL must be the http:// address of sluice-redshift, "
                          f"found {url!r}; set it before the start.")
    timeout = env.get("SLUICE_CUSTOM_RESOURCE_TIMEOUT_SECONDS", "3600")
    try:
        seconds = float(timeout)
    except ValueError:
        raise ConfigError(f"SLUICE_CUSTOM_RESOURCE_TIMEOUT_SECONDS must be a number of seconds, found {timeout!r}.") from None
    return Config(_port(env), url, seconds)


@lru_cache(maxsize=1)
def current() -> Config:
    """The settings of this process."""
    return read()


def set_ministack_defaults(environ: MutableMapping[str, str]) -> None:
    """Give MiniStack the settings the local cloud relies on, before it is imported (it reads them
    at import).
    """
    port = _port(environ)
    environ["AUTH"] = "true"
    environ["BIND_HOST"] = "127.0.0.1"
    # Not "localhost": for an address the AWS SDK for Rust uses path-style S3 addresses by itself.
    environ["MINISTACK_HOST"] = "127.0.0.1"
    environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    environ.setdefault("IOT_MTLS_ENABLED", "0")
    environ.setdefault("SFTP_ENABLED", "0")
    environ.setdefault("LAMBDA_EXECUTOR", "local")
    # MiniStack's defaults for these are fixed paths that instances and users would share.
    environ.setdefault("STATE_DIR", os.path.join(tempfile.gettempdir(), "ministack-state"))
    environ.setdefault("S3_DATA_DIR", os.path.join(tempfile.gettempdir(), "ministack-data"))
    environ.setdefault("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.5")
    environ.setdefault("LOG_LEVEL", "WARNING")
