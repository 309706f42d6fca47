"""Dashboards: a deployed dashboard is drawn from the stored metrics, and an unsupported property is
rejected with a message.
"""

from __future__ import annotations

import html
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
import yaml
from conftest import REGION, SOURCE, TARGET, Gateway
from queues import make_queue
from stacks import Stack

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
HOSTILE = "<script>alert('&')</script> $x^2$ \"q\""
PERIOD = 300


def metric(*rows: list[Any], **properties: Any) -> dict[str, Any]:
    return {"type": "metric", "properties": {"metrics": list(rows), "stat": "Sum", "period": PERIOD, **properties}}


def number(*rows: list[Any], **properties: Any) -> dict[str, Any]:
    """A widget whose numbers can be read in the page."""
    return metric(*rows, view="singleValue", setPeriodToTimeRange=True, **properties)


def put(gateway: Gateway, namespace: str, name: str, value: float, dimensions: dict[str, str] | None = None, unit: str = "None",
        ago: float = 0, account: str = TARGET, region: str = REGION) -> None:
    gateway.client("cloudwatch", account, region=region).put_metric_data(Namespace=namespace, MetricData=[{
        "MetricName": name, "Value": value, "Unit": unit, "Timestamp": datetime.fromtimestamp(time.time() - ago, UTC),
        "Dimensions": [{"Name": key, "Value": one} for key, one in (dimensions or {}).items()]}])


def deployed(gateway: Gateway, name: str, *widgets: dict[str, Any], query: str = "") -> tuple[int, str]:
    """Deploy a dashboard and return its page."""
    gateway.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=json.dumps({"widgets": list(widgets)}))
    return page(gateway, name, query)


def page(gateway: Gateway, name: str, query: str = "") -> tuple[int, str]:
    answer = gateway.raw("GET", f"{gateway.url}/_sluice/dashboard/{quote(name)}{query}")
    text = answer.data.decode()
    if answer.headers["content-type"].startswith("text/html"):
        for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            ElementTree.fromstring(picture)
    return answer.status, text


def numbers(text: str) -> dict[str, str]:
    return {html.unescape(label): value for label, value in re.findall(r"<span>([^<]*)</span><strong>([^ ]*) ", text)}


def wrong(text: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'<p class="wrong">([^<]*)</p>', text)]


def legend(text: str) -> dict[str, str]:
    return {html.unescape(label): value for label, value in
            re.findall(r'<div title="([^"]*)"><i style="[^"]*"></i>[^<]*<span class="quiet">([^<]*)</span>', text)}


# --- Rows of metrics ---


def test_dots_in_a_row_stand_for_what_the_row_before_has(gateway: Gateway) -> None:
    for job, value in (("a", 1), ("b", 2), ("c", 4)):
        put(gateway, "gw/dots", "Files", value, {"Job": job, "Kind": "x"})
    put(gateway, "gw/dots", "Rows", 8, {"Job": "c", "Kind": "x"})
    status, text = deployed(gateway, "gw-dots", number(
        ["gw/dots", "Files", "Job", "a", "Kind", "x", {"label": "first"}], ["...", "b", ".", "x", {"label": "second"}],
        [".", ".", ".", "c", ".", ".", {"label": "third"}], [".", "Rows", "...", {"label": "fourth"}], ["...", {"label": "again"}]))
    assert (status, numbers(text)) == (200, {"first": "1", "second": "2", "third": "4", "fourth": "8", "again": "8"})


@pytest.mark.parametrize(("rows", "sentence"), [
    ([["...", "x"]], "row 1 of metrics has '...', but the row before has nothing to repeat there."),
    ([["."]], "row 1 of metrics has '.' where the row before has nothing."),
    ([["gw", "m"], [".", ".", "."]], "row 2 of metrics has '.' where the row before has nothing."),
    ([["gw", "m", "Job"]], "row 1 of metrics must be namespace, name and pairs of dimensions, or an expression alone, found ['gw', 'm', 'Job']."),
    ([["gw", "m", {"colour": "#ff0000"}]], "row 1 of metrics has 'colour', which is misspelt or not drawn here; known are color, "
     "expression, id, label, period, region, stat, visible, yAxis."),
    ([["gw", "m", {"color": "red;position:fixed"}]], "a color must be six hexadecimal digits behind #, found 'red;position:fixed'."),
    ([["gw", "m", {"stat": "tm99"}]], "row 1 of metrics has the statistic 'tm99', which is not computed here."),
    ([], "widget 1 has neither metrics nor an alarm to show."),
])
def test_rows_that_mean_nothing_are_refused_with_a_sentence(gateway: Gateway, rows: list[Any], sentence: str) -> None:
    status, text = deployed(gateway, "gw-bad-rows", metric(*rows))
    assert (status, wrong(text)) == (422, [sentence])


