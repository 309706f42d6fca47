"""Registering CloudFormation resource types with MiniStack's stack engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.services.cloudformation import provisioners, stacks

from .patching import Target, wrap

TARGETS = (
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
    Target("ministack.services.cloudformation.provisioners", "_REPLACING_PROPERTIES"),
    Target("ministack.services.cloudformation.provisioners", "_STACK_TAG_PROPERTY"),
    Target("ministack.services.cloudformation.provisioners", "_physical_name", ("stack_name", "logical_id", "lowercase", "max_len")),
    Target("ministack.services.cloudformation.stacks", "_runs_on_worker_thread", ("resource_type",)),
)

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class ResourceType:
    """One type. Attribute names are flat (``Endpoint.Address``); a changed property of
    ``replacing`` makes a new resource.

    ``blocking`` types call out over HTTP and run on a worker thread.
    """

    name: str
    create: Callable[[str, Properties, str], Made]
    delete: Callable[[str, Properties], None]
    update: Callable[[str, Properties, Properties, str], Made] | None = None
    snapshot: Callable[[str, Properties], None] | None = None
    replacing: tuple[str, ...] = ()
    tagged: bool = True
    blocking: bool = False


_blocking: set[str] = set()


def register(types: tuple[ResourceType, ...]) -> None:
    """Make the types known to the engine."""
    for one in types:
        handlers: dict[str, Any] = {"create": one.create, "delete": one.delete}
        if one.update is not None:
            handlers["update"] = one.update
        if one.snapshot is not None:
            handlers["snapshot"] = one.snapshot
        provisioners._RESOURCE_HANDLERS[one.name] = handlers
        if one.replacing:
            provisioners._REPLACING_PROPERTIES[one.name] = one.replacing
        if one.tagged:
            provisioners._STACK_TAG_PROPERTY[one.name] = ("Tags", "list")
        if one.blocking:
            _blocking.add(one.name)


def run_on_worker_thread(name: str) -> None:
    """Let a type MiniStack has run on a worker thread, because its handler now calls out."""
    _blocking.add(name)


def _knowing_ours(original: Callable[[str], bool]) -> Callable[[str], bool]:
    def runs_on_worker_thread(resource_type: str) -> bool:
        return resource_type in _blocking or original(resource_type)

    return runs_on_worker_thread


def install() -> None:
    """Let the engine run our blocking types on worker threads."""
    wrap(stacks, "_runs_on_worker_thread", _knowing_ours)


def physical_name(stack_name: str, logical_id: str, max_len: int) -> str:
    """A name as CloudFormation makes it, in lower case."""
    return str(provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=max_len))


def tags_of(properties: Properties) -> dict[str, str]:
    """The tags of a property list.

    Without CloudFormation's own (``aws:cloudformation:…``), which the services take from
    CloudFormation alone.
    """
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in properties.get("Tags") or []
            if not str(tag["Key"]).startswith("aws:")}


def text(value: Any) -> str:
    """A template scalar as the query protocol writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_true(value: Any) -> bool:
    """A template boolean, which may be the text ``true``."""
    return text(value).lower() == "true"
