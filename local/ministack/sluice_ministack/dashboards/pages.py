"""Dashboards as pages that need nothing else: one HTML document with its pictures inside.

A widget that cannot be drawn shows its error, and the status is 422 instead of 200. The grid
is CloudWatch's: 24 columns.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from markdown_it import MarkdownIt
from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from .. import metrics
from ..patching import Target
from . import body, data
from .body import Graph, NotUsable, Widget
from .data import Line, Range, shown

TARGETS = (
    Target("ministack.services.cloudwatch", "_dashboards"),
    Target("ministack.services.cloudwatch", "_alarms"),
    Target("ministack.services.cloudwatch", "_composite_alarms"),
    Target("ministack.services.cloudwatch", "_metrics"),
    Target("ministack.services.cloudwatch", "cloudformation_put_dashboard", ("name", "body")),
)

MOST_MINUTES = 14 * 24 * 60
# A cell of the grid in pixels, at the width that the pictures are made for.
_CELL_WIDTH, _CELL_HEIGHT, _GAP = 65, 50, 8
_COLOURS = {"OK": "#1d8102", "ALARM": "#d13212", "INSUFFICIENT_DATA": "#687078"}
_STATES = ("ALARM", "INSUFFICIENT_DATA", "OK")
_SORTS = ("default", "stateUpdatedTimestamp", "timestamp")
_STYLE = """
* { box-sizing: border-box }
body { margin: 0; padding: 16px; background: #f2f3f3; color: #16191f; font: 13px/1.4 system-ui, "DejaVu Sans", sans-serif }
header { display: flex; gap: 16px; align-items: baseline; margin: 0 0 12px; flex-wrap: wrap }
h1 { font-size: 20px; margin: 0; overflow-wrap: anywhere } header span, header a { color: #5f6b7a }
header, main { max-width: 1568px; margin-inline: auto }
main { display: grid; grid-template-columns: repeat(24, minmax(0, 1fr)); grid-auto-rows: 42px; gap: 8px }
section { background: #fff; border: 1px solid #d5dbdb; border-radius: 4px; padding: 8px 12px; display: flex; flex-direction: column;
  overflow: hidden; min-height: 0 }
section > h2 { font-size: 13px; margin: 0 0 4px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; flex: none }
.plot { flex: 1; min-height: 0; min-width: 0 } .plot svg, .spark svg { width: 100%; height: 100%; display: block }
.graph { flex: 1; min-height: 0; display: flex; flex-direction: column; gap: 4px }
.graph.side { flex-direction: row } .graph.side .legend { width: 30%; max-height: none; display: block }
.legend { flex: none; max-height: 40%; overflow: auto; display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 12px }
.legend div { max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px } .legend b { font-weight: 600 } .quiet { color: #687078 }
.numbers { flex: 1; display: flex; flex-wrap: wrap; gap: 8px 24px; align-content: center; min-height: 0; overflow: auto } .numbers > div { flex: 1; min-width: 90px }
.numbers strong { display: block; font-size: 28px; font-weight: 500; line-height: 1.2; white-space: nowrap } .numbers small { font-size: 13px; color: #687078 } .spark { height: 32px }
.bars { flex: 1; overflow: auto; display: grid; grid-template-columns: minmax(60px, 30%) 1fr max-content; gap: 4px 8px; align-content: center; align-items: center }
.bars span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap } .bars i { display: block; height: 14px; border-radius: 2px }
.alarms { flex: 1; min-height: 0; overflow: auto; display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 6px; align-content: start }
.alarms div { border-left: 4px solid; padding: 1px 8px; background: #fafafa; line-height: 1.35; overflow: hidden }
.alarms b { display: block; font-weight: 500; white-space: nowrap; overflow: hidden; text-overflow: ellipsis } .alarms small { font-size: 11px }
.text { overflow: auto } .text > :first-child { margin-top: 0 } .text table { border-collapse: collapse } .text td, .text th { border: 1px solid #d5dbdb; padding: 2px 8px }
.plain { background: none; border: 0 } .wrong { color: #d13212; margin: auto 0; overflow: auto }
table.list { background: #fff; border-collapse: collapse } table.list td, table.list th { border: 1px solid #d5dbdb; padding: 6px 12px; text-align: left }
"""


@dataclass(frozen=True)
class Page:
    """An HTML document and its HTTP status."""

    status: int
    text: str


@dataclass(frozen=True)
class _Prepared:
    """A widget whose values are read; ``draw`` makes its inner HTML without calls of the services.
    """

    widget: Widget
    x: int
    y: int
    wrong: bool
    draw: Callable[[], str]


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _document(title: str, inner: str, refresh: bool = False) -> str:
    again = '<meta http-equiv="refresh" content="60">' if refresh else ""
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{again}<title>{_text(title)}</title><style>{_STYLE}</style></head>'
            f"<body>{inner}</body></html>\n")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _size(widget: Widget, graph: Graph, lines: list[Line]) -> tuple[int, int]:
    """Pixels for a picture within a widget: without border, title and legend, whose length is
    estimated.
    """
    width = widget.width * _CELL_WIDTH - _GAP - 26
    height = widget.height * _CELL_HEIGHT - _GAP - (42 if graph.title else 20)
    if graph.legend == "right":
        return round(width * 0.7), max(60, height)
    legend = 0 if graph.legend == "hidden" else math.ceil(sum(len(line.label) * 6.5 + 62 for line in lines) / width) * 17 + 4
    return width, max(60, height - min(legend, round(height * 0.4)))


def _legend(graph: Graph, lines: list[Line], of: list[str]) -> str:
    if graph.legend == "hidden":
        return ""

    def one(line: Line, colour: str) -> str:
        value = "no data" if line.last is None else shown(line.last)
        return (f'<div title="{_text(line.label)}"><i style="background:{_text(colour)}"></i>{_text(line.label)} '
                f'<span class="quiet">{value}{" (right)" if line.right else ""}</span></div>')

    return f'<div class="legend">{"".join(map(one, lines, of))}</div>'


def _series(widget: Widget, graph: Graph, lines: list[Line], over: Range) -> Callable[[], str]:
    moments = tuple(data.moments(graph.moments))

    def draw() -> str:
        from . import charts  # the import takes half a second, and only a request for a dashboard needs it
        picture = charts.draw(charts.Chart(lines, over, *_size(widget, graph, lines), graph.stacked, graph.left, graph.right, graph.marks, moments))
        return f'<div class="graph{" side" if graph.legend == "right" else ""}"><div class="plot">{picture}</div>{_legend(graph, lines, charts.colours(lines))}</div>'

    return draw


def _numbers(graph: Graph, lines: list[Line], over: Range) -> Callable[[], str]:
    def draw() -> str:
        from . import charts

        def one(line: Line, colour: str) -> str:
            picture = "" if not graph.sparkline else f'<div class="spark">{charts.spark(line, colour, over, 200, 32)}</div>'
            value = line.whole if graph.whole_range else line.last
            return f"<div><span>{_text(line.label)}</span><strong>{shown(value)} <small>{_text(line.unit)}</small></strong>{picture}</div>"

        return f'<div class="numbers">{"".join(map(one, lines, charts.colours(lines)))}</div>'

    return draw


def _bars(graph: Graph, lines: list[Line]) -> Callable[[], str]:
    def draw() -> str:
        from . import charts
        values = [line.whole if graph.whole_range else line.last for line in lines]
        most = max((abs(value) for value in values if value is not None), default=0.0) or 1.0

        def one(line: Line, colour: str, value: float | None) -> str:
            return (f'<span title="{_text(line.label)}">{_text(line.label)}</span>'
                    f'<i style="background:{_text(colour)};width:{abs(value or 0.0) / most * 100:.2f}%"></i><b>{shown(value)} {_text(line.unit)}</b>')

        return f'<div class="bars">{"".join(map(one, lines, charts.colours(lines), values))}</div>'

    return draw


def _alarm(arn: str) -> dict[str, Any] | None:
    """An alarm of any account and Region by its ARN."""
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[2] != "cloudwatch" or parts[5] != "alarm":
        raise NotUsable(f"an alarm is named by its ARN, found {arn!r}")
    with request_scope(parts[4], parts[3]):
        found = cloudwatch._alarms.get(parts[6]) or cloudwatch._composite_alarms.get(parts[6])
        return None if found is None else dict(found)


def _graph(widget: Widget, account: str, region: str, over: Range) -> Callable[[], str]:
    graph = body.graph(widget, region)
    for arn in graph.alarms:
        found = _alarm(arn)
        if found is None:
            raise NotUsable(f"there is no alarm {arn}")
        graph = data.with_alarm(graph, found, arn.split(":")[3])
    lines = data.lines(graph, account, over)
    return {"timeSeries": lambda: _series(widget, graph, lines, over), "singleValue": lambda: _numbers(graph, lines, over),
            "bar": lambda: _bars(graph, lines)}[graph.view]()


def _alarms(widget: Widget) -> Callable[[], str]:
    arns = widget.properties.get("alarms")
    if not isinstance(arns, list) or not arns:
        raise NotUsable(f"{widget.name} must have a list of alarms")
    states = widget.properties.get("states") or list(_STATES)
    if not isinstance(states, list) or set(states) - set(_STATES):
        raise NotUsable(f"states are of {', '.join(_STATES)}, found {states!r}")
    by = widget.properties.get("sortBy", "default")
    if by not in _SORTS:
        raise NotUsable(f"sortBy {by!r} is not known; known are {', '.join(_SORTS)}")
    found = []
    for arn in arns:
        alarm = _alarm(str(arn))
        if alarm is None:
            raise NotUsable(f"there is no alarm {arn}")
        if alarm["StateValue"] in states:
            found.append(alarm)
    if by == "default":
        found.sort(key=lambda alarm: (_STATES.index(alarm["StateValue"]), alarm["AlarmName"]))
    else:
        found.sort(key=lambda alarm: -float(alarm.get("StateUpdatedTimestamp") or 0))

    def one(alarm: dict[str, Any]) -> str:
        state, at = str(alarm["StateValue"]), alarm.get("StateUpdatedTimestamp")
        since = f" since {_when(float(at))}" if isinstance(at, (int, float)) else ""
        title = f"{alarm['AlarmName']}\n{alarm.get('AlarmDescription') or ''}\n{alarm.get('StateReason') or ''}"
        return (f'<div style="border-color:{_COLOURS[state]}" title="{_text(title)}"><b>{_text(alarm["AlarmName"])}</b>'
                f'<small style="color:{_COLOURS[state]}">{"insufficient data" if state == "INSUFFICIENT_DATA" else state}</small>'
                f'<small class="quiet">{since}</small></div>')

    inner = f'<div class="alarms">{"".join(map(one, found))}</div>'
    return lambda: inner


def _markdown(widget: Widget) -> Callable[[], str]:
    text = widget.properties.get("markdown")
    if not isinstance(text, str):
        raise NotUsable(f"{widget.name} must have a text in markdown")
    # HTML stays text, and pictures are left out, because a browser would fetch them.
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    inner = f'<div class="text">{reader.render(text)}</div>'
    return lambda: inner


def _prepare(widget: Widget, x: int, y: int, account: str, region: str, over: Range) -> _Prepared:
    try:
        body.check(widget)
        draw = {"metric": lambda: _graph(widget, account, region, over), "alarm": lambda: _alarms(widget),
                "text": lambda: _markdown(widget)}[widget.kind]()
    except NotUsable as problem:
        sentence = f'<p class="wrong">{_text(problem)}.</p>'
        return _Prepared(widget, x, y, True, lambda: sentence)
    return _Prepared(widget, x, y, False, draw)


def _section(one: _Prepared) -> str:
    title = one.widget.properties.get("title")
    plain = one.widget.kind == "text" and one.widget.properties.get("background") == "transparent"
    return (f'<section{" class=plain" if plain else ""} style="grid-column:{one.x + 1}/span {one.widget.width};'
            f'grid-row:{one.y + 1}/span {one.widget.height}">{f"<h2>{_text(title)}</h2>" if title else ""}{one.draw()}</section>')


def dashboard(name: str, account: str, region: str, text: str, over: Range) -> Callable[[], Page]:
    """A dashboard over a time. The values are read here; the returned function draws the page
    on any thread.
    """
    head = (f'<header><h1>{_text(name)}</h1><span>{_text(account)} {_text(region)}</span>'
            f'<span>{_when(over.start)} – {_when(over.end)} UTC</span><a href="/_sluice/dashboards">all dashboards</a></header>')
    try:
        found = body.placed(body.widgets(text))
    except NotUsable as problem:
        whole = Page(422, _document(name, f'{head}<p class="wrong">{_text(problem)}.</p>'))
        return lambda: whole
    with request_scope(account, region):
        # Otherwise queues are measured only once a minute.
        metrics.measure_queues(over.end)
    prepared = [_prepare(one, x, y, account, region, over) for one, x, y in found]

    def draw() -> Page:
        inner = "".join(map(_section, prepared)) or "<p>This dashboard has no widgets.</p>"
        return Page(422 if any(one.wrong for one in prepared) else 200, _document(name, f"{head}<main>{inner}</main>", True))

    return draw


def known() -> list[tuple[str, str, str, str]]:
    """Account, Region, name and body of every dashboard."""
    return sorted((account, region, str(name), str(one["DashboardBody"])) for (account, region, name), one in cloudwatch._dashboards.all_items())


def link(account: str, region: str, name: str) -> str:
    """The path of a dashboard's page."""
    return f"/_sluice/dashboard/{quote(name, safe='')}?{urlencode({'account': account, 'region': region})}"


def listing() -> Page:
    """All dashboards of all accounts."""
    rows = "".join(f'<tr><td><a href="{_text(link(account, region, name))}">{_text(name)}</a></td><td>{_text(account)}</td><td>{_text(region)}</td></tr>'
                   for account, region, name, _ in known())
    inner = f'<table class="list"><tr><th>dashboard</th><th>account</th><th>Region</th></tr>{rows}</table>' if rows else "<p>No dashboard is deployed.</p>"
    return Page(200, _document("Dashboards", f"<header><h1>Dashboards</h1></header>{inner}"))
