"""Metrics as series of one value a period, and expressions over such series [page: Using metric
math].

Alarms and dashboards read what is kept through this module. An expression is made of ids, numbers,
``+ - * / ( )``, FILL, SUM, MAX, MIN and AVG of a list; anything else is rejected with a message.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import cloudwatch

from .patching import Target

TARGETS = (
    Target("ministack.services.cloudwatch", "_calc_stats", ("points",)),
    Target("ministack.services.cloudwatch", "_stat_value", ("stats", "stat_name", "points")),
    Target("ministack.services.cloudwatch", "_dims_key", ("dims",)),
    Target("ministack.services.cloudwatch", "_metrics"),
)

Values = list[float | None]
_REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum, "MAX": max, "MIN": min, "AVG": lambda values: sum(values) / len(values)}


def points(namespace: str | None, name: str | None, dimensions: Mapping[str, str]) -> list[dict[str, Any]]:
    """The stored data of one metric in this account and Region."""
    return list(cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dict(dimensions))), []))


def statistic(found: list[dict[str, Any]], stat: str) -> float | None:
    """One statistic of points, ``None`` where there is none."""
    value = cloudwatch._stat_value(cloudwatch._calc_stats(found), stat, found) if found else None
    return None if value is None else float(value)


def series(found: list[dict[str, Any]], stat: str, edges: list[float]) -> Values:
    """One value a period, between neighbouring edges."""
    periods: list[list[dict[str, Any]]] = [[] for _ in edges[1:]]
    for point in found:
        at = bisect_right(edges, point["Timestamp"]) - 1
        if 0 <= at < len(periods):
            periods[at].append(point)
    return [statistic(inside, stat) for inside in periods]


def reduced(name: str, values: list[float | None]) -> float | None:
    """SUM, MAX, MIN or AVG of the values that are there."""
    there = [value for value in values if value is not None]
    return float(_REDUCTIONS[name](there)) if there else None


class Expression:
    """A metric math expression; it is read once and evaluated over series of the same length."""

    def __init__(self, text: str) -> None:
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as problem:
            raise ValueError(f"{text!r} cannot be read as a metric expression: {problem.msg}") from problem

    def names(self) -> set[str]:
        """The ids that it needs."""
        functions = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        return {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and id(node) not in functions}

    def values(self, found: Mapping[str, Values], length: int) -> Values:
        """Its value in each of ``length`` periods."""
        return [self._value(self._tree, found, at) for at in range(length)]

    def _value(self, node: ast.expr, found: Mapping[str, Values], at: int) -> float | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return float(node.value)
        if isinstance(node, ast.Name) and node.id in found:
            return found[node.id][at]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand, found, at)
            return None if value is None else -value
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, self._value(node.left, found, at), self._value(node.right, found, at))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node.func.id.upper(), node.args, found, at)
        raise ValueError(f"the local cloud does not imitate {ast.unparse(node)!r} in a metric expression")

    @staticmethod
    def _arithmetic(node: ast.BinOp, left: float | None, right: float | None) -> float | None:
        operations: dict[type, Callable[[float, float], float | None]] = {
            ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b, ast.Div: lambda a, b: a / b if b else None}
        # Also without values, so that an invalid expression is rejected before there is data.
        if type(node.op) not in operations:
            raise ValueError(f"the local cloud does not imitate {ast.unparse(node)!r} in a metric expression")
        return None if left is None or right is None else operations[type(node.op)](left, right)

    def _call(self, name: str, arguments: list[ast.expr], found: Mapping[str, Values], at: int) -> float | None:
        if name == "FILL" and len(arguments) == 2:
            value, instead = (self._value(one, found, at) for one in arguments)
            return instead if value is None else value
        if name in _REDUCTIONS and len(arguments) == 1 and isinstance(arguments[0], ast.List):
            return reduced(name, [self._value(one, found, at) for one in arguments[0].elts])
        raise ValueError(f"the local cloud does not imitate {name} in a metric expression")
