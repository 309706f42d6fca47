"""Subscribing a queue to a topic of another account.

MiniStack confirms every queue, and sets no condition keys for the topic's policy. Here [page:
Sending Amazon SNS messages to an Amazon SQS queue in a different account; SAR of Amazon SNS]:

- ``sns:Protocol`` and ``sns:Endpoint`` of a Subscribe are there for the policies of caller and
  topic;
- a queue that its owner subscribes is confirmed at once; one that another account subscribes, by
  the API or by a template, gets a SubscriptionConfirmation and nothing more until that is
  confirmed.
"""

from __future__ import annotations

import contextvars
import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import sns
from ministack.services.cloudformation import provisioners

from . import authorization, deliveries, faults
from .cfn_types import Made, Properties
from .deliveries import Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.sns", "_subscribe", ("params",)),
    Target("ministack.services.sns", "_p", ("params", "key", "default")),
    Target("ministack.services.sns", "_error", ("code", "message", "status")),
    Target("ministack.services.sns", "_xml", ("status", "root_tag", "inner")),
    Target("ministack.services.sns", "_enforce_topic_policy", ("topic", "iam_action")),
    Target("ministack.services.sns", "_refresh_subscription_counts", ("topic",)),
    Target("ministack.services.sns", "_topic_by_arn_any_scope", ("topic_arn",)),
    Target("ministack.services.sns", "_normalize_arn", ("arn",)),
    Target("ministack.services.sns", "topic_policy_for_arn", ("topic_arn",)),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

_log = logging.getLogger("sluice.queue-subscriptions")
_keys: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("sluice_sns_subscribe", default=None)


def condition_keys(protocol: str, endpoint: str) -> dict[str, str]:
    """The condition keys of a Subscribe."""
    return {name: value for name, value in (("sns:Protocol", protocol), ("sns:Endpoint", endpoint)) if value}


def _with_conditions(original: Callable[[dict[str, Any], str], Any]) -> Callable[[dict[str, Any], str], Any]:
    def enforce(topic: dict[str, Any], iam_action: str) -> Any:
        keys = _keys.get()
        # In its own account the caller's policies were checked before.
        if keys is None or iam_action != "sns:Subscribe" or topic["arn"].split(":")[4] == get_account_id():
            return original(topic, iam_action)
        decision = authorization.for_caller(iam_action, topic["arn"], sns.topic_policy_for_arn(topic["arn"]), keys)
        return None if decision.allowed else sns._error("AuthorizationError", decision.message, 403)

    return enforce


def _of_another(one: dict[str, Any]) -> bool:
    return one["protocol"] == "sqs" and one["endpoint"].split(":")[4:5] not in ([], [one["owner"]])


def _request_confirmation(topic: dict[str, Any], one: dict[str, Any]) -> None:
    """Leave a subscription pending and send its token to the queue."""
    one.update(confirmed=False, token=str(uuid.uuid4()))
    one["attributes"].update(PendingConfirmation="true", ConfirmationWasAuthenticated="false")
    sns._refresh_subscription_counts(topic)
    body = {"Type": "SubscriptionConfirmation", "MessageId": str(uuid.uuid4()), "Token": one["token"], "TopicArn": topic["arn"],
            "Message": f"You have chosen to subscribe to the topic {topic['arn']}.\n"
                       "To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": f"https://sns.{topic['arn'].split(':')[3]}.amazonaws.com/?Action=ConfirmSubscription"
                            f"&TopicArn={topic['arn']}&Token={one['token']}",
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())}
    try:
        deliveries.to_queue(Sender("sns.amazonaws.com", topic["arn"]), one["endpoint"], json.dumps(body))
    except (Undelivered, faults.Struck) as problem:
        _log.warning("%s -> %s: %s", topic["arn"], one["endpoint"], problem)


def _subscribing(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def subscribe(params: dict[str, Any]) -> Any:
        protocol, endpoint = sns._p(params, "Protocol"), sns._p(params, "Endpoint")
        topic = sns._topic_by_arn_any_scope(sns._normalize_arn(sns._p(params, "TopicArn"))) or {"subscriptions": []}
        before = {one["arn"] for one in topic["subscriptions"]}
        token = _keys.set(condition_keys(protocol, endpoint))
        try:
            answer = original(params)
        finally:
            _keys.reset(token)
        made = [one for one in topic["subscriptions"] if one["arn"] not in before and _of_another(one)]
        for one in made:
            _request_confirmation(topic, one)
        if made:
            return sns._xml(200, "SubscribeResponse",
                            "<SubscribeResult><SubscriptionArn>pending confirmation</SubscriptionArn></SubscribeResult>")
        return answer

    return subscribe


def _with_confirmation(create: Callable[..., Made]) -> Callable[..., Made]:
    def create_and_request_confirmation(logical_id: str, props: Properties, stack_name: str) -> Made:
        made = create(logical_id, props, stack_name)
        topic = sns._topic_by_arn_any_scope(str(props.get("TopicArn", ""))) or {"subscriptions": []}
        for one in topic["subscriptions"]:
            if one["arn"] == made[0] and _of_another(one):
                _request_confirmation(topic, one)
        return made

    return create_and_request_confirmation


def install() -> None:
    """Check and confirm subscriptions of queues. After ``topics``, which replaces the type's
    handlers.
    """
    wrap(sns, "_enforce_topic_policy", _with_conditions)
    wrap(sns, "_subscribe", _subscribing)
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::SNS::Subscription"] = {
        **handlers["AWS::SNS::Subscription"], "create": _with_confirmation(handlers["AWS::SNS::Subscription"]["create"])}
