"""Patches of MiniStack: each replaced or used name is declared, and checked before any change.

MiniStack has no extension interface, so the extension replaces functions of its modules. That is
safe only for the exact version it was written for: a name that moved or a signature that changed
must stop the start with a message, not fail in a request.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

SUPPORTED_VERSION = "1.5.33"


class Mismatch(Exception):
    """The installed MiniStack is not the one this extension was written for."""


@dataclass(frozen=True)
class Target:
    """A name of MiniStack that the extension replaces or calls; ``Class.method`` is one, too.

    ``parameters`` are the positional parameters a function must have, in order; ``None`` for what
    is not a function.
    """

    module: str
    name: str
    parameters: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raise Mismatch if the name is missing or its leading parameters differ."""
        where = f"{self.module}.{self.name}"
        remedy = f"install ministack=={SUPPORTED_VERSION}"
        try:
            found = operator.attrgetter(self.name)(importlib.import_module(self.module))
        except (ImportError, AttributeError):
            raise Mismatch(f"sluice_ministack expects {where} of MiniStack {SUPPORTED_VERSION}, "
                           f"but it is not there; {remedy}.") from None
        if self.parameters is None:
            return
        if not callable(found):
            raise Mismatch(f"sluice_ministack expects {where} to be a function, found {type(found).__name__}; {remedy}.")
        names = tuple(inspect.signature(found).parameters)[:len(self.parameters)]
        if names != self.parameters:
            raise Mismatch(f"sluice_ministack expects {where}({', '.join(self.parameters)}), "
                           f"found ({', '.join(names)}); {remedy}.")


def check_version() -> None:
    """Raise Mismatch unless the pinned MiniStack is installed."""
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != SUPPORTED_VERSION:
        raise Mismatch(f"sluice_ministack needs ministack=={SUPPORTED_VERSION}, found {found}; "
                       "install local/ministack/requirements.txt into the environment that starts it.")


def check_all(targets: Iterable[Target]) -> None:
    """Check every target; the first mismatch is raised."""
    for target in targets:
        target.check()


def wrap(module: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace ``module.name`` by ``make(original)``."""
    setattr(module, name, make(getattr(module, name)))
