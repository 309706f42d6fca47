"""Deliveries of a service to a queue, topic, function or state machine, with the permissions that
AWS requires.

MiniStack delivers between services without a check of permissions. Here the sender's role, if it
has one, or else the resource's policy must allow the delivery [page: Using resource-based policies
for Amazon EventBridge], and a customer key behind a queue or topic must admit the sender [pages:
Amazon SQS key management, Amazon SNS key management]. A topic or queue under the AWS managed key
admits no other service, because that key's policy cannot be changed.

AWS's pages disagree about condition keys such as aws:SourceArn that EventBridge sets for a topic's
or a key's policy. Here it sets none: a policy that needs them fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import kms, lambda_svc, sns, sqs, stepfunctions

from . import authorization, faults
from .patching import Target

TARGETS = (
    Target("ministack.core.iam_evaluator", "_request_caller_arn"),
    Target("ministack.core.responses", "request_scope", ("account_id", "region")),
    Target("ministack.services.kms", "_resolve_key"),
    Target("ministack.services.kms", "key_policy_for_arn", ("resource_arn",)),
    Target("ministack.services.sns", "publish_internal",
           ("topic_arn", "message", "subject", "message_structure", "message_attributes", "message_group_id")),
    Target("ministack.services.sns", "SnsPublishError"),
    Target("ministack.services.sns", "topic_policy_for_arn", ("topic_arn",)),
    Target("ministack.services.sns", "_topic_by_arn_any_scope", ("topic_arn",)),
    Target("ministack.services.sqs", "_act_send_message", ("data", "qurl")),
    Target("ministack.services.sqs", "_queue_by_arn", ("arn",)),
    Target("ministack.services.sqs", "_queue_url_for_account", ("account_id", "name")),
    Target("ministack.services.sqs", "_Err"),
    Target("ministack.services.lambda_svc", "_get_func_record_for_ref"),
    Target("ministack.services.lambda_svc", "_execution_record_for_config"),
    Target("ministack.services.lambda_svc", "invoke_async_with_retry", ("func", "event")),
    Target("ministack.services.lambda_svc", "function_policy_for_arn"),
    Target("ministack.services.stepfunctions", "_start_execution", ("data",)),
    Target("ministack.services.stepfunctions", "_resolve_state_machine_arn"),
)

EVENTS = "events.amazonaws.com"


class Undelivered(Exception):
    """A failed delivery; ``code`` is EventBridge's, ``retry`` is true if another attempt may
    succeed.
    """

    def __init__(self, code: str, message: str, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry


@dataclass(frozen=True)
class Sender:
    """The service, the resource it delivers for (``arn``, such as a rule), and the role it assumes
    for that, if any.

    ``assumed``: the service assumed it before, as Lambda does a function's.
    """

    service: str
    arn: str
    role_arn: str = ""
    session: str = "sluice"
    assumed: bool = False

    @property
    def account(self) -> str:
        """The account the sender's resource belongs to."""
        return self.arn.split(":")[4]

    def context(self) -> dict[str, Any]:
        """The condition keys a service gives with a call for a resource."""
        return {"aws:SourceArn": self.arn, "aws:SourceAccount": self.account}


@contextmanager
def owning(arn: str) -> Iterator[None]:
    """Act in the account and Region of a resource, as that account."""
    parts = arn.split(":")
    token = iam_evaluator._request_caller_arn.set("")
    try:
        with request_scope(parts[4], parts[3]):
            yield
    finally:
        iam_evaluator._request_caller_arn.reset(token)


def admit(sender: Sender, action: str, arn: str, policy: tuple[Any, ...] | None, context: dict[str, Any] | None = None) -> None:
    """Raise Undelivered unless the sender's role, or the resource's policy for the service, allows
    the action.

    ``policy`` is the policy and its owner's account. Without a role, ``context`` holds the
    condition keys the service gives.
    """
    faults.strike(action, arn)
    if sender.role_arn:
        if not sender.assumed and not authorization.may_assume(sender.service, sender.role_arn, sender.context()):
            raise Undelivered("FAILED_TO_ASSUME_ROLE", f"{sender.service} is not authorized to perform: sts:AssumeRole on resource: "
                                                       f"{sender.role_arn}")
        decision = authorization.for_role(sender.role_arn, sender.session, action, arn, policy)
    else:
        decision = authorization.for_service(sender.service, action, arn, sender.context() if context is None else context,
                                             policy[0] if policy else None)
    if not decision.allowed:
        raise Undelivered("NO_PERMISSIONS", decision.message)


