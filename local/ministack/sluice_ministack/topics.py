"""Checks and deliveries of Amazon SNS.

MiniStack accepts any subject, checks no key, calls an HTTP endpoint once, and drops undelivered
messages. Here:

- Publish: Subject is ASCII of 1 to 100 characters without control characters or line breaks,
  starting with a letter, number or punctuation mark; MessageStructure json needs a JSON object with
  a text ``default`` [page: Publish of the API reference];
- a topic under a customer key: the publisher needs kms:GenerateDataKey and kms:Decrypt, else
  KMSAccessDenied [page: Amazon SNS Key management];
- a queue's key must admit ``sns.amazonaws.com``, a function's policy too; functions are invoked
  asynchronously;
- HTTP and HTTPS: the headers of the page HTTP/HTTPS headers; a response of 500 and above, 429 and a
  missing response are retried three times, any other response that is not 2xx ends the delivery
  [page: Amazon SNS message delivery retries]; ``SLUICE_SNS_RETRY_SECONDS`` (0.2) stands for 20 s;
- an HTTP endpoint subscribed by a template gets a request to confirm, as one subscribed by the API;
  a template's topic must exist;
- a template's topic keeps its key, and its first policy has the condition AWS:SourceOwner;
- an undelivered message goes to the subscription's RedrivePolicy queue, whose policy must admit
  ``sns.amazonaws.com`` for the topic [page: Amazon SNS dead-letter queues]; metrics
  NumberOfMessagesPublished, NumberOfNotificationsDelivered, -Failed, -RedrivenToDlq and
  -FailedToRedriveToDlq.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import re
import threading
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import urllib3
from ministack.services import cloudwatch, sns
from ministack.services.cloudformation import provisioners

from . import deliveries, encryption_keys, faults
from .cfn_types import Made, Properties
from .deliveries import Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.sns", "_publish", ("params",)),
    Target("ministack.services.sns", "_p", ("params", "key", "default")),
    Target("ministack.services.sns", "_error", ("code", "message", "status")),
    Target("ministack.services.sns", "_fanout", ("topic_arn", "msg_id", "message", "subject")),
    Target("ministack.services.sns", "_deliver_to_sqs", ("endpoint", "envelope", "raw", "raw_message")),
    Target("ministack.services.sns", "_deliver_to_lambda",
           ("endpoint", "envelope", "topic_arn", "sub_arn", "msg_id", "raw_message", "message_attributes")),
    Target("ministack.services.sns", "_deliver_to_http", ("endpoint", "payload")),
    Target("ministack.services.sns", "_topic_by_arn_any_scope", ("topic_arn",)),
    Target("ministack.services.sns", "_normalize_arn", ("arn",)),
    Target("ministack.services.sns", "_send_subscription_confirmation", ("topic_arn", "sub")),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
    Target("ministack.services.cloudwatch", "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions")),
)

_log = logging.getLogger("sluice.topics")
_SERVICE = "sns.amazonaws.com"
_SUBJECT = re.compile(r"[!-~][ -~]{0,99}")
_TRIES = 4
_pool = urllib3.PoolManager(num_pools=8, retries=False)


@dataclass(frozen=True)
class Message:
    """The message that is being delivered, for the deliveries of its subscriptions."""

    topic_arn: str
    message_id: str

    @property
    def sender(self) -> Sender:
        """SNS for the topic."""
        return Sender(_SERVICE, self.topic_arn)

    def count(self, name: str) -> None:
        """Count a metric of the topic."""
        with deliveries.owning(self.topic_arn):
            cloudwatch.record_metric("AWS/SNS", name, 1, "Count", {"TopicName": self.topic_arn.rsplit(":", 1)[-1]})

    def subscription(self, protocols: tuple[str, ...], endpoint: str) -> dict[str, Any]:
        """The subscription of an endpoint."""
        topic = sns._topic_by_arn_any_scope(self.topic_arn) or {}
        return next((one for one in topic.get("subscriptions", []) if one["protocol"] in protocols and one["endpoint"] == endpoint), {})

    def settle(self, subscription: dict[str, Any], body: str, problem: str) -> None:
        """Count a delivery; a failed one goes to the subscription's dead-letter queue."""
        if not problem:
            self.count("NumberOfNotificationsDelivered")
            return
        self.count("NumberOfNotificationsFailed")
        _log.warning("%s -> %s: %s", self.topic_arn, subscription.get("endpoint"), problem)
        try:
            queue = json.loads(subscription.get("attributes", {}).get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
        except ValueError:
            queue = None
        if not queue:
            return
        try:
            deliveries.to_queue(self.sender, str(queue), body)
            self.count("NumberOfNotificationsRedrivenToDlq")
        except (Undelivered, faults.Struck) as lost:
            self.count("NumberOfNotificationsFailedToRedriveToDlq")
            _log.warning("%s: the dead-letter queue did not accept the message: %s", self.topic_arn, lost)


_current: contextvars.ContextVar[Message | None] = contextvars.ContextVar("sluice_sns_message", default=None)


def _retry_seconds() -> float:
    return float(os.environ.get("SLUICE_SNS_RETRY_SECONDS", "0.2"))


# --- Publish ---


def subject_problem(subject: str) -> bool:
    """Return true if SNS rejects a subject."""
    return bool(subject) and _SUBJECT.fullmatch(subject) is None


def _structure_problem(message: str) -> str:
    try:
        parsed = json.loads(message)
    except ValueError:
        return "Invalid parameter: Message Structure - JSON message body failed to parse"
    if not isinstance(parsed, dict) or not isinstance(parsed.get("default"), str):
        return "Invalid parameter: Message Structure - No default entry in JSON message body"
    return ""


def _key_problem(topic: dict[str, Any]) -> str:
    """The reason why the caller may not use the topic's customer key."""
    key_id = str(topic.get("attributes", {}).get("KmsMasterKeyId") or "")
    return encryption_keys.problem(key_id, topic["arn"], ("kms:GenerateDataKey", "kms:Decrypt"), {
        "kms:EncryptionContext:aws:sns:topicArn": topic["arn"], "kms:ViaService": f"sns.{topic['arn'].split(':')[3]}.amazonaws.com"})


def _checked(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def publish(params: dict[str, Any]) -> Any:
        arn = sns._normalize_arn(sns._p(params, "TopicArn") or sns._p(params, "TargetArn"))
        topic = sns._topic_by_arn_any_scope(arn) if arn else None
        if topic is None:
            return original(params)
        if subject_problem(sns._p(params, "Subject")):
            return sns._error("InvalidParameter", "Invalid parameter: Subject", 400)
        if sns._p(params, "MessageStructure") == "json":
            problem = _structure_problem(sns._p(params, "Message"))
            if problem:
                return sns._error("InvalidParameter", problem, 400)
        problem = _key_problem(topic)
        if problem:
            return sns._error("KMSAccessDenied", f"{problem} (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException)", 400)
        return original(params)

    return publish


# --- Deliveries ---


def _fanning_out(original: Callable[..., None]) -> Callable[..., None]:
    def fanout(topic_arn: str, msg_id: str, *more: Any, **named: Any) -> None:
        message = Message(topic_arn, msg_id)
        message.count("NumberOfMessagesPublished")
        token = _current.set(message)
        try:
            original(topic_arn, msg_id, *more, **named)
        finally:
            _current.reset(token)

    return fanout


def _to_sqs(original: Callable[..., None]) -> Callable[..., None]:
    def deliver(endpoint: str, envelope: str, raw: bool, raw_message: str, *more: Any, **named: Any) -> None:
        message = _current.get()
        if message is None:
            original(endpoint, envelope, raw, raw_message, *more, **named)
            return
        problem = ""
        try:
            deliveries.admit_queue(message.sender, endpoint)
            original(endpoint, envelope, raw, raw_message, *more, **named)
        except (Undelivered, faults.Struck) as refused:
            problem = refused.message
        message.settle(message.subscription(("sqs",), endpoint), raw_message if raw else envelope, problem)

    return deliver


def _to_lambda(endpoint: str, envelope: str, topic_arn: str, sub_arn: str, msg_id: str, raw_message: str,
               message_attributes: dict[str, Any]) -> None:
    event = {"Records": [{"EventVersion": "1.0", "EventSubscriptionArn": sub_arn, "EventSource": "aws:sns", "Sns": {
        "Subject": None, "MessageAttributes": {}, **json.loads(envelope)}}]}
    message = Message(topic_arn, msg_id)
    problem = ""
    try:
        deliveries.to_function(message.sender, endpoint, json.dumps(event))
    except (Undelivered, faults.Struck) as refused:
        problem = refused.message
    message.settle(message.subscription(("lambda",), endpoint), envelope, problem)


def _post(endpoint: str, payload: str, headers: dict[str, str]) -> tuple[int, str]:
    """One attempt: the status (0 without a response) and the error."""
    parsed = urllib3.util.parse_url(endpoint)
    if parsed.auth:
        headers = {**headers, **urllib3.make_headers(basic_auth=parsed.auth)}
        endpoint = parsed._replace(auth=None).url
    try:
        faults.strike("sns:Deliver", endpoint)
        answer = _pool.request("POST", endpoint, body=payload.encode(), headers=headers, timeout=15, redirect=False)
    except faults.Struck as struck:
        return struck.status, struck.message
    except urllib3.exceptions.HTTPError as problem:
        return 0, str(problem)
    return answer.status, "" if 200 <= answer.status < 300 else f"HTTP status {answer.status}"


def _to_http(endpoint: str, payload: str) -> Coroutine[Any, Any, None]:
    """The delivery to an endpoint; called in the fan-out's context, runs on a thread of its own."""
    message = _current.get()

    async def deliver() -> None:
        if message is None:
            raise RuntimeError("an HTTP delivery outside of _fanout")
        subscription = message.subscription(("http", "https"), endpoint)
        raw = subscription.get("attributes", {}).get("RawMessageDelivery") == "true"
        headers = {"Content-Type": "text/plain; charset=UTF-8", "User-Agent": "Amazon Simple Notification Service Agent",
                   "x-amz-sns-message-type": "Notification", "x-amz-sns-message-id": message.message_id,
                   "x-amz-sns-topic-arn": message.topic_arn, "x-amz-sns-subscription-arn": str(subscription.get("arn", "")),
                   **({"x-amz-sns-rawdelivery": "true"} if raw else {})}
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_retry_seconds())
            status, problem = await asyncio.to_thread(_post, endpoint, payload, headers)
            if not problem or 0 < status < 500 and status != 429:
                break
        message.settle(subscription, payload, problem)

    return deliver()


# --- Subscriptions of a template ---


def _confirming(topic_arn: str) -> None:
    """Request confirmation from the endpoints of a topic that have had no request yet."""
    topic = sns._topic_by_arn_any_scope(topic_arn) or {}
    for one in topic.get("subscriptions", []):
        if one["protocol"] in ("http", "https") and not one.get("confirmed") and not one.get("token"):
            one["token"] = str(uuid.uuid4())
            threading.Thread(target=asyncio.run, args=(sns._send_subscription_confirmation(topic_arn, one),), daemon=True).start()


def _whole_topic(topic_arn: str, props: Properties) -> None:
    """The attributes of a template's topic that MiniStack drops, and the condition of its first
    policy.
    """
    topic = sns._topic_by_arn_any_scope(topic_arn)
    if topic is None:
        return
    for name in ("KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy"):
        value = props.get(name)
        if value is None:
            topic["attributes"].pop(name, None)
        else:
            topic["attributes"][name] = value if isinstance(value, str) else json.dumps(value)
    policy = json.loads(topic["attributes"].get("Policy") or "{}")
    for statement in policy.get("Statement", []):
        if statement.get("Sid") == "__default_statement_ID" and "Condition" not in statement:
            statement["Condition"] = {"StringEquals": {"AWS:SourceOwner": topic_arn.split(":")[4]}}
            topic["attributes"]["Policy"] = json.dumps(policy)


def _confirmed_type(handlers: dict[str, Any], topic_of: Callable[[str, Properties], str]) -> dict[str, Any]:
    create, update = handlers["create"], handlers["update"]

    def create_and_request_confirmation(logical_id: str, props: Properties, stack_name: str) -> Made:
        if "TopicArn" in props and sns._topic_by_arn_any_scope(str(props["TopicArn"])) is None:
            raise ValueError(f"Invalid parameter: TopicArn Reason: no topic {props['TopicArn']} (Service: Sns, Status Code: 404)")
        made: Made = create(logical_id, props, stack_name)
        if "TopicArn" not in props:
            _whole_topic(made[0], props)
        _confirming(topic_of(made[0], props))
        return made

    def update_and_request_confirmation(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None) -> Made:
        made: Made = update(physical_id, old, new, stack_name, logical_id)
        if "TopicArn" not in new:
            _whole_topic(made[0], new)
        _confirming(topic_of(made[0], new))
        return made

    return {**handlers, "create": create_and_request_confirmation, "update": update_and_request_confirmation}


def install() -> None:
    """Check publishing and deliver with retries. Before the alarms, which take ``_fanout`` for
    their actions.
    """
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::SNS::Topic"] = _confirmed_type(handlers["AWS::SNS::Topic"], lambda made, props: made)
    handlers["AWS::SNS::Subscription"] = _confirmed_type(
        handlers["AWS::SNS::Subscription"], lambda made, props: str(props.get("TopicArn", "")))
    wrap(sns, "_publish", _checked)
    wrap(sns, "_fanout", _fanning_out)
    wrap(sns, "_deliver_to_sqs", _to_sqs)
    sns._deliver_to_lambda = _to_lambda
    sns._deliver_to_http = _to_http
