"""The services MiniStack lacks: redshift, redshift-data and redshift-serverless, checked here and
answered by sluice-redshift.

MiniStack does not know their IAM namespace, so it only authenticates their requests; the policy
check is made here, off the event loop, because a workgroup's or namespace's ARN holds an id that
only sluice-redshift knows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import ministack.app as app
from ministack.core import iam_actions, iam_evaluator, router

from . import identity, stand_in
from .patching import Target
from .redshift_actions import Check, data_checks, query_action, redshift_checks, serverless_checks

TARGETS = (
    Target("ministack.app", "SERVICE_REGISTRY"),
    Target("ministack.app", "SERVICE_HANDLERS"),
    Target("ministack.app", "_loaded_modules"),
    Target("ministack.app", "_lazy_handler", ("module_name",)),
    Target("ministack.core.router", "SERVICE_PATTERNS"),
    Target("ministack.core.router", "extract_access_key_id", ("headers", "query_params")),
    Target("ministack.core.iam_actions", "_SERVICE_PROTOCOL"),
    Target("ministack.core.iam_actions", "_QUERY_XML_NS"),
    Target("ministack.core.iam_actions", "identity_denial_message", ("action", "principal_arn", "resource", "explicit_deny")),
)

SERVICES = ("redshift", "redshift-data", "redshift-serverless")
_NAMESPACE = "http://redshift.amazonaws.com/doc/2012-12-01/"

Answer = tuple[int, dict[str, str], bytes]

# (kind, account, region, name) -> ARN. A name may be reused after a delete, so an entry is dropped
# with the call that ends it.
_arns: dict[tuple[str, str, str, str], str] = {}
_ENDS = {"DeleteWorkgroup": "workgroup", "DeleteNamespace": "namespace"}


def action_of(service: str, headers: dict[str, str], body: bytes) -> str:
    """The API action of a request to one of our services, ``""`` when it names none."""
    if service == "redshift":
        return query_action(form_of(body))
    return headers.get("x-amz-target", "").rsplit(".", 1)[-1]


def form_of(body: bytes) -> dict[str, str]:
    """The parameters of a query-protocol request."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def checks_of(service: str, caller: stand_in.Caller, headers: dict[str, str], body: bytes) -> list[Check]:
    """The resources on which a request is checked. May call sluice-redshift, so not for the event
    loop.
    """
    if service == "redshift":
        return redshift_checks(form_of(body), caller.region, caller.account)
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        request = {}
    parameters = request if isinstance(request, dict) else {}
    action = action_of(service, headers, body)

    def lookup(kind: str, name: str) -> str | None:
        return _serverless_arn(kind, name, caller)

    if service == "redshift-data":
        return data_checks(action, parameters, caller.region, caller.account, lookup)
    return serverless_checks(action, parameters, caller.region, caller.account, lookup)


def _serverless_arn(kind: str, name: str, caller: stand_in.Caller) -> str | None:
    if not name:
        return None
    key = (kind, caller.account, caller.region, name.lower())
    if key not in _arns:
        action = "GetWorkgroup" if kind == "workgroup" else "GetNamespace"
        try:
            found = stand_in.call_json("redshift-serverless", stand_in.Caller.root(caller.account, caller.region), action,
                                       {f"{kind}Name": name})
        except stand_in.StandInError:
            return None
        _arns[key] = str(found.get(kind, {}).get(f"{kind}Arn", ""))
    return _arns[key] or None


def denial(service: str, denied: Any, check: Check) -> Answer:
    """A refused check in AWS's wording and the service's protocol."""
    message = iam_actions.identity_denial_message(check.action, denied.principal_arn, check.resource, denied.decision == "Deny")
    if service == "redshift":
        body = (f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>AccessDenied</Code>'
                f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>")
        return 403, {"Content-Type": "text/xml"}, body.encode()
    return (400, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": "AccessDeniedException"},
            json.dumps({"__type": "AccessDeniedException", "message": message}).encode())


def _serve(service: str, caller: stand_in.Caller, headers: dict[str, str], body: bytes) -> Answer:
    for check in checks_of(service, caller, headers, body):
        denied = iam_evaluator.enforce(caller.access_key, check.action, service, caller.region, resource_arn=check.resource,
                                       service_context=check.context)
        if isinstance(denied, iam_evaluator.AuthError):
            failure: Answer = app._credential_failure(service, check.action, str(uuid.uuid4()), denied, headers)
            return failure
        if denied is not None:
            return denial(service, denied, check)
    action = action_of(service, headers, body)
    if action in _ENDS:
        ended = _ENDS[action]
        for key in [key for key in _arns if key[0] == ended and key[1:3] == (caller.account, caller.region)]:
            _arns.pop(key, None)
    return stand_in.forward(service, caller, headers.get("content-type", ""), headers.get("x-amz-target", ""), body)


def _module(service: str) -> ModuleType:
    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Answer:
        caller = identity.caller(router.extract_access_key_id(headers, query))
        return await asyncio.to_thread(_serve, service, caller, headers, body)

    module = ModuleType(f"ministack.services.sluice_{service.replace('-', '_')}")
    # What MiniStack expects of a service: sluice-redshift keeps the state, so there is none to
    # save, restore or reset here.
    vars(module).update(handle_request=handle_request, get_state=lambda: None, reset=lambda: None,
                        _restore_state=lambda data: None, load_persisted_state=lambda data: None)
    return module


def install() -> None:
    """Register the three services with MiniStack's router."""
    for service in SERVICES:
        module = _module(service)
        short = module.__name__.rsplit(".", 1)[1]
        sys.modules[module.__name__] = module
        app.SERVICE_REGISTRY[service] = {"module": short}
        app._loaded_modules[short] = module
        app.SERVICE_HANDLERS[service] = app._lazy_handler(short)
        # An entry, even an empty one, keeps the router from reading every botocore model to look
        # for the name.
        router.SERVICE_PATTERNS[service] = {}
    iam_actions._SERVICE_PROTOCOL["redshift"] = "query-xml"
    iam_actions._QUERY_XML_NS["redshift"] = _NAMESPACE
