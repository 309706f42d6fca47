"""Targets of EventBridge rules: permissions, retries and dead-letter queues.

MiniStack checks no permission, delivers once and drops failed events. Here [page: How EventBridge
retries delivering events; Using dead-letter queues to process undelivered events in EventBridge]:

- a target's role, or the target's own policy, must admit EventBridge;
- a missing permission and a missing target end the delivery at once; other errors are retried
  with growing waits, at most MaximumRetryAttempts times (185) and MaximumEventAgeInSeconds long
  (86400);
- an undelivered event goes to the target's dead-letter queue, if its policy admits EventBridge,
  with the documented message attributes;
- Lambda targets are invoked asynchronously, with Lambda's own retries and destinations.

The wait before try n stands for 2^(n-1) seconds, at most 600; ``SLUICE_TARGET_RETRY_SCALE`` (0.05)
is the length of such a second here. Not documented and chosen here: the message is the event,
not the target's input; EXHAUSTED_RETRY_CONDITION and RETRY_ATTEMPTS are there only after retries.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge

from . import deliveries, faults
from .deliveries import EVENTS, Sender, Undelivered
from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.eventbridge", "_invoke_target", ("target", "event", "rule", "view")),
    Target("ministack.services.eventbridge", "_pattern_event_view", ("event",)),
    Target("ministack.services.eventbridge", "_target_matches_request_scope", ("spec",)),
    Target("ministack.services.eventbridge", "_dispatch_to_lambda", ("arn", "payload")),
    Target("ministack.services.eventbridge", "_dispatch_to_sqs", ("spec", "payload", "sqs_parameters")),
    Target("ministack.services.eventbridge", "_dispatch_to_sns", ("arn", "payload")),
    Target("ministack.services.eventbridge", "_dispatch_to_stepfunctions", ("arn", "payload")),
    Target("ministack.services.cloudwatch", "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions")),
)

_log = logging.getLogger("sluice.rule-targets")
_LONGEST_WAIT = 600


def _scale() -> float:
    return float(os.environ.get("SLUICE_TARGET_RETRY_SCALE", "0.05"))


@dataclass
class Delivery:
    """One event on its way to one target."""

    target: dict[str, Any]
    event: dict[str, Any]
    rule: dict[str, Any]
    body: str

    @property
    def scheduled(self) -> bool:
        """True for a schedule of EventBridge Scheduler, false for a rule."""
        return str(self.rule.get("Arn", "")).split(":")[2:3] == ["scheduler"]

    @property
    def sender(self) -> Sender:
        """EventBridge for the rule, or Scheduler, in the target's role if there is one."""
        service = "scheduler.amazonaws.com" if self.scheduled else EVENTS
        return Sender(service, str(self.rule.get("Arn", "")), str(self.target.get("RoleArn") or ""), service.split(".")[0])

    def _count(self, name: str) -> None:
        if self.scheduled:
            return
        bus = self.rule.get("EventBusName", "default")
        cloudwatch.record_metric("AWS/Events", name, 1, "Count", {
            "RuleName": self.rule.get("Name", ""), **({} if bus == "default" else {"EventBusName": bus})})

    def run(self, send: Callable[[Sender], None]) -> None:
        """Try now; retry in the background after an error that may pass."""
        problem = self._attempt(send)
        if problem is None:
            return
        if problem.retry:
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._retry, send, problem), name="sluice-rule-target", daemon=True).start()
        else:
            self._give_up(problem)

    def _attempt(self, send: Callable[[Sender], None]) -> Undelivered | None:
        self._count("Invocations")
        try:
            send(self.sender)
        except Undelivered as problem:
            return problem
        except faults.Struck as struck:
            return Undelivered(struck.code, struck.message, struck.status >= 429)
        except Exception as problem:  # an error of the local cloud must not lose the event
            _log.exception("%s -> %s", self.rule.get("Arn"), self.target.get("Arn"))
            return Undelivered("INTERNAL_ERROR", f"{type(problem).__name__}: {problem}")
        return None

    def _retry(self, send: Callable[[Sender], None], problem: Undelivered) -> None:
        policy = self.target.get("RetryPolicy") or {}
        attempts, age = int(policy.get("MaximumRetryAttempts", 185)), int(policy.get("MaximumEventAgeInSeconds", 86400))
        waited = 0
        for attempt in range(attempts):
            wait = min(2 ** attempt, _LONGEST_WAIT)
            if waited + wait > age:
                self._give_up(problem, "MaximumEventAgeInSeconds", attempt)
                return
            waited += wait
            time.sleep(wait * _scale())
            again = self._attempt(send)
            if again is None:
                return
            problem = again
            if not again.retry:
                self._give_up(again, "", attempt + 1)
                return
        self._give_up(problem, "MaximumRetryAttempts", attempts)

    def _give_up(self, problem: Undelivered, condition: str = "", attempts: int = 0) -> None:
        self._count("FailedInvocations")
        _log.warning("%s -> %s: %s %s", self.rule.get("Arn"), self.target.get("Arn"), problem.code, problem.message)
        queue = (self.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        attributes = {"RULE_ARN": str(self.rule.get("Arn", "")), "TARGET_ARN": str(self.target.get("Arn", "")),
                      "ERROR_CODE": problem.code, "ERROR_MESSAGE": problem.message}
        if condition:
            attributes["EXHAUSTED_RETRY_CONDITION"] = condition
        if attempts or condition:
            attributes["RETRY_ATTEMPTS"] = str(attempts)
        sender = Sender(EVENTS, str(self.rule.get("Arn", "")))
        if self.scheduled:
            sender = self.sender
            attributes["SCHEDULE_ARN"] = attributes.pop("RULE_ARN")
            attributes.update(RETRY_ATTEMPTS=str(attempts), IS_PAYLOAD_TRUNCATED="false", EXECUTION_ID=self.event["EventId"])
        try:
            deliveries.to_queue(sender, queue, self.body, attributes)
            self._count("InvocationsSentToDlq")
        except (Undelivered, faults.Struck) as lost:
            self._count("InvocationsFailedToBeSentToDlq")
            _log.warning("%s: the dead-letter queue did not accept the event: %s", self.rule.get("Arn"), lost)


_current: contextvars.ContextVar[Delivery | None] = contextvars.ContextVar("sluice_rule_target", default=None)


def deliver(send: Callable[[Sender], None]) -> None:
    """Send as the current delivery of ``_invoke_target``."""
    delivery = _current.get()
    if delivery is None:
        raise RuntimeError("a target is dispatched outside of _invoke_target")
    delivery.run(send)


def current() -> Delivery | None:
    """The current delivery of ``_invoke_target``."""
    return _current.get()


def _remembering(original: Callable[..., None]) -> Callable[..., None]:
    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        seen = view or eventbridge._pattern_event_view(event)
        token = _current.set(Delivery(target, event, rule, json.dumps(seen.event_with_detail())))
        try:
            original(target, event, rule, seen)
        finally:
            _current.reset(token)

    return invoke_target


def _anywhere(spec: Any) -> bool:
    # Deliveries of this module reach other accounts, and report another Region as an error.
    return True


def _region_check(arn: str, region: str) -> None:
    if arn.split(":")[3] != region:
        raise Undelivered("NO_RESOURCE", f"{arn} is in another Region than the rule")


def _here(send: Callable[[Sender], None], arn: str) -> None:
    region = get_region()

    def checked(sender: Sender) -> None:
        _region_check(arn, region)
        send(sender)

    deliver(checked)


def _to_lambda(arn: str, payload: str) -> None:
    _here(lambda sender: deliveries.to_function(sender, arn, payload), arn)


def _to_sqs(spec: Any, payload: str, sqs_parameters: dict[str, Any] | None = None) -> None:
    group = str((sqs_parameters or {}).get("MessageGroupId", ""))
    _here(lambda sender: deliveries.to_queue(sender, str(spec), payload, group_id=group), str(spec))


def _to_sns(arn: str, payload: str) -> None:
    _here(lambda sender: deliveries.to_topic(sender, arn, payload), arn)


def _to_stepfunctions(arn: str, payload: str) -> None:
    def send(sender: Sender) -> None:
        if not sender.role_arn:
            raise Undelivered("NO_PERMISSIONS", f"the target {arn} has no role (account {get_account_id()})")
        deliveries.to_state_machine(sender, arn, payload)

    _here(send, arn)


def install() -> None:
    """Deliver with permissions, retries and dead-letter queues."""
    wrap(eventbridge, "_invoke_target", _remembering)
    eventbridge._target_matches_request_scope = _anywhere
    eventbridge._dispatch_to_lambda = _to_lambda
    eventbridge._dispatch_to_sqs = _to_sqs
    eventbridge._dispatch_to_sns = _to_sns
    eventbridge._dispatch_to_stepfunctions = _to_stepfunctions
