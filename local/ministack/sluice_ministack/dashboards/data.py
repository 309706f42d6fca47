"""The data of a graph: its rows as lines of the stored values.

Expressions are those of ``metric_math``, and SEARCH by itself or within SUM, MAX, MIN or AVG [page:
Using search expressions in graphs]: ``{Namespace,Dimension,…}`` with terms ``MetricName="…"`` and
``Dimension="…"``. Labels may hold ``${LABEL}``, ``${LAST}``, ``${MIN}``, ``${MAX}``, ``${AVG}``,
``${SUM}`` and ``${PROP('…')}`` [page: Using dynamic labels].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from ..metric_math import Expression, Values, points, reduced, series, statistic
from .body import Graph, Mark, Moment, NotUsable, Row

# CloudWatch lengthens periods for long ranges, too; it documents no number.
_MOST_POINTS = 1440
_MOST_FOUND = 100
_SEARCH = re.compile(r"(?:(SUM|MAX|MIN|AVG)\(\s*)?SEARCH\(\s*'((?:[^'\\]|\\.)*)'\s*,\s*'([^']+)'\s*(?:,\s*(\d+)\s*)?\)(\s*\))?", re.IGNORECASE)
_SCHEMA = re.compile(r"\s*\{([^}]*)\}\s*(.*)", re.DOTALL)
_TERM = re.compile(r'\s*(?:"([^"]+)"|([\w/.:-]+))\s*=\s*"([^"]*)"\s*(?:AND\b)?')
_DYNAMIC = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Line:
    """One line: values at the beginnings of their periods. ``whole`` is the statistic over the
    whole range.
    """

    label: str
    times: tuple[float, ...]
    values: tuple[float | None, ...]
    whole: float | None
    unit: str
    colour: str
    right: bool
    period: int

    @property
    def last(self) -> float | None:
        """The newest value."""
        return next((value for value in reversed(self.values) if value is not None), None)


@dataclass(frozen=True)
class Range:
    """The time range of a dashboard, in seconds since 1970."""

    start: float
    end: float

    def period(self, wanted: int) -> int:
        """The period, lengthened where there would be too many values."""
        times = 1
        while (self.end - self.start) / (wanted * times) > _MOST_POINTS:
            times += 1
        return wanted * times

    def edges(self, period: int) -> list[float]:
        """The starts of the periods, the unfinished one included, and the end of the last."""
        first, last = int(self.start // period), int(self.end // period)
        return [float(at * period) for at in range(first, last + 2)]


@dataclass(frozen=True)
class _Raw:
    """A row with its values, before it has a label."""

    row: Row
    times: tuple[float, ...]
    values: Values
    whole: float | None
    unit: str
    period: int


def _unit(found: list[dict[str, object]]) -> str:
    units = {str(one.get("Unit", "None")) for one in found} - {"None", ""}
    return units.pop() if len(units) == 1 else ""


def _kept(row: Row, account: str, over: Range) -> _Raw:
    period = over.period(row.period)
    edges = over.edges(period)
    with request_scope(account, row.region):
        found = points(row.namespace, row.name, dict(row.dimensions))
    inside = [one for one in found if edges[0] <= one["Timestamp"] < edges[-1]]
    return _Raw(row, tuple(edges[:-1]), series(inside, row.stat, edges), statistic(inside, row.stat), _unit(inside), period)


def _terms(text: str) -> dict[str, str]:
    terms, at = {}, 0
    while at < len(text.rstrip()):
        term = _TERM.match(text, at)
        if term is None:
            raise NotUsable(f"the local cloud does not imitate {text[at:].strip()!r} in SEARCH; supported are terms like MetricName=\"Name\"")
        terms[term[1] or term[2]] = term[3]
        at = term.end()
    return terms


def _searched(row: Row, account: str, query: str, stat: str, period: str | None) -> list[Row]:
    """The metrics that a SEARCH finds, as rows."""
    schema = _SCHEMA.fullmatch(query.replace("\\'", "'"))
    if schema is None:
        raise NotUsable(f"the local cloud imitates SEARCH with a schema in braces only, found {query!r}")
    namespace, *names = [part.strip().strip('"') for part in schema[1].split(",")]
    terms = _terms(schema[2])
    unknown = set(terms) - {"MetricName", *names}
    if unknown:
        raise NotUsable(f"SEARCH names {sorted(unknown)[0]!r}, which is not in its schema {{{schema[1]}}}")
    rows = []
    with request_scope(account, row.region):
        for (space, name, _), kept in list(cloudwatch._metrics.items()):
            dimensions = {str(key): str(value) for key, value in (kept[0]["Dimensions"] if kept else {}).items()}
            if (space == namespace and set(dimensions) == set(names)
                    and all({"MetricName": name, **dimensions}[key] == value for key, value in terms.items())):
                rows.append(replace(row, namespace=space, name=name, dimensions=tuple((one, dimensions[one]) for one in names), expression="",
                                    stat=stat, period=int(period) if period else row.period))
    rows.sort(key=lambda one: (one.name, one.dimensions))
    if len(rows) > _MOST_FOUND:
        raise NotUsable(f"SEARCH finds {len(rows)} metrics; more than {_MOST_FOUND} in one graph cannot be read")
    return rows


def _of_search(row: Row, account: str, over: Range, search: re.Match[str]) -> list[_Raw]:
    reduction, query, stat, period, closed = search.groups()
    if bool(reduction) != bool(closed):
        raise NotUsable(f"{row.expression!r} has brackets without a counterpart")
    found = [_kept(one, account, over) for one in _searched(row, account, query, stat, period)]
    if not reduction:
        return found
    edges = over.edges(over.period(int(period) if period else row.period))
    values = [reduced(reduction.upper(), [one.values[at] for one in found]) for at in range(len(edges) - 1)]
    units = {one.unit for one in found}
    whole = reduced(reduction.upper(), [one.whole for one in found])
    return [_Raw(row, tuple(edges[:-1]), values, whole, units.pop() if len(units) == 1 else "", int(edges[1] - edges[0]))]


def _of_math(row: Row, known: dict[str, _Raw], over: Range) -> _Raw:
    expression = Expression(row.expression)
    used = [known[name] for name in sorted(expression.names() & set(known))]
    periods = {one.period for one in used}
    if len(periods) > 1:
        raise NotUsable(f"{row.expression!r} takes metrics of different periods ({', '.join(map(str, sorted(periods)))}), which is not imitated")
    period = periods.pop() if periods else over.period(row.period)
    edges = over.edges(period)
    units = {one.unit for one in used}
    whole = expression.values({name: [one.whole] for name, one in known.items()}, 1)[0]
    values = expression.values({name: one.values for name, one in known.items() if one.period == period}, len(edges) - 1)
    return _Raw(row, tuple(edges[:-1]), values, whole, units.pop() if len(units) == 1 else "", period)


def _evaluated(rows: tuple[Row, ...], account: str, over: Range) -> list[_Raw]:
    """Every row with its values, in the order of the rows.

    An expression is evaluated after the rows that it names.
    """
    done: dict[int, list[_Raw]] = {}
    known: dict[str, _Raw] = {}
    ids = {row.id for row in rows if row.id}
    waiting = list(enumerate(rows))
    while waiting:
        left = []
        for at, row in waiting:
            search = _SEARCH.fullmatch(row.expression.strip())
            if search is not None:
                done[at] = _of_search(row, account, over, search)
                continue
            if row.expression and (Expression(row.expression).names() & ids) - set(known):
                left.append((at, row))
                continue
            found = _of_math(row, known, over) if row.expression else _kept(row, account, over)
            done[at] = [found]
            if row.id:
                known[row.id] = found
        if len(left) == len(waiting):
            raise NotUsable(f"the expression {left[0][1].expression!r} names itself, or a SEARCH")
        waiting = left
    return [one for at in sorted(done) for one in done[at]]


def _parts(row: Row) -> tuple[str, ...]:
    return (row.namespace, row.name, *(value for _, value in row.dimensions), row.stat, str(row.period))


def _own(row: Row, among: list[Row]) -> str:
    """A label for a row without one: the parts that other rows do not have. CloudWatch's rule is
    not documented.
    """
    if row.expression:
        return row.expression
    others = [_parts(other) for other in among if not other.expression]
    mine = _parts(row)
    distinct = [part for at, part in enumerate(mine) if any(at >= len(other) or other[at] != part for other in others)]
    return " ".join(distinct) or row.name


def shown(value: float | None) -> str:
    """A value in readable form: three or four digits, with k, M, G or T."""
    if value is None:
        return "–"
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.4g}{letter}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def _property(row: Row, name: str) -> str:
    known = {"Namespace": row.namespace, "MetricName": row.name, "Stat": row.stat, "Period": str(row.period), "Region": row.region,
             **{f"Dim.{key}": value for key, value in row.dimensions}}
    if name not in known:
        raise NotUsable(f"a label names PROP({name!r}), which the metric does not have")
    return known[name]


def _label(raw: _Raw, own: str) -> str:
    if not raw.row.label:
        return own
    there = [value for value in raw.values if value is not None]
    computed: dict[str, Callable[[], str]] = {
        "LABEL": lambda: own, "LAST": lambda: shown(there[-1] if there else None), "MIN": lambda: shown(min(there, default=None)),
        "MAX": lambda: shown(max(there, default=None)), "SUM": lambda: shown(sum(there) if there else None),
        "AVG": lambda: shown(sum(there) / len(there) if there else None)}

    def one(found: re.Match[str]) -> str:
        asked = re.fullmatch(r"PROP\('([^']*)'\)", found[1])
        if asked is not None:
            return _property(raw.row, asked[1])
        if found[1] not in computed:
            raise NotUsable(f"a label has ${{{found[1]}}}, which is not imitated; known are {', '.join(computed)} and PROP('…')")
        return computed[found[1]]()

    return _DYNAMIC.sub(one, raw.row.label)


def lines(graph: Graph, account: str, over: Range) -> list[Line]:
    """The visible lines of a graph."""
    try:
        found = [one for one in _evaluated(graph.rows, account, over) if one.row.visible]
    except NotUsable:
        raise
    except ValueError as problem:
        raise NotUsable(str(problem)) from problem
    among = [one.row for one in found]
    return [Line(_label(one, _own(one.row, among)), one.times, tuple(one.values), one.whole, one.unit, one.row.colour, one.row.right,
                 one.period) for one in found]


def with_alarm(graph: Graph, alarm: dict[str, object], region: str) -> Graph:
    """A graph with an alarm's metric, where it has none of its own, and its threshold [page as of
    ``body``, annotations.alarms].
    """
    if "Threshold" not in alarm or not alarm.get("MetricName"):
        raise NotUsable(f"the alarm {alarm.get('AlarmName')!r} has no single metric; its threshold is not drawn")
    threshold = float(str(alarm["Threshold"]))
    mark = Mark(threshold, None, f"{alarm['AlarmName']} {shown(threshold)}", "#d62728", "", False)
    dimensions = alarm.get("Dimensions")
    row = Row(str(alarm["Namespace"]), str(alarm["MetricName"]),
              tuple((one["Name"], one["Value"]) for one in dimensions) if isinstance(dimensions, list) else (), "", "", "",
              str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"), int(str(alarm.get("Period") or 60)), region, "",
              False, True)
    return replace(graph, rows=graph.rows or (row,), marks=(*graph.marks, mark))


def moment(text: str) -> float:
    """The time of a vertical annotation."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise NotUsable(f"a vertical annotation's value must be a time like 2026-01-31T12:00:00Z, found {text!r}") from None
    if found.tzinfo is None:
        raise NotUsable(f"a vertical annotation's value must say its time zone, found {text!r}")
    return found.timestamp()


def moments(found: tuple[Moment, ...]) -> list[tuple[Moment, float, float | None]]:
    """Vertical annotations with their times."""
    return [(one, moment(one.value), moment(one.end) if one.end else None) for one in found]
