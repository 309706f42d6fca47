"""A failed deletion keeps the resources on which the failed one depends.

MiniStack goes on deleting everything else, among it the function behind a custom resource whose
Delete failed, so that a second DeleteStack could never succeed. CloudFormation stops at the failed
resource's dependencies: they stay in the stack, without an event, and the next DeleteStack finds
them [page: Delete a stack; a dependency cannot be deleted before what depends on it].
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import cloudformation as cloudformation_service
from ministack.services.cloudformation import handlers, stacks

from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudformation", "_stacks"),
    Target("ministack.services.cloudformation.stacks", "_delete_stack_async", ("stack_name", "stack_id")),
    Target("ministack.services.cloudformation.handlers", "_delete_stack_async"),
    Target("ministack.services.cloudformation.stacks", "_delete_resource",
           ("resource_type", "physical_id", "props", "stack_name", "logical_id")),
    Target("ministack.services.cloudformation.stacks", "_with_dependencies", ("logical_ids", "res_defs", "remaining")),
    Target("ministack.services.cloudformation.stacks", "_add_event", ("stack_id", "stack_name", "logical_id", "resource_type", "status")),
)


class Kept(Exception):
    """The resource stays because one that depends on it could not be deleted."""


class _Deletion:
    """The failures of one deletion, and the resources that stay because of them."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._stack = stack
        self.failed: set[str] = set()

    def keeps(self, logical_id: str) -> bool:
        if not self.failed or logical_id in self.failed:
            return False
        definitions = (self._stack.get("_template") or {}).get("Resources", {})
        return logical_id in stacks._with_dependencies(self.failed, definitions, set(self._stack.get("_resources", {})))

    def reason(self) -> str:
        return f"The following resource(s) failed to delete: [{', '.join(sorted(self.failed))}]."


_deletions: dict[str, _Deletion] = {}


def _tracked(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def delete_stack(stack_name: str, stack_id: str, *args: Any, **kwargs: Any) -> None:
        stack = cloudformation_service._stacks.get(stack_name)
        if not stack:
            return await original(stack_name, stack_id, *args, **kwargs)
        deletion = _deletions[stack_id] = _Deletion(stack)
        try:
            await original(stack_name, stack_id, *args, **kwargs)
        finally:
            del _deletions[stack_id]
        for logical_id, record in stack.get("_resources", {}).items():
            if deletion.keeps(logical_id):
                record["ResourceStatus"] = "CREATE_COMPLETE"
                record.pop("ResourceStatusReason", None)
        if deletion.failed:
            stack["StackStatusReason"] = deletion.reason()

    return delete_stack


def _keeping(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_resource(resource_type: str, physical_id: str, props: dict[str, Any], stack_name: str = "", logical_id: str = "") -> Any:
        stack = cloudformation_service._stacks.get(stack_name) or {}
        deletion = _deletions.get(stack.get("StackId", ""))
        if deletion is None:
            return original(resource_type, physical_id, props, stack_name, logical_id)
        if deletion.keeps(logical_id):
            raise Kept(logical_id)
        try:
            return original(resource_type, physical_id, props, stack_name, logical_id)
        except Exception:
            deletion.failed.add(logical_id)
            raise

    return delete_resource


def _quiet(original: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, reason: str = "", *args: Any,
                  **kwargs: Any) -> Any:
        deletion = _deletions.get(stack_id)
        if deletion is not None:
            if deletion.keeps(logical_id):
                return None
            if status == "DELETE_FAILED" and logical_id == stack_name:
                reason = deletion.reason()
        return original(stack_id, stack_name, logical_id, resource_type, status, reason, *args, **kwargs)

    return add_event


def install() -> None:
    """Replace MiniStack's deletion."""
    wrap(stacks, "_delete_resource", _keeping)
    wrap(stacks, "_add_event", _quiet)
    wrap(stacks, "_delete_stack_async", _tracked)
    handlers._delete_stack_async = stacks._delete_stack_async