def admit_key(sender: Sender, key_id: str, arn: str, encryption_context: dict[str, str]) -> None:
    """Raise Undelivered unless the key behind a queue or topic lets the sender encrypt."""
    if not key_id:
        return
    if key_id.rsplit("/", 2)[-2:-1] == ["aws"]:
        raise Undelivered("NO_PERMISSIONS", f"{sender.service} cannot use the AWS managed key of {arn}")
    with owning(arn):
        key = kms._resolve_key(key_id)
        policy = kms.key_policy_for_arn(key_id)
    if key is None or key.get("KeyState", "Enabled") != "Enabled":
        raise Undelivered("NO_PERMISSIONS", f"the key {key_id} of {arn} is not there or not enabled")
    context = {f"kms:EncryptionContext:{name}": value for name, value in encryption_context.items()}
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        admit(sender, action, str(key["Arn"]), policy, context)


def typed(attributes: Mapping[str, str | int]) -> dict[str, dict[str, str]]:
    """Message attributes as the APIs spell them."""
    return {name: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
            for name, value in attributes.items()}


def admit_queue(sender: Sender, arn: str) -> None:
    """Raise Undelivered unless the queue is there and its policy and key admit the sender."""
    queue = sqs._queue_by_arn(arn)
    if queue is None:
        raise Undelivered("NO_RESOURCE", f"the queue {arn} does not exist")
    admit(sender, "sqs:SendMessage", arn, (queue["attributes"].get("Policy") or "", arn.split(":")[4]),
          {**sender.context(), "aws:SourceOwner": sender.account})
    admit_key(sender, queue["attributes"].get("KmsMasterKeyId", ""), arn, {"aws:sqs:arn": arn})


def to_queue(sender: Sender, arn: str, body: str, attributes: Mapping[str, str | int] | None = None, group_id: str = "") -> None:
    """Put a message on a queue."""
    admit_queue(sender, arn)
    message: dict[str, Any] = {
        "QueueUrl": sqs._queue_url_for_account(arn.split(":")[4], arn.rsplit(":", 1)[-1]), "MessageBody": body,
        "MessageAttributes": typed(attributes or {})}
    if group_id:
        message.update(MessageGroupId=group_id, MessageDeduplicationId=sqs.hashlib.sha256(body.encode()).hexdigest())
    with owning(arn):
        try:
            sqs._act_send_message(message, message["QueueUrl"])
        except sqs._Err as problem:
            raise Undelivered("SDK_CLIENT_ERROR", problem.message) from problem


def to_topic(sender: Sender, arn: str, body: str, subject: str = "", attributes: dict[str, Any] | None = None,
             context: dict[str, Any] | None = None) -> None:
    """Publish to a topic. ``context`` holds the condition keys the service gives; EventBridge gives
    none.
    """
    with owning(arn):
        topic = sns._topic_by_arn_any_scope(arn)
        if topic is None:
            raise Undelivered("NO_RESOURCE", f"the topic {arn} does not exist")
        admit(sender, "sns:Publish", arn, sns.topic_policy_for_arn(arn), context or {})
        admit_key(sender, topic.get("attributes", {}).get("KmsMasterKeyId", ""), arn, {"aws:sns:topicArn": arn})
        try:
            sns.publish_internal(arn, body, subject, message_attributes=attributes)
        except sns.SnsPublishError as problem:
            raise Undelivered("SDK_CLIENT_ERROR", str(problem)) from problem


def to_function(sender: Sender, arn: str, payload: str) -> None:
    """Invoke a function asynchronously; Lambda retries it from then on."""
    with owning(arn):
        record, function_config, _ = lambda_svc._get_func_record_for_ref(arn)
        if record is None or function_config is None:
            raise Undelivered("NO_RESOURCE", f"the function {arn} does not exist")
        admit(sender, "lambda:InvokeFunction", arn, lambda_svc.function_policy_for_arn(arn))
        try:
            event = json.loads(payload)
        except ValueError as problem:
            raise Undelivered("INVALID_JSON", f"the input of {arn} is not JSON: {problem}") from problem
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, function_config), event)


def to_state_machine(sender: Sender, arn: str, payload: str) -> None:
    """Start an execution; only a role may."""
    with owning(arn):
        if stepfunctions._resolve_state_machine_arn(arn) is None:
            raise Undelivered("NO_RESOURCE", f"the state machine {arn} does not exist")
        admit(sender, "states:StartExecution", arn, None)
        status, _, body = stepfunctions._start_execution({"stateMachineArn": arn, "input": payload})
    if status >= 300:
        raise Undelivered("SDK_CLIENT_ERROR", str(json.loads(body or b"{}").get("message", status)))