def test_a_metric_that_nobody_sent_is_shown_as_without_data(gateway: Gateway) -> None:
    put(gateway, "gw/missing", "There", 3)
    status, text = deployed(gateway, "gw-missing", metric(["gw/missing", "There"], ["gw/missing", "Not"]), metric(["gw/missing", "Not"]),
                        number(["gw/missing", "Not", {"label": "n"}]))
    assert status == 200
    assert legend(text) == {"There": "3", "Not": "no data"}
    assert text.count("no data in this time") == 1
    assert numbers(text) == {"n": "–"}


def test_labels_are_chosen_by_what_differs_and_may_hold_values(gateway: Gateway) -> None:
    for job, value in (("a", 20), ("b", 1234)):
        put(gateway, "gw/labels", "Files", value, {"Job": job})
    _, text = deployed(gateway, "gw-labels", metric(
        ["gw/labels", "Files", "Job", "a"], ["...", "b"], ["...", {"label": "${PROP('Dim.Job')}: ${MAX} of ${LABEL}", "stat": "Maximum"}]))
    assert legend(text) == {"a Sum": "20", "b Sum": "1234", "b: 1234 of b Maximum": "1234"}
    status, text = deployed(gateway, "gw-labels", metric(["gw/labels", "Files", "Job", "a", {"label": "${FIRST}"}]))
    assert status == 422 and wrong(text)[0].startswith("a label has ${FIRST}, which is not imitated")


def test_row_settings_override_those_of_the_widget(gateway: Gateway) -> None:
    for value in (2.0, 4.0, 9.0):
        put(gateway, "gw/stats", "M", value)
    put(gateway, "gw/stats", "M", 70, region="eu-west-1")
    _, text = deployed(gateway, "gw-stats", number(
        ["gw/stats", "M", {"label": "sum"}], ["...", {"label": "mean", "stat": "Average"}], ["...", {"label": "count", "stat": "SampleCount"}],
        ["...", {"label": "median", "stat": "p50"}], ["...", {"label": "there", "region": "eu-west-1"}]))
    assert numbers(text) == {"sum": "15", "mean": "5", "count": "3", "median": "4", "there": "70"}
    put(gateway, "gw/stats", "Old", 1, ago=2 * 3600)
    _, text = deployed(gateway, "gw-stats", number(["gw/stats", "Old", {"label": "old"}]))
    assert numbers(text) == {"old": "–"}
    _, text = page(gateway, "gw-stats", "?minutes=180")
    assert numbers(text) == {"old": "1"}


# --- Expressions ---


def test_expressions_are_computed_whatever_the_order_of_the_rows(gateway: Gateway) -> None:
    for name, value in (("Good", 6), ("Bad", 2)):
        put(gateway, "gw/maths", name, value)
    _, text = deployed(gateway, "gw-maths", metric(
        [{"expression": "share * 100", "id": "percent", "label": "percent"}], [{"expression": "bad / all", "id": "share", "visible": False}],
        [{"expression": "SUM([good, bad])", "id": "all", "label": "all"}], ["gw/maths", "Good", {"id": "good", "visible": False}],
        [".", "Bad", {"id": "bad", "visible": False}], [".", "None", {"id": "none", "visible": False}],
        [{"expression": "FILL(none, 0) + bad", "label": "filled"}]))
    assert legend(text) == {"percent": "25", "all": "8", "filled": "2"}


def test_a_search_draws_each_metric_that_it_finds_or_their_sum(gateway: Gateway) -> None:
    for job, value in (("a", 1), ("b", 2)):
        put(gateway, "gw/search", "Files", value, {"Job": job})
        put(gateway, "gw/search", "Rows", 10, {"Job": job})
        put(gateway, "gw/search", "Files", 100, {"Job": job, "Kind": "x"})
    search = "SEARCH('{gw/search,Job} MetricName=\"Files\"%s', 'Sum', 300)"
    _, text = deployed(gateway, "gw-search", metric(
        [{"expression": search % "", "label": "${PROP('Dim.Job')}"}], [{"expression": f"SUM({search % ''})", "label": "all"}],
        [{"expression": search % ' AND Job="b"', "label": "one"}]))
    assert legend(text) == {"a": "1", "b": "2", "all": "3", "one": "2"}


