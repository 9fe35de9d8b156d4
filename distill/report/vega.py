"""What the charts have in common: Vega-Lite specifications carry their data and take their colours from the page's CSS."""

import functools
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from distill.report.parts import Chart, Series
from distill.report.records import DataSet

SYMBOLS = {"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚"}
"""Vega's marks, and the characters that stand for them in the page's legend: colour is never the only difference."""
COLOURS = 8
"""The page's CSS has so many: --series-0 and on, then it begins again."""
HEIGHT = 280
"""Of a chart's plot, in pixels."""
ROW = 34
"""The least that a row of names has."""
FONT = '"Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif'
"""That of the page's CSS: Vega measures its texts by it, and knows no CSS."""
RULE = {"color": "var(--teacher)", "strokeDash": [5, 4], "opacity": 0.7}
"""A line to compare with."""


@functools.cache
def script() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the installed package; it takes a second to make."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def config() -> dict[str, Any]:
    """Vega's config for every chart: the page's type and colours, so that light, dark and print are the page's CSS alone."""
    text = {"labelColor": "var(--muted)", "titleColor": "var(--muted)"}
    sizes = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    lines = {"domainColor": "var(--line)", "tickColor": "var(--line)", "gridColor": "var(--grid)"}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**text, **sizes, **lines, "titlePadding": 8, "labelLimit": 120},
        "legend": {**text, **sizes, "orient": "top", "title": None, "labelLimit": 220, "columnPadding": 18, "rowPadding": 6},
    }


def series(data_set: DataSet) -> list[Series]:
    """A look for each model: teachers in the colour of the text, students in the palette's, in their order, as in the answer."""
    glyphs, looks = list(SYMBOLS.items()), []
    for number, model in enumerate(data_set.models):
        student = number - len(data_set.teachers)
        colour = f"var(--series-{student % COLOURS})" if model.teacher else "var(--teacher)"
        looks.append(Series(model.label, colour, *glyphs[number % len(glyphs)]))
    return looks


def inline(rows: Sequence[dict[str, Any]]) -> alt.InlineData:
    """Data that stand in the specification."""
    return alt.InlineData(values=list(rows))


def base(rows: Sequence[dict[str, Any]], data_set: DataSet) -> alt.Chart:
    """A chart of rows that each have a `model`, in its colour."""
    looks = series(data_set)
    scale = alt.Scale(domain=[look.name for look in looks], range=[look.colour for look in looks])
    return alt.Chart(inline(rows)).encode(color=alt.Color("model:N", scale=scale, legend=None))


def shapes(data_set: DataSet) -> alt.Shape:
    """The symbol of each `model`."""
    looks = series(data_set)
    scale = alt.Scale(domain=[look.name for look in looks], range=[look.symbol for look in looks])
    return alt.Shape("model:N", scale=scale, legend=None)


def names() -> alt.Y:
    """A row a model, in the order of the data."""
    return alt.Y("model:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelPadding=8))


def tooltip(fields: Sequence[str], numbers: dict[str, str]) -> list[alt.Tooltip]:
    """Fields with their types (`score:Q`); numbers with their d3 formats."""
    formats = {**dict.fromkeys(fields, ""), **numbers}
    return [alt.Tooltip(name, title=name[:-2].replace("_", " "), format=form) for name, form in formats.items()]


def finish(title: str, reading: str, drawn: Any, height: int = HEIGHT) -> Chart:
    """As wide as the page has room, and described for those who cannot see it."""
    spec = drawn.properties(
        width="container",
        height=height,
        description=f"{title}. {reading}",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    ).to_dict()
    return Chart(title, reading, spec)
