"""HTTP client for sluice-redshift (seam 1 of local/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import urllib3
from defusedxml.ElementTree import fromstring

from . import config

# The Data API may hold a request for WaitTimeSeconds, at most 30 [model redshift-data].
_TIMEOUT = urllib3.Timeout(connect=5, read=75)
_TARGETS = {"redshift-data": "RedshiftData", "redshift-serverless": "RedshiftServerless"}
_API_VERSION = "2012-12-01"

_pool = urllib3.PoolManager(num_pools=4, maxsize=32, retries=False)


class StandInError(Exception):
    """sluice-redshift answered with an error: ``code`` is the AWS error code, ``message`` its text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (Service: Redshift, Error Code: {code})")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Caller:
    """The caller of a request, as seam 1 passes it."""

    account: str
    region: str
    principal: str
    access_key: str

    @classmethod
    def root(cls, account: str, region: str) -> Caller:
        """The account's root; a 12-digit access key is the root of that account."""
        return cls(account, region, f"arn:aws:iam::{account}:root", account)


def forward(service: str, caller: Caller, content_type: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Forward one AWS request; return status, headers and body. Blocks, so not for the event loop.
    """
    headers = {
        "Content-Type": content_type,
        "x-sluice-account": caller.account,
        "x-sluice-region": caller.region,
        "x-sluice-principal": caller.principal,
        "x-sluice-access-key": caller.access_key,
    }
    if target:
        headers["X-Amz-Target"] = target
    answer = _pool.request("POST", f"{config.current().redshift_url}/aws/{service}", headers=headers, body=body,
                           timeout=_TIMEOUT)
    return answer.status, {"Content-Type": answer.headers.get("Content-Type", "text/xml")}, answer.data


def call_json(service: str, caller: Caller, action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Call a JSON service; raises StandInError."""
    status, _, body = forward(service, caller, "application/x-amz-json-1.1", f"{_TARGETS[service]}.{action}",
                              json.dumps(request).encode())
    answer: dict[str, Any] = json.loads(body or b"{}")
    if status >= 300:
        code = str(answer.get("__type", status)).rsplit("#", 1)[-1]
        raise StandInError(code, str(answer.get("message") or answer.get("Message") or code))
    return answer


def call_query(caller: Caller, action: str, parameters: dict[str, str]) -> Element:
    """Call the redshift query service; return the result element without namespaces, or raise
    StandInError.
    """
    form = urlencode({"Action": action, "Version": _API_VERSION, **parameters}).encode()
    status, _, body = forward("redshift", caller, "application/x-www-form-urlencoded; charset=utf-8", "", form)
    root: Element = fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    if status >= 300:
        raise StandInError(root.findtext(".//Code") or str(status), root.findtext(".//Message") or "no message")
    found = root.find(f"{action}Result")
    return root if found is None else found


def post_event(event: dict[str, Any]) -> None:
    """Deliver one S3 event; raises urllib3 errors or StandInError."""
    answer = _pool.request("POST", f"{config.current().redshift_url}/internal/s3-event",
                           headers={"Content-Type": "application/json"}, body=json.dumps(event).encode(), timeout=_TIMEOUT)
    if answer.status >= 300:
        raise StandInError(str(answer.status), answer.data.decode("utf-8", "replace"))