@pytest.mark.parametrize(("expression", "sentence"), [
    ("ANOMALY_DETECTION_BAND(m1, 2)", "the local cloud does not imitate ANOMALY_DETECTION_BAND in a metric expression."),
    ("m1 ** 2", "the local cloud does not imitate 'm1 ** 2' in a metric expression."),
    ("m1 +", "'m1 +' cannot be read as a metric expression: invalid syntax."),
    ("nowhere + 1", "the local cloud does not imitate 'nowhere' in a metric expression."),
    ("self * 2", "the expression 'self * 2' names itself, or a SEARCH."),
    ("m1 + m2", "'m1 + m2' takes metrics of different periods (60, 300), which is not imitated."),
    ("__import__('os').system('x')", "the local cloud does not imitate \"__import__('os').system('x')\" in a metric expression."),
    ("SEARCH('Files', 'Sum')", "the local cloud imitates SEARCH with a schema in braces only, found 'Files'."),
    ("SEARCH('{gw/maths} MetricName=(A OR B)', 'Sum')", "the local cloud does not imitate 'MetricName=(A OR B)' in SEARCH; supported are terms "
     "like MetricName=\"Name\"."),
])
def test_unsupported_expression_is_rejected_with_a_message(gateway: Gateway, expression: str, sentence: str) -> None:
    status, text = deployed(gateway, "gw-bad-maths", metric(["gw/maths", "M", {"id": "m1"}], ["gw/maths", "M", {"id": "m2", "period": 60}],
                                                        [{"expression": expression, "id": "self"}]))
    assert (status, wrong(text)) == (422, [sentence])


# --- Pictures ---


