"""The body of a dashboard as types [page: Dashboard Body Structure and Syntax of the CloudWatch API
reference].

A body that CloudWatch would reject, or that is not supported here, is rejected with a message.
``...`` and ``.`` in a row of metrics stand for what the row before has in that place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COLUMNS = 24
_MOST_WIDGETS, _MOST_METRICS, _MOST_ROWS = 500, 500, 1000
_SIDE = 6
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
_STAT = re.compile(r"SampleCount|Average|Sum|Minimum|Maximum|p(100|\d{1,2})(\.\d+)?")
_ROW_OPTIONS = ("color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis")
# Properties without effect on a still picture are accepted and ignored.
_PROPERTIES = {
    "metric": ("annotations", "legend", "liveData", "metrics", "period", "region", "setPeriodToTimeRange", "singleValueFullPrecision",
               "sparkline", "stacked", "stat", "timezone", "title", "view", "yAxis"),
    "alarm": ("alarms", "sortBy", "states", "title"),
    "text": ("background", "markdown"),
}
VIEWS = ("timeSeries", "singleValue", "bar")


class NotUsable(ValueError):
    """A body, or one widget of it, cannot be drawn; the text has the reason."""


@dataclass(frozen=True)
class Widget:
    """One widget; ``x`` and ``y`` are negative where it takes the next free place."""

    number: int
    kind: str
    x: int
    y: int
    width: int
    height: int
    properties: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name in messages."""
        title = self.properties.get("title")
        return f"widget {self.number}" + (f" ({title!r})" if title else "")


@dataclass(frozen=True)
class Row:
    """One row of ``metrics``: a metric or an expression. ``label`` is empty where CloudWatch would
    choose it.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    expression: str
    id: str
    label: str
    stat: str
    period: int
    region: str
    colour: str
    right: bool
    visible: bool


@dataclass(frozen=True)
class Axis:
    """One side's axis, as far as it is set."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    units: bool = True


@dataclass(frozen=True)
class Mark:
    """A horizontal annotation; with ``end`` a band from ``value`` to it. ``fill`` is above, below,
    or empty.
    """

    value: float
    end: float | None
    label: str
    colour: str
    fill: str
    right: bool


@dataclass(frozen=True)
class Moment:
    """A vertical annotation, in the body's text of its time; with ``end`` a band. ``fill`` is
    before, after, or empty.
    """

    value: str
    end: str
    label: str
    colour: str
    fill: str


