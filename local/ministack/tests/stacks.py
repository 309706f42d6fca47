"""Stacks in tests: deploy, describe, delete."""

from __future__ import annotations

import json
from typing import Any

from conftest import TARGET, Gateway, until


class Stack:
    """One stack; ``with`` deletes it at the end."""

    def __init__(self, gateway: Gateway, name: str, account: str = TARGET) -> None:
        self.client = gateway.client("cloudformation", account)
        self.name = name

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.delete()

    def create(self, template: dict[str, Any], **options: Any) -> dict[str, Any]:
        self.client.create_stack(StackName=self.name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"], **options)
        return self.settled()

    def update(self, template: dict[str, Any], **options: Any) -> dict[str, Any]:
        self.client.update_stack(StackName=self.name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"], **options)
        return self.settled()

    def delete(self) -> str:
        self.client.delete_stack(StackName=self.name)
        stack = self.settled()
        return str(stack.get("StackStatus", "DELETE_COMPLETE"))

    def describe(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        except self.client.exceptions.ClientError:
            return {"StackStatus": "DELETE_COMPLETE"}
        return found

    def settled(self) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            stack = self.describe()
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

        found: dict[str, Any] = until(done, f"stack {self.name} settles", 60)
        return found

    def outputs(self) -> dict[str, str]:
        return {one["OutputKey"]: one["OutputValue"] for one in self.describe().get("Outputs", [])}

    def reasons(self, status: str) -> list[str]:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"] == status]
