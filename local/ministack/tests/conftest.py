"""One gateway and one stub of sluice-redshift for the whole session; each test uses names of its
own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from stub_redshift import StubRedshift

SOURCE, TARGET = "111111111111", "222222222222"
REGION = "us-east-1"
PACKAGE = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(check: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Wait for a condition; its value when it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Gateway:
    """The running gateway, and clients for it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._pool = urllib3.PoolManager(retries=False)

    def client(self, service: str, key: str = TARGET, secret: str = "test", token: str | None = None, region: str = REGION) -> Any:
        return boto3.client(service, endpoint_url=self.url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                            aws_session_token=token, config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))

    def as_role(self, service: str, credentials: dict[str, str], region: str = REGION) -> Any:
        return self.client(service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], region)

    def role(self, name: str, statements: list[dict[str, Any]], account: str = TARGET) -> dict[str, str]:
        """Make a role with an inline policy and assume it; its credentials with ``Arn``."""
        import json
        iam = self.client("iam", account)
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": statements}))
        made = self.client("sts", account).assume_role(RoleArn=arn, RoleSessionName="test")
        return {**made["Credentials"], "Arn": arn}

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30) -> tuple[int, Any]:
        """One request to a ``/_sluice`` path."""
        import json
        answer = self._pool.request(method, f"{self.url}/_sluice/{path}", body=None if body is None else json.dumps(body).encode(),
                                    timeout=timeout)
        return answer.status, json.loads(answer.data or b"null")

    def raw(self, method: str, url: str, **kwargs: Any) -> Any:
        return self._pool.request(method, url, **kwargs)

    def take_breaches(self) -> list[dict[str, Any]]:
        """The breaches of contracts since the last look."""
        found: list[dict[str, Any]] = self.call("GET", "breaches")[1]["breaches"]
        if found:
            self.call("DELETE", "breaches")
        return found

    def expect_no_breaches(self) -> None:
        """Fail if a function sent a request, or got an answer, that differs from AWS's service models."""
        sentences = [one["sentence"] for one in self.take_breaches()]
        assert not sentences, "\n".join(("requests or answers differ from AWS's service models:", *sentences))


@pytest.fixture(scope="session")
def redshift() -> Iterator[StubRedshift]:
    with StubRedshift() as stub:
        yield stub


@contextmanager
def started(redshift: StubRedshift, place: Path, **settings: str) -> Iterator[Gateway]:
    """A gateway of its own, with further environment."""
    port = free_port()
    log = place / "log"
    environment = {**os.environ, "GATEWAY_PORT": str(port), "SLUICE_REDSHIFT_URL": redshift.url, "TMPDIR": str(place),
                   "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1", "SLUICE_ROTATION_RETRY_SECONDS": "0.1", "SLUICE_ALARM_EVALUATION_SECONDS": "0",
                   "SLUICE_SNS_RETRY_SECONDS": "0.05", "PYTHONPATH": str(PACKAGE), **settings}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "sluice_ministack"], env=environment, cwd=place, stdout=output, stderr=output,
                                   start_new_session=True)
    gateway = Gateway(port)

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return gateway.call("GET", "health")[0] == 200
        except urllib3.exceptions.HTTPError:
            return False

    try:
        until(healthy, "the gateway serves", 60)
        yield gateway
        gateway.expect_no_breaches()
    finally:
        # Its own process group: functions it started end with it.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="session")
def gateway(redshift: StubRedshift, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with started(redshift, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(autouse=True)
def contracts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test in which a function breaks a contract."""
    yield
    if "gateway" in request.fixturenames:
        request.getfixturevalue("gateway").expect_no_breaches()
