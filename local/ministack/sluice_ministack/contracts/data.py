"""The file ``rules.toml``."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("rules.toml")


@lru_cache(maxsize=1)
def contents() -> dict[str, Any]:
    """The file as it is."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def further_values() -> dict[tuple[str, str], frozenset[str]]:
    """Enum values that AWS has beside those of the model, by service and shape."""
    return {(one["service"], one["shape"]): frozenset(one["values"]) for one in contents()["further-values"]}


@lru_cache(maxsize=1)
def unions() -> frozenset[tuple[str, str]]:
    """The structures that must have exactly one member, by service and name."""
    return frozenset((one["service"], one["shape"]) for one in contents()["union"])
