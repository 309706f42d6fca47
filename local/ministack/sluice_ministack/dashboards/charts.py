"""Lines as an SVG, drawn by matplotlib (docs/decisions/0009-charts.md).

Without matplotlib.pyplot, which keeps global state. Text from outside is drawn
unchanged and never parsed as mathematics.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC
from itertools import cycle

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .body import Axis, Mark, Moment
from .data import Line, Range, shown

# matplotlib's first ten, which are CloudWatch's.
PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
_GREY, _PALE = "#5f6b7a", "#e9ebed"
_SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "sluice", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10.5,
    "axes.edgecolor": "#b6bec9", "axes.labelcolor": _GREY, "xtick.color": _GREY, "ytick.color": _GREY, "axes.linewidth": 0.8,
    "xtick.major.size": 3, "ytick.major.size": 0, "axes.unicode_minus": True,
}
matplotlib.rcParams.update(_SETTINGS)


@dataclass(frozen=True)
class Chart:
    """The contents of a rectangle of ``width`` by ``height`` pixels."""

    lines: list[Line]
    over: Range
    width: int
    height: int
    stacked: bool = False
    left: Axis = field(default_factory=Axis)
    right: Axis = field(default_factory=Axis)
    marks: tuple[Mark, ...] = ()
    moments: tuple[tuple[Moment, float, float | None], ...] = ()


def colours(lines: list[Line]) -> list[str]:
    """The colour of each line."""
    palette = cycle(PALETTE)
    return [line.colour or next(palette) for line in lines]


def _day(at: float) -> float:
    """A time as matplotlib counts it: days since 1970."""
    return at / 86400


def _times(line: Line) -> list[float]:
    return [_day(at) for at in line.times]


def _draw(axes: Axes, line: Line, colour: str) -> None:
    values = [float("nan") if value is None else value for value in line.values]
    axes.plot(_times(line), values, color=colour, linewidth=1.6, solid_capstyle="round")
    # A value between two gaps is no line; it is a dot.
    alone = [at for at, value in enumerate(line.values) if value is not None
             and all(line.values[near] is None for near in (at - 1, at + 1) if 0 <= near < len(line.values))]
    times = _times(line)
    axes.plot([times[at] for at in alone], [values[at] for at in alone], color=colour, linestyle="none", marker="o", markersize=4)


def _stack(axes: Axes, lines: list[Line], colours_of: list[str]) -> None:
    """Areas on each other. Lines of one period only are stacked truly, so each is taken at the
    times of all lines, with 0 for a missing value.
    """
    # A time without values, such as a period that has just begun, is not drawn as zero.
    times = sorted({at for line in lines for at, value in zip(line.times, line.values, strict=True) if value is not None})
    by_time = [dict(zip(line.times, line.values, strict=True)) for line in lines]
    heights = [[one.get(at) or 0.0 for at in times] for one in by_time]
    axes.stackplot([_day(at) for at in times], heights, colors=colours_of, alpha=0.55, edgecolor="white", linewidth=0.5)


def _limits(axes: Axes, axis: Axis, values: list[float]) -> None:
    """Zero is on the axis and a flat line of zeros lies at the bottom, unless the body says
    otherwise.
    """
    low, high = min([0.0, *values]), max([0.0, *values])
    if high == low:
        high = low + 1.0
    room = (high - low) * 0.08
    axes.set_ylim(axis.low if axis.low is not None else low - (room if low < 0 else 0),
                  axis.high if axis.high is not None else high + room)


def _label(axes: Axes, axis: Axis, lines: list[Line]) -> None:
    units = {line.unit for line in lines if line.unit}
    unit = (units.pop() if len(units) == 1 else "Various units") if units and axis.units else ""
    axes.set_ylabel(axis.label or unit, parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=all(
        value is None or value == int(value) for line in lines for value in line.values)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))


def _annotate(axes: Axes, chart: Chart, right: bool) -> None:
    low, high = axes.get_ylim()
    for mark in chart.marks:
        if mark.right != right:
            continue
        colour = mark.colour or "#d62728"
        axes.axhline(mark.value, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        if mark.end is not None:
            axes.axhline(mark.end, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        edge = mark.end if mark.end is not None else {"above": high, "below": low}.get(mark.fill)
        if edge is not None:
            axes.axhspan(mark.value, edge, color=colour, alpha=0.1, linewidth=0)
        if mark.label:
            axes.annotate(mark.label, (0.995, mark.value), xycoords=axes.get_yaxis_transform(), xytext=(0, 2), textcoords="offset points",
                          ha="right", va="bottom", color=colour, fontsize=9.5, parse_math=False)


def _annotate_times(axes: Axes, chart: Chart) -> None:
    for one, at, end in chart.moments:
        colour = one.colour or "#9467bd"
        axes.axvline(_day(at), color=colour, linewidth=1, linestyle=(0, (4, 3)))
        edge = end if end is not None else {"before": chart.over.start, "after": chart.over.end}.get(one.fill)
        if edge is not None:
            axes.axvspan(_day(at), _day(edge), color=colour, alpha=0.1, linewidth=0)
        if one.label:
            axes.text(_day(at), 0.98, f" {one.label}", transform=axes.get_xaxis_transform(), ha="left", va="top",
                      color=colour, fontsize=9.5, parse_math=False, clip_on=True)


def _values(lines: list[Line], stacked: bool) -> list[float]:
    if not stacked:
        return [value for line in lines for value in line.values if value is not None]
    sums: dict[float, float] = {}
    for line in lines:
        for at, value in zip(line.times, line.values, strict=True):
            sums[at] = sums.get(at, 0.0) + (value or 0.0)
    return list(sums.values())


def draw(chart: Chart) -> str:
    """The chart as one ``<svg>`` element."""
    figure = Figure(figsize=(chart.width / 72, chart.height / 72), dpi=72, layout="constrained")
    FigureCanvasSVG(figure)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)  # type: ignore[union-attr,call-arg]
    figure.patch.set_visible(False)
    left = figure.add_subplot()
    sides = [(left, chart.left, False)]
    if any(line.right for line in chart.lines):
        right = left.twinx()
        right.spines[["top", "left"]].set_visible(False)
        sides.append((right, chart.right, True))
    of = colours(chart.lines)
    for axes, axis, is_right in sides:
        mine = [(line, colour) for line, colour in zip(chart.lines, of, strict=True) if line.right == is_right]
        lines = [line for line, _ in mine]
        marked = [value for mark in chart.marks if mark.right == is_right for value in (mark.value, mark.end) if value is not None]
        _limits(axes, axis, [*_values(lines, chart.stacked), *marked])
        if chart.stacked and lines:
            _stack(axes, lines, [colour for _, colour in mine])
        else:
            for line, colour in mine:
                _draw(axes, line, colour)
        _label(axes, axis, lines)
        _annotate(axes, chart, is_right)
        axes.set_facecolor("none")
    _annotate_times(left, chart)
    left.set_xlim(_day(chart.over.start), _day(chart.over.end))
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=max(4, chart.width // 100))  # type: ignore[no-untyped-call]
    left.xaxis.set_major_locator(locator)
    left.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))  # type: ignore[no-untyped-call]
    left.spines[["top", "right", "left"]].set_visible(False)
    left.grid(axis="y", color=_PALE, linewidth=0.8)
    left.set_axisbelow(True)
    if not _values(chart.lines, False):
        left.text(0.5, 0.5, "no data in this time", transform=left.transAxes, ha="center", va="center", color=_GREY, fontsize=11)
    return svg(figure)


def spark(line: Line, colour: str, over: Range, width: int, height: int) -> str:
    """A line without axes."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.add_axes((0, 0.05, 1, 0.9))
    axes.set_axis_off()
    _draw(axes, line, colour)
    axes.set_xlim(_day(over.start), _day(over.end))
    _limits(axes, Axis(), _values([line], False))
    return svg(figure)


def svg(figure: Figure) -> str:
    """A figure as an element to be put into a page: no prolog, no metadata, no size of its own."""
    place = io.StringIO()
    figure.savefig(place, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = place.getvalue()
    element = text[text.index("<svg"):]
    head, rest = element.split(">", 1)
    kept = " ".join(part for part in head.split() if not part.startswith(("width=", "height=")))
    return f'{kept} role="img">{rest}'
