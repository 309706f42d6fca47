"""AWS API Call via CloudTrail: the management events of Secrets Manager and Redshift on the default
bus, and in the trail's log group.

MiniStack records calls for LookupEvents only. Here [pages: AWS service events delivered via AWS
CloudTrail; CloudTrail record contents; CloudTrail userIdentity element; Log Secrets Manager events
with AWS CloudTrail]:

- a call is published after its response, a rejected one with errorCode and errorMessage, if a trail
  of the account logs management events of its kind (reads, writes) in this Region;
- read-only calls reach only rules with the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS,
  also on a bus to which they are forwarded;
- a call with the credentials of a function names the function in userIdentity.inScopeOf;
- secret values are left out, and so are responseElements;
- a trail with CloudWatchLogsLogGroupArn also writes the record there.

A rejected call's errorCode is AccessDenied. AWS's pages also name AccessDeniedException;
``SLUICE_CLOUDTRAIL_DENIED`` sets it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import ministack.app as app
from defusedxml.ElementTree import ParseError, fromstring
from ministack.core import router
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudtrail, cloudwatch_logs, eventbridge

from . import events, forwarding, identity
from .patching import Target, wrap

TARGETS = (
    Target("ministack.app", "_dispatch_service_request", ("method", "path", "headers", "body", "query_params", "request_id")),
    Target("ministack.services.cloudtrail", "_visible_trail_items", ()),
    Target("ministack.services.cloudtrail", "_create_trail", ("body",)),
    Target("ministack.services.cloudtrail", "_DISPATCH"),
    Target("ministack.services.cloudtrail", "_event_selectors"),
    Target("ministack.services.cloudtrail", "_DEFAULT_EVENT_SELECTORS"),
    Target("ministack.services.cloudwatch_logs", "_put_log_events", ("data",)),
    Target("ministack.services.cloudwatch_logs", "_create_log_stream", ("data",)),
    Target("ministack.services.eventbridge", "_dispatch_event", ("event", "view")),
    Target("ministack.services.eventbridge", "_matches_pattern_view", ("pattern_str", "view", "owner")),
)

_log = logging.getLogger("sluice.api-calls")
_SERVICES = ("secretsmanager", "redshift")
_ALL = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
_READS = re.compile(r"(Get|List|Describe|BatchGet|Validate)")
# Left out of records.
_SECRET = re.compile(r"(secretString|secretBinary|password|masterUserPassword)", re.IGNORECASE)
_LOG_GROUP = "CloudWatchLogsLogGroupArn"


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _parameters(service: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """Action (of a query request) and parameters as a record spells them."""
    if service == "redshift":
        form = forwarding.form_of(body)
        found: dict[str, Any] = {name: value for name, value in form.items() if name not in ("Action", "Version")}
        action = form.get("Action", "")
    else:
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = {}
        action, found = "", request if isinstance(request, dict) else {}
    return action, {_lower(name): value for name, value in found.items() if not _SECRET.search(name)}


def _error(status: int, body: bytes) -> tuple[str, str]:
    """Code and message of a failed response."""
    if status < 300:
        return "", ""
    try:
        found = json.loads(body)
        code, message = str(found.get("__type", status)).rsplit("#", 1)[-1], str(found.get("message") or found.get("Message") or "")
    except ValueError:
        try:
            root = fromstring(body)
        except ParseError:
            return str(status), ""
        texts = {element.tag.rsplit("}", 1)[-1]: element.text or "" for element in root.iter()}
        code, message = texts.get("Code", str(status)), texts.get("Message", "")
    if code in ("AccessDenied", "AccessDeniedException"):
        code = os.environ.get("SLUICE_CLOUDTRAIL_DENIED", "AccessDenied")
    return code, message


def _function_of(access_key: str, principal: str, session: str) -> str:
    """The ARN of the function that has this access key, which MiniStack derives from it and its role;
    "" for other sessions, whatever their name.
    """
    function = f"arn:{principal.split(':')[1]}:lambda:{get_region()}:{get_account_id()}:function:{session}"
    digest = hashlib.sha256(f"{function}:{identity.role_of_session(principal)}".encode()).hexdigest()
    return function if access_key == f"ASIA{digest[:16].upper()}" else ""


def user_identity(principal: str, access_key: str, now: str) -> dict[str, Any]:
    """The userIdentity element for a caller. The local cloud does not keep when a session began:
    its creationDate is the time of the call.
    """
    account = principal.split(":")[4] if principal.count(":") >= 5 else get_account_id()
    found: dict[str, Any] = {"arn": principal, "accountId": account, "accessKeyId": access_key}
    if ":assumed-role/" in principal:
        role, session = principal.split(":assumed-role/", 1)[1].split("/", 1)
        function = _function_of(access_key, principal, session)
        scope = {"issuerType": "AWS::Lambda::Function", "credentialsIssuedTo": function}
        return {**({"inScopeOf": scope} if function else {}), "type": "AssumedRole", "principalId": f"AROALOCALCLOUD:{session}", **found, "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROALOCALCLOUD", "arn": identity.role_of_session(principal),
                              "accountId": account, "userName": role},
            "attributes": {"creationDate": now, "mfaAuthenticated": "false"}}}
    if principal.endswith(":root"):
        return {"type": "Root", "principalId": account, **found}
    return {"type": "IAMUser", "principalId": "AIDALOCALCLOUD", **found, "userName": principal.rsplit("/", 1)[-1]}


def _logging_trails(read_only: bool) -> list[dict[str, Any]]:
    """The trails that log such a management event in this account and Region."""
    found = []
    for region, name, trail in cloudtrail._visible_trail_items():
        selectors = cloudtrail._event_selectors.get_scoped(get_account_id(), region, name, cloudtrail._DEFAULT_EVENT_SELECTORS)
        kinds = {one.get("ReadWriteType", "All") for one in selectors if one.get("IncludeManagementEvents", True)
                 and "FieldSelectors" not in one}
        if any("FieldSelectors" in one for one in selectors):
            kinds.add(_advanced_kind(selectors))
        if trail.get("IsLogging") and kinds & {"All", "ReadOnly" if read_only else "WriteOnly"}:
            found.append(trail)
    return found


def _advanced_kind(selectors: list[dict[str, Any]]) -> str:
    for one in selectors:
        fields = {field["Field"]: field for field in one.get("FieldSelectors", [])}
        if fields.get("eventCategory", {}).get("Equals") == ["Management"]:
            wanted = fields.get("readOnly", {}).get("Equals")
            return {"true": "ReadOnly", "false": "WriteOnly"}.get(wanted[0], "All") if wanted else "All"
    return "None"


def _write_log(trail: dict[str, Any], record: dict[str, Any]) -> None:
    group = str(trail.get(_LOG_GROUP) or "")
    if not group:
        return
    name = group.split(":log-group:", 1)[-1].removesuffix(":*")
    stream = f"{get_account_id()}_CloudTrail_{get_region()}"
    cloudwatch_logs._create_log_stream({"logGroupName": name, "logStreamName": stream})
    cloudwatch_logs._put_log_events({"logGroupName": name, "logStreamName": stream, "logEvents": [
        {"timestamp": int(time.time() * 1000), "message": json.dumps(record)}]})


def _publish(service: str, headers: dict[str, str], body: bytes, access_key: str, request_id: str, answer: Any) -> None:
    form_action, parameters = _parameters(service, body)
    action = form_action or headers.get("x-amz-target", "").rsplit(".", 1)[-1]
    read_only = bool(_READS.match(action))
    trails = _logging_trails(read_only)
    if not trails:
        return
    code, message = _error(answer[0], answer[2])
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = {
        "eventVersion": "1.11", "userIdentity": user_identity(identity.principal_of(access_key), access_key, now),
        "eventTime": now, "eventSource": f"{service}.amazonaws.com", "eventName": action,
        "awsRegion": get_region(), "sourceIPAddress": "127.0.0.1", "userAgent": headers.get("user-agent", ""),
        **({"errorCode": code, "errorMessage": message} if code else {}),
        "requestParameters": parameters or None, "responseElements": None, "requestID": request_id, "eventID": str(uuid.uuid4()),
        "readOnly": read_only, "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": get_account_id(),
        "eventCategory": "Management"}
    for trail in trails:
        _write_log(trail, record)
    events.put(get_account_id(), get_region(), f"aws.{service}", "AWS API Call via CloudTrail", [], record, read_only)


def _publishing(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any],
                       request_id: str) -> Any:
        answer = await original(method, path, headers, body, query_params, request_id)
        service = router.detect_service(method, path, headers, app._routing_params(method, path, headers, body, query_params))
        if service in _SERVICES:
            try:
                _publish(service, headers, body, router.extract_access_key_id(headers, query_params), request_id, answer)
            except Exception:  # a record never fails the call
                _log.exception("the event of the call was not published")
        return answer

    return dispatch


def _to_wider_rules(original: Callable[..., None]) -> Callable[..., None]:
    def dispatch_event(event: dict[str, Any], view: Any = None) -> None:
        seen = view or eventbridge._pattern_event_view(event)
        if not event.get(events.READ_ONLY):
            original(event, seen)
        bus, path = event.get("EventBusName", "default"), event.get("_DispatchPath") or []
        for key, rule in list(eventbridge._rules.items()):
            if (rule.get("State") == _ALL and rule.get("EventBusName", "default") == bus and key not in path and rule.get("EventPattern")
                    and eventbridge._matches_pattern_view(rule["EventPattern"], seen, f"rule {key}")):
                for target in eventbridge._targets.get(key, []):
                    eventbridge._invoke_target(target, event, rule, seen)

    return dispatch_event


def _with_log_group(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def write_trail(body: dict[str, Any]) -> Any:
        answer = original(body)
        if answer[0] == 200 and _LOG_GROUP in body:
            made = json.loads(answer[2])
            for _, _, trail in cloudtrail._visible_trail_items():
                if trail["TrailARN"] == made["TrailARN"]:
                    trail.update({name: body[name] for name in (_LOG_GROUP, "CloudWatchLogsRoleArn") if name in body})
        return answer

    return write_trail


def install() -> None:
    """Publish the calls. Installed around ``holds`` and ``faults``, so that their effects are
    published too.
    """
    wrap(app, "_dispatch_service_request", _publishing)
    wrap(eventbridge, "_dispatch_event", _to_wider_rules)
    wrap(cloudtrail, "_create_trail", _with_log_group)
    cloudtrail._DISPATCH["CreateTrail"] = cloudtrail._create_trail