def points_of(text: str) -> list[list[tuple[float, float]]]:
    """The corners of lines that are drawn in a colour of the palette, by picture order."""
    found = []
    for path, style in re.findall(r'<path d="([^"]*)"[^>]*style="([^"]*)"', text):
        if "fill: none" in style and re.search(r"stroke: #(1f77b4|ff7f0e)", style) and "stroke-dasharray" not in style:
            found.append([(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", path)])
    return found


def test_a_line_goes_where_the_values_are(gateway: Gateway) -> None:
    for ago, value in ((1800, 1.0), (1500, 4.0), (1200, 2.0)):
        put(gateway, "gw/line", "M", value, ago=ago)
    _, text = deployed(gateway, "gw-line", metric(["gw/line", "M"], yAxis={"left": {"min": 0, "max": 4}}))
    (corners,) = [one for one in points_of(text) if len(one) > 1]
    xs, ys = zip(*corners, strict=True)
    assert len(corners) == 3 and abs((xs[1] - xs[0]) - (xs[2] - xs[1])) < 0.01
    # SVG counts downwards: from 1 to 4 is three quarters of the axis up, from 4 to 2 one half down.
    assert (ys[0] - ys[1]) / (ys[2] - ys[1]) == pytest.approx(1.5, abs=0.001)


def test_a_value_between_gaps_is_a_dot(gateway: Gateway) -> None:
    for ago in (2400, 600):
        put(gateway, "gw/dot", "M", 5, ago=ago)
    _, text = deployed(gateway, "gw-dot", metric(["gw/dot", "M", {"color": "#123456"}]))
    assert len(re.findall(r'<use [^>]*fill: #123456', text)) == 2


def test_stacked_areas_axes_and_annotations_are_drawn(gateway: Gateway) -> None:
    for ago in (900, 600, 300):
        put(gateway, "gw/more", "A", 10, unit="Count", ago=ago)
        put(gateway, "gw/more", "B", 5, unit="Seconds", ago=ago)
    moment = datetime.fromtimestamp(time.time() - 600, UTC).isoformat()
    status, text = deployed(
        gateway, "gw-more", metric(["gw/more", "A"], [".", "B", {"yAxis": "right"}], title="sides"),
        metric(["gw/more", "A"], [".", "B"], stacked=True, yAxis={"left": {"label": "together"}}),
        metric(["gw/more", "A"], annotations={"horizontal": [{"value": 12, "label": "limit", "fill": "above"}, [{"value": 2, "label": "band"}, {"value": 3}]],
                                              "vertical": [{"value": moment, "label": "deployed"}]}))
    assert status == 200
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert {"Count", "Seconds", "together", "limit", "band"} <= set(shown) and any(one.strip() == "deployed" for one in shown)
    assert legend(text)["B"] in ("5", "5 (right)")


def test_queues_are_measured_when_somebody_looks(gateway: Gateway) -> None:
    queue = make_queue(gateway, "gw-dash-queue")
    queue.client.send_message(QueueUrl=queue.url, MessageBody="x")
    _, text = deployed(gateway, "gw-queue", number(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "gw-dash-queue", {"label": "waiting"}],
                                               stat="Maximum"))
    assert numbers(text) == {"waiting": "1"}


def test_bars_compare_values(gateway: Gateway) -> None:
    for name, value in (("A", 10), ("B", 5)):
        put(gateway, "gw/bars", name, value)
    _, text = deployed(gateway, "gw-bars", metric(["gw/bars", "A"], [".", "B"], view="bar"))
    assert re.findall(r"width:([\d.]+)%", text)[-2:] == ["100.00", "50.00"]


# --- Alarms and texts ---


def alarm(gateway: Gateway, name: str, state: str, account: str = TARGET) -> str:
    client = gateway.client("cloudwatch", account)
    client.put_metric_alarm(AlarmName=name, Namespace="gw/dash", MetricName="M", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=7,
                            ComparisonOperator="GreaterThanThreshold")
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test says so")
    return str(client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["AlarmArn"])


def test_alarms_are_sorted_by_the_worst_state(gateway: Gateway) -> None:
    good, bad, foreign = alarm(gateway, "gw-d-a", "OK"), alarm(gateway, "gw-d-b", "ALARM"), alarm(gateway, "gw-d-c", "INSUFFICIENT_DATA", SOURCE)
    client = gateway.client("cloudwatch")
    client.put_composite_alarm(AlarmName="gw-d-all", AlarmRule='ALARM("gw-d-b")')
    whole = client.describe_alarms(AlarmNames=["gw-d-all"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    arns = [good, bad, foreign, whole["AlarmArn"]]

    def states_of(**properties: Any) -> list[tuple[str, str]]:
        status, text = deployed(gateway, "gw-alarms", {"type": "alarm", "properties": {"alarms": arns, **properties}})
        assert status == 200
        return re.findall(r"<b>([^<]*)</b><small style=[^>]*>([^<]*)<", text)

    shown = states_of()
    assert sorted(shown) == sorted([("gw-d-a", "OK"), ("gw-d-b", "ALARM"), ("gw-d-c", "insufficient data"), ("gw-d-all", whole["StateValue"])])
    assert shown[-1] == ("gw-d-a", "OK") and ("gw-d-b", "ALARM") in shown[:2]
    assert ("gw-d-a", "OK") not in states_of(states=["ALARM"])


def test_alarm_annotation_adds_metric_and_threshold(gateway: Gateway) -> None:
    put(gateway, "gw/dash", "M", 3)
    _, text = deployed(gateway, "gw-alarm-line", {"type": "metric", "properties": {"annotations": {"alarms": [alarm(gateway, "gw-d-line", "OK")]}}})
    assert legend(text) == {"M": "3"} and ">gw-d-line 7</text>" in text


def test_missing_alarm_is_reported(gateway: Gateway) -> None:
    arn = f"arn:aws:cloudwatch:{REGION}:{TARGET}:alarm:gw-nowhere"
    for widget in ({"type": "alarm", "properties": {"alarms": [arn]}}, {"type": "metric", "properties": {"annotations": {"alarms": [arn]}}}):
        status, text = deployed(gateway, "gw-no-alarm", widget)
        assert (status, wrong(text)) == (422, [f"there is no alarm {arn}."])


def test_a_text_is_markdown_and_fetches_nothing(gateway: Gateway) -> None:
    _, text = deployed(gateway, "gw-text", {"type": "text", "properties": {
        "markdown": "# Head\n\n*fine* `code` [link](https://example.com) ![picture](https://example.com/x.png) [bad](javascript:alert(1)) <b>raw</b>\n\n"
                    "| a | b |\n|---|---|\n| 1 | 2 |"}})
    assert "<h1>Head</h1>" in text and "<em>fine</em>" in text and "<td>2</td>" in text and '<a href="https://example.com">link</a>' in text
    assert "<img" not in text and "javascript:alert(1)\"" not in text and "&lt;b&gt;raw" in text


# --- The page ---


@pytest.mark.parametrize(("widget", "sentence"), [
    ({"type": "log", "properties": {"query": "x"}}, "widget 1 has the type 'log', which is not drawn here; known are metric, alarm, text."),
    ({"type": "metric", "properties": {"metrics": [["a", "b"]], "view": "pie"}}, "the view 'pie' is not drawn; known are timeSeries, singleValue, bar."),
    ({"type": "metric", "properties": {"metrics": [["a", "b"]], "titel": "x"}}, "widget 1 has 'titel', which is misspelt or not drawn here; known are "
     "annotations, legend, liveData, metrics, period, region, setPeriodToTimeRange, singleValueFullPrecision, sparkline, stacked, stat, timezone, title, view, yAxis."),
    ({"type": "text", "x": 20, "y": 0, "properties": {"markdown": "x"}}, "widget 1: x 20 and width 6 reach over the 24 columns of the grid."),
    ({"type": "text", "x": 1, "properties": {"markdown": "x"}}, "widget 1: x and y come together."),
    ({"type": "text", "width": 25, "properties": {"markdown": "x"}}, "widget 1: width must be a whole number from 1 to 24, found 25."),
])
def test_a_widget_that_is_not_drawn_is_refused_with_one_sentence(gateway: Gateway, widget: dict[str, Any], sentence: str) -> None:
    status, text = deployed(gateway, "gw-refused", widget)
    assert (status, wrong(text)) == (422, [sentence])


def test_one_widget_that_is_refused_leaves_the_others(gateway: Gateway) -> None:
    put(gateway, "gw/beside", "M", 3)
    status, text = deployed(gateway, "gw-beside", number(["gw/beside", "M", {"label": "here"}]), {"type": "log", "properties": {}})
    assert status == 422 and len(wrong(text)) == 1 and numbers(text) == {"here": "3"}


def test_widgets_take_the_first_free_place_of_24_columns(gateway: Gateway) -> None:
    def text(**more: Any) -> dict[str, Any]:
        return {"type": "text", "properties": {"markdown": "x"}, **more}

    _, found = deployed(gateway, "gw-grid", text(x=18, y=2, width=6, height=3), text(width=16, height=2), text(), text(width=24, height=1), text(width=8, height=1))
    places = re.findall(r"grid-column:(\d+)/span (\d+);grid-row:(\d+)/span (\d+)", found)
    assert places == [("19", "6", "3", "3"), ("1", "16", "1", "2"), ("1", "6", "3", "6"), ("1", "24", "9", "1"), ("17", "8", "1", "1")]
    assert "repeat(24, minmax(0, 1fr))" in found
    status, found = deployed(gateway, "gw-grid", text(x=0, y=0), text(x=5, y=5))
    assert (status, wrong(found)) == (422, ["widget 2 lies over another widget at column 5, row 5."])


def test_hostile_names_are_text(gateway: Gateway) -> None:
    put(gateway, "gw/hostile", "M", 1, {"Job": HOSTILE})
    put(gateway, "gw/hostile", HOSTILE, 1)
    arn = alarm(gateway, f"gw {HOSTILE}", "OK")
    mark = {"horizontal": [{"value": 1, "label": HOSTILE}]}
    status, text = deployed(
        gateway, "gw-hostile", metric(["gw/hostile", "M", "Job", HOSTILE], [".", HOSTILE], [".", "M", {"label": HOSTILE}], title=HOSTILE, annotations=mark,
                                      yAxis={"left": {"label": HOSTILE}}),
        number(["gw/hostile", HOSTILE]), metric(["gw/hostile", "M", "Job", HOSTILE], view="bar"), {"type": "alarm", "properties": {"alarms": [arn]}},
        {"type": "text", "properties": {"markdown": HOSTILE}}, {"type": HOSTILE, "properties": {"title": HOSTILE}})
    assert status == 422 and len(wrong(text)) == 1
    assert "<script" not in text and "onload" not in text
    # The label of an axis is drawn unchanged and not parsed as mathematics.
    assert HOSTILE in [html.unescape(one) for one in re.findall(r"<text[^>]*>([^<]*)</text>", text)]


def test_a_page_needs_nothing_else_and_may_not_fetch_anything(gateway: Gateway) -> None:
    put(gateway, "gw/alone", "M", 1)
    gateway.client("cloudwatch").put_dashboard(DashboardName="gw-alone", DashboardBody=json.dumps({"widgets": [metric(["gw/alone", "M"])]}))
    answer = gateway.raw("GET", f"{gateway.url}/_sluice/dashboard/gw-alone")
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    text = answer.data.decode()
    assert "<svg" in text and not re.search(r'(src|(?<!xlink:)href)="(?!#|/_sluice/)', text) and "@import" not in text and "url(http" not in text


def test_invalid_dashboard_body_is_reported(gateway: Gateway) -> None:
    for given, sentence in (("{", "the body is not JSON"), ("[]", "the body must be an object"), ("{}", "widgets must be a list, found None")):
        gateway.client("cloudwatch").put_dashboard(DashboardName="gw-body", DashboardBody=given)
        status, text = page(gateway, "gw-body")
        assert status == 422 and wrong(text)[0].startswith(sentence)


def test_dashboards_of_all_accounts_are_listed(gateway: Gateway) -> None:
    for account in (SOURCE, TARGET):
        gateway.client("cloudwatch", account).put_dashboard(DashboardName="gw-twice", DashboardBody=json.dumps({"widgets": []}))
    listed = gateway.raw("GET", f"{gateway.url}/_sluice/dashboards").data.decode()
    links = [html.unescape(one) for one in re.findall(r'href="(/_sluice/dashboard/gw-twice[^"]*)"', listed)]
    assert len(links) == 2
    for link in links:
        assert gateway.raw("GET", gateway.url + link).status == 200
    status, text = page(gateway, "gw-twice")
    assert status == 400 and all(link in json.loads(text)["message"] for link in links)
    assert page(gateway, "gw-twice", f"?account={SOURCE}")[0] == 200
    assert page(gateway, "gw-nowhere")[0] == 404
    for minutes in ("0", "x", "20161", "-5"):
        assert page(gateway, "gw-twice", f"?account={SOURCE}&minutes={minutes}")[0] == 400


# --- Dashboards of the templates ---


class _Template(yaml.SafeLoader):
    """A template with CloudFormation's short forms as their long ones."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    value = (loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else
             loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node, deep=True))
    return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}


_Template.add_multi_constructor("!", _short)


def dashboards() -> list[tuple[str, str, Any]]:
    found = []
    for path in sorted(TEMPLATES.glob("*.yaml")):
        resources = yaml.load(path.read_text(), _Template)["Resources"]
        found += [(path.stem, name, one["Properties"]["DashboardBody"]) for name, one in resources.items()
                  if one["Type"] == "AWS::CloudWatch::Dashboard"]
    return found


def test_there_are_dashboards_in_our_templates() -> None:
    assert [name for name, _, _ in dashboards()]


def stand_for(asked: str, name: str) -> str:
    """A value for a reference in a template: a number for a time, else a name."""
    return "600" if asked.endswith(("Seconds", "Days", "Minutes", "Hours")) else f"gw-{name}"


@pytest.mark.parametrize(("template", "name", "body"), [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in dashboards()])
def test_every_dashboard_of_our_templates_is_drawn_whole(gateway: Gateway, template: str, name: str, body: Any) -> None:
    """A template's dashboard, with alarms, names and numbers in place of its references."""
    source = body["Fn::Sub"]
    text, values = source if isinstance(source, list) else (source, {})
    resources: dict[str, Any] = {}
    for asked in sorted(set(re.findall(r"\$\{([^}!][^}]*)\}", text)) - set(values)):
        key = asked.replace(".", "").replace("::", "")
        if asked.endswith("Alarm.Arn"):
            resources[key] = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
                "Namespace": "gw/ours", "MetricName": "M", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
                "ComparisonOperator": "GreaterThanThreshold"}}
            text = text.replace(f"${{{asked}}}", f"${{{key}.Arn}}")
        elif not asked.startswith("AWS::"):
            text = text.replace(f"${{{asked}}}", stand_for(asked, key))
    for asked in values:
        text = text.replace(f"${{{asked}}}", stand_for(asked, asked))
    resources["Ours"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": {"Fn::Sub": text}}}
    with Stack(gateway, f"gw-ours-{template}") as stack:
        made = stack.create({"Resources": resources, "Outputs": {"Name": {"Value": {"Ref": "Ours"}}}})
        assert made["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        status, shown = page(gateway, stack.outputs()["Name"])
    assert (wrong(shown), status) == ([], 200)