@dataclass(frozen=True)
class Graph:
    """The properties of a metric widget."""

    title: str
    view: str
    stacked: bool
    whole_range: bool
    sparkline: bool
    legend: str
    rows: tuple[Row, ...]
    left: Axis
    right: Axis
    marks: tuple[Mark, ...] = ()
    moments: tuple[Moment, ...] = ()
    alarms: tuple[str, ...] = field(default=())


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotUsable(f"{what} must be an object, found {value!r}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise NotUsable(f"{what} must be a list, found {value!r}")
    return value


def _known(found: Iterable[str], known: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise NotUsable(f"{what} has {unknown[0]!r}, which is misspelt or not drawn here; known are {', '.join(known)}")


def _whole(value: Any, low: int, high: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise NotUsable(f"{what} must be a whole number from {low} to {high}, found {value!r}")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotUsable(f"{what} must be a number, found {value!r}")
    return float(value)


def _one_of(value: Any, known: tuple[str, ...], what: str) -> str:
    if value not in known:
        raise NotUsable(f"{what} {value!r} is not drawn; known are {', '.join(known)}")
    return str(value)


def _colour(value: Any) -> str:
    if value and not (isinstance(value, str) and _COLOUR.fullmatch(value)):
        raise NotUsable(f"a color must be six hexadecimal digits behind #, found {value!r}")
    return value or ""


def widgets(text: str) -> list[Widget]:
    """The widgets of a body, as they are placed; raises NotUsable for the whole body only."""
    try:
        body = json.loads(text)
    except ValueError as problem:
        raise NotUsable(f"the body is not JSON: {problem}") from problem
    found = _list(_object(body, "the body").get("widgets"), "widgets")
    if len(found) > _MOST_WIDGETS:
        raise NotUsable(f"a dashboard has at most {_MOST_WIDGETS} widgets, found {len(found)}")
    return [_widget(number, one) for number, one in enumerate(found, 1)]


def _widget(number: int, given: Any) -> Widget:
    one = _object(given, f"widget {number}")
    what = f"widget {number}: "
    if ("x" in one) != ("y" in one):
        raise NotUsable(f"{what}x and y come together")
    width = _whole(one.get("width", _SIDE), 1, COLUMNS, f"{what}width")
    height = _whole(one.get("height", _SIDE), 1, _MOST_ROWS, f"{what}height")
    x = _whole(one["x"], 0, COLUMNS - 1, f"{what}x") if "x" in one else -1
    if x + width > COLUMNS:
        raise NotUsable(f"{what}x {x} and width {width} reach over the {COLUMNS} columns of the grid")
    y = _whole(one["y"], 0, 10 ** 6, f"{what}y") if "y" in one else -1
    return Widget(number, str(one.get("type", "")), x, y, width, height, _object(one.get("properties", {}), f"{what}properties"))


def placed(found: list[Widget]) -> list[tuple[Widget, int, int]]:
    """Each widget with its column and row: where it says, else the first place that is free; never
    over another.
    """
    taken: set[tuple[int, int]] = set()
    result = []
    for one in found:
        x, y = (one.x, one.y) if one.x >= 0 else _free(one, taken)
        cells = {(x + right, y + down) for right in range(one.width) for down in range(one.height)}
        if cells & taken:
            raise NotUsable(f"{one.name} lies over another widget at column {x}, row {y}")
        taken |= cells
        result.append((one, x, y))
    return result


def _free(one: Widget, taken: set[tuple[int, int]]) -> tuple[int, int]:
    y = 0
    while True:
        for x in range(COLUMNS - one.width + 1):
            if not any((x + right, y + down) in taken for right in range(one.width) for down in range(one.height)):
                return x, y
        y += 1


def check(one: Widget) -> None:
    """Raise NotUsable for a type or a property that is not drawn."""
    if one.kind not in _PROPERTIES:
        raise NotUsable(f"{one.name} has the type {one.kind!r}, which is not drawn here; known are {', '.join(_PROPERTIES)}")
    _known(one.properties, _PROPERTIES[one.kind], one.name)


def expanded(rows: list[Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """The rows of ``metrics`` without shorthand, each with its options."""
    result: list[tuple[list[str], dict[str, Any]]] = []
    before: list[str] = []
    for number, given in enumerate(rows, 1):
        row = list(_list(given, f"row {number} of metrics"))
        options = row.pop() if row and isinstance(row[-1], dict) else {}
        if not all(isinstance(part, str) for part in row):
            raise NotUsable(f"row {number} of metrics must be texts, with one object at the end, found {given!r}")
        if "..." in row:
            at = row.index("...")
            rest = row[at + 1:]
            if not before or at + len(rest) > len(before):
                raise NotUsable(f"row {number} of metrics has '...', but the row before has nothing to repeat there")
            row = row[:at] + before[at:len(before) - len(rest)] + rest
        for place, part in enumerate(row):
            if part == ".":
                if place >= len(before):
                    raise NotUsable(f"row {number} of metrics has '.' where the row before has nothing")
                row[place] = before[place]
        # A row with an expression has no metric to repeat.
        before = row or before
        result.append((row, options))
    return result


def _rows(properties: dict[str, Any], region: str) -> tuple[Row, ...]:
    given = _list(properties.get("metrics", []), "metrics")
    if len(given) > _MOST_METRICS:
        raise NotUsable(f"a widget has at most {_MOST_METRICS} metrics, found {len(given)}")
    found = []
    for number, (parts, options) in enumerate(expanded(given), 1):
        what = f"row {number} of metrics"
        _known(options, _ROW_OPTIONS, what)
        expression = options.get("expression", "")
        if not isinstance(expression, str) or bool(expression) == bool(parts) or (parts and (len(parts) < 2 or len(parts) % 2)):
            raise NotUsable(f"{what} must be namespace, name and pairs of dimensions, or an expression alone, found {parts!r}")
        ident = options.get("id", "")
        if ident and not (isinstance(ident, str) and _ID.fullmatch(ident)):
            raise NotUsable(f"{what} has the id {ident!r}; an id begins with a small letter and has letters, digits and _")
        stat = str(options.get("stat", properties.get("stat", "Average")))
        if not _STAT.fullmatch(stat):
            raise NotUsable(f"{what} has the statistic {stat!r}, which is not computed here")
        period = _whole(options.get("period", properties.get("period", 300)), 1, 86400 * 30, f"{what}: period")
        if period % 60 and period not in (1, 5, 10, 20, 30):
            raise NotUsable(f"{what}: period must be 1, 5, 10, 20, 30 or a multiple of 60, found {period}")
        dimensions = tuple(zip(parts[2::2], parts[3::2], strict=True)) if parts else ()
        found.append(Row(
            parts[0] if parts else "", parts[1] if parts else "", dimensions, expression, ident, str(options.get("label", "")), stat, period,
            str(options.get("region", properties.get("region", region))), _colour(options.get("color")),
            _one_of(options.get("yAxis", "left"), ("left", "right"), "yAxis") == "right", options.get("visible", True) is not False))
    return tuple(found)


def _axis(given: Any) -> Axis:
    one = _object(given, "an axis")
    _known(one, ("label", "max", "min", "showUnits"), "an axis")
    low, high = (None if one.get(name) is None else _number(one[name], f"{name} of an axis") for name in ("min", "max"))
    return Axis(str(one.get("label", "")), low, high, one.get("showUnits", True) is not False)


def _pair(given: Any, what: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    if isinstance(given, list):
        if len(given) != 2:
            raise NotUsable(f"{what} that is a band must have two ends, found {len(given)}")
        return _object(given[0], what), _object(given[1], what)
    return _object(given, what), None


def _marks(given: Any) -> tuple[Mark, ...]:
    found = []
    for one in _list(given, "annotations.horizontal"):
        first, second = _pair(one, "a horizontal annotation")
        _known(first, ("color", "fill", "label", "value", "visible", "yAxis"), "a horizontal annotation")
        if first.get("visible", True) is False:
            continue
        fill = first.get("fill", "none")
        found.append(Mark(
            _number(first.get("value"), "value of an annotation"),
            None if second is None else _number(second.get("value"), "value of an annotation"), str(first.get("label", "")),
            _colour(first.get("color")), "" if fill == "none" else _one_of(fill, ("above", "below"), "fill"),
            _one_of(first.get("yAxis", "left"), ("left", "right"), "yAxis") == "right"))
    return tuple(found)


def _moments(given: Any) -> tuple[Moment, ...]:
    found = []
    for one in _list(given, "annotations.vertical"):
        first, second = _pair(one, "a vertical annotation")
        _known(first, ("color", "fill", "label", "value", "visible"), "a vertical annotation")
        if first.get("visible", True) is False:
            continue
        fill = first.get("fill", "none")
        found.append(Moment(str(first.get("value", "")), "" if second is None else str(second.get("value", "")), str(first.get("label", "")),
                            _colour(first.get("color")), "" if fill == "none" else _one_of(fill, ("before", "after"), "fill")))
    return tuple(found)


def graph(one: Widget, region: str) -> Graph:
    """The properties of a metric widget; ``region`` is that of the dashboard."""
    properties = one.properties
    legend = _object(properties.get("legend", {}), "legend")
    annotations = _object(properties.get("annotations", {}), "annotations")
    _known(annotations, ("alarms", "horizontal", "vertical"), "annotations")
    axes = _object(properties.get("yAxis", {}), "yAxis")
    _known(axes, ("left", "right"), "yAxis")
    rows = _rows(properties, region)
    alarms = tuple(str(arn) for arn in _list(annotations.get("alarms", []), "annotations.alarms"))
    if not rows and not alarms:
        raise NotUsable(f"{one.name} has neither metrics nor an alarm to show")
    return Graph(
        str(properties.get("title", "")), _one_of(properties.get("view", "timeSeries"), VIEWS, "the view"),
        properties.get("stacked") is True, properties.get("setPeriodToTimeRange") is True, properties.get("sparkline", True) is not False,
        _one_of(legend.get("position", "bottom"), ("bottom", "right", "hidden"), "the position of a legend"), rows,
        _axis(axes.get("left", {})), _axis(axes.get("right", {})), _marks(annotations.get("horizontal", [])),
        _moments(annotations.get("vertical", [])), alarms)
