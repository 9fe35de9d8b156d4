"""The report's charts, as Vega-Lite specifications that carry their data and take their colours from the page's CSS."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from distill.report.content import DataSet, Model
from distill.report.tables import FORMATS, METRIC_NAMES, retained, title

SYMBOLS = {"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚"}
"""Vega's marks, and the characters that stand for them in the page's legend: colour is never the only difference."""
COLOURS = 8
"""The page's CSS has so many: --series-0 and on, then it begins again."""
HEIGHT = 260
"""Of a chart's plot, in pixels."""
ROW = 34
"""The least that a student has in the retention chart."""
REFERENCE = {"color": "var(--teacher)", "strokeDash": [5, 4], "opacity": 0.7}
"""The rule of a teacher."""


@dataclass(frozen=True)
class Chart:
    """A chart: what it is, how to read it, and its Vega-Lite specification."""

    title: str
    reading: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Series:
    """How a model looks in all charts of its data set."""

    name: str
    colour: str
    symbol: str
    glyph: str


def config() -> dict[str, Any]:
    """Vega's config for every chart: the page's type and colours, so that light, dark and print are the page's CSS alone."""
    text = {"labelColor": "var(--muted)", "titleColor": "var(--muted)"}
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": "var(--line)",
            "tickColor": "var(--line)",
            "gridColor": "var(--grid)",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelLimit": 110,
        },
    }


def series(data_set: DataSet) -> list[Series]:
    """A look for each model: the teachers in the colour of the text, the students in the palette's."""
    glyphs = list(SYMBOLS.items())
    found = []
    for number, model in enumerate(data_set.models):
        student = number - len(data_set.teachers)
        colour = f"var(--series-{student % COLOURS})" if model.teacher else "var(--teacher)"
        found.append(Series(_label(model), colour, *glyphs[number % len(glyphs)]))
    return found


def charts(data_set: DataSet) -> list[Chart]:
    """All charts of a data set that have something to show."""
    drawn = []
    if any(model.metrics for model in data_set.models):
        drawn.append(score_chart(data_set))
    if any("retention" in model.metrics for model in data_set.students):
        drawn.append(retention_chart(data_set))
    if any(run.losses for model in data_set.models for run in model.runs):
        drawn.append(loss_chart(data_set))
    if any(run.scores for model in data_set.models for run in model.runs):
        drawn.append(validation_chart(data_set))
    return drawn


def score_chart(data_set: DataSet) -> Chart:
    """Test score against parameters (logarithmic), the teachers' scores as dashed rules."""
    metric, name = data_set.metric, METRIC_NAMES[data_set.metric]
    points = [
        {
            "model": _label(model),
            "recipe": model.recipe,
            "parameters": model.parameters,
            "score": model.metrics[metric],
            "retention": retained(model),
        }
        for model in data_set.models
        if model.metrics
    ]
    score = _score("score", f"Test {name}", FORMATS[metric])
    rules = alt.Chart(_inline([point for point in points if point["recipe"] == "teacher"])).mark_rule(**REFERENCE).encode(y=score)
    scale, axis = alt.Scale(type="log", nice=False, padding=28), alt.Axis(format="~s", tickCount=5, grid=False)
    marks = _base(points, data_set).mark_point(size=130, filled=True, opacity=0.9)
    marks = marks.encode(
        x=alt.X("parameters:Q", title="Parameters (logarithmic)", scale=scale, axis=axis),
        y=score,
        shape=_shapes(data_set),
        tooltip=_tooltip(["model:N", "recipe:N", "retention:N"], {"parameters:Q": ",", "score:Q": FORMATS[metric]}),
    )
    reading = f"Test {name} against the number of parameters; the dashed line is the teacher."
    return _chart(f"{title(metric)} and size", reading, rules + marks)


def retention_chart(data_set: DataSet) -> Chart:
    """Each student's retention with its 95% interval, a rule at 100%."""
    rows = [
        {"model": _label(model)} | {name: model.metrics[name] for name in ("retention", "retention_low", "retention_high")}
        for model in data_set.students
        if "retention" in model.metrics
    ]
    base = _base(rows, data_set).encode(
        y=alt.Y("model:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelPadding=8)),
        tooltip=_tooltip(["model:N"], {"retention:Q": ".1%", "retention_low:Q": ".1%", "retention_high:Q": ".1%"}),
    )
    x = alt.X(
        "retention_low:Q",
        title="Share of the teacher's score",
        scale=alt.Scale(zero=False, padding=14),
        axis=alt.Axis(format=".2~%", tickCount=5, labelOverlap=True),
    )
    intervals = base.mark_rule(strokeWidth=3, strokeCap="round", opacity=0.55).encode(x=x, x2="retention_high:Q")
    points = base.mark_point(size=120, filled=True, opacity=1).encode(x="retention:Q", shape=_shapes(data_set))
    whole = alt.Chart(_inline([{"whole": 1}])).mark_rule(**REFERENCE).encode(x="whole:Q")
    reading = "The score of each student over its teacher's, with a 95% interval; the dashed line at 100% is the teacher."
    return _chart("Retention", reading, whole + intervals + points, height=max(HEIGHT, ROW * len(rows)))


def loss_chart(data_set: DataSet) -> Chart:
    """Training loss by step, a line for each seed."""
    points: list[dict[str, Any]] = [
        {"model": _label(model), "seed": run.seed, "step": step, "loss": loss, "seeds": len(model.runs)}
        for model in data_set.models
        for run in model.runs
        for step, loss in run.losses
    ]
    lines = _base(points, data_set).encode(
        x=alt.X("step:Q", title="Step", axis=alt.Axis(grid=False, tickCount=6)),
        y=alt.Y("loss:Q", title="Training loss", **_loss_axis([point["loss"] for point in points])),
        detail="seed:N",
        opacity=_faint(),
        tooltip=_tooltip(["model:N", "seed:N"], {"step:Q": ",", "loss:Q": ".4f"}),
    )
    reading = "Each recipe has a loss of its own: compare the shapes of the lines, not their heights. A line for each seed."
    return _chart("Training loss", reading, lines.mark_line(strokeWidth=1.8))


def validation_chart(data_set: DataSet) -> Chart:
    """Validation score by epoch, a line for each seed."""
    points = [
        {"model": _label(model), "seed": run.seed, "epoch": epoch, "score": score, "seeds": len(model.runs)}
        for model in data_set.models
        for run in model.runs
        for epoch, score in run.scores
    ]
    name, form = METRIC_NAMES[data_set.metric], FORMATS[data_set.metric]
    marks = _base(points, data_set).encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(grid=False, tickMinStep=1, format="d", tickCount=6)),
        y=_score("score", f"Validation {name}", form),
        detail="seed:N",
        opacity=_faint(),
        tooltip=_tooltip(["model:N", "seed:N"], {"epoch:Q": "~g", "score:Q": form}),
    )
    dots = marks.mark_point(size=45, filled=True).encode(shape=_shapes(data_set))
    reading = "The score on the validation split at the end of each epoch; the best epoch is kept. A line for each seed."
    return _chart("Validation", reading, marks.mark_line(strokeWidth=1.8) + dots)


def _label(model: Model) -> str:
    """A model's name in the charts: a teacher and a student may share theirs."""
    return model.name if model.teacher else f"{model.name} (teacher)"


def _base(rows: Sequence[dict[str, Any]], data_set: DataSet) -> alt.Chart:
    looks = series(data_set)
    scale = alt.Scale(domain=[look.name for look in looks], range=[look.colour for look in looks])
    return alt.Chart(_inline(rows)).encode(color=alt.Color("model:N", scale=scale, legend=None))


def _shapes(data_set: DataSet) -> alt.Shape:
    looks = series(data_set)
    scale = alt.Scale(domain=[look.name for look in looks], range=[look.symbol for look in looks])
    return alt.Shape("model:N", scale=scale, legend=None)


def _loss_axis(losses: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with two lines a decade, or a linear one if a loss is not above 0."""
    if min(losses) <= 0:
        return {"scale": alt.Scale(zero=False), "axis": alt.Axis(tickCount=5)}
    decades = range(math.floor(math.log10(min(losses))), math.ceil(math.log10(max(losses))) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 3)]
    return {"scale": alt.Scale(type="log", nice=False, padding=10), "axis": alt.Axis(values=ticks, format="~g")}


def _faint() -> Any:
    return alt.condition("datum.seeds > 1", alt.value(0.5), alt.value(0.95))


def _score(field: str, title: str, form: str) -> alt.Y:
    axis = alt.Axis(format=form, tickCount=5)
    return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=False, padding=14), axis=axis)


def _tooltip(names: Sequence[str], numbers: dict[str, str]) -> list[alt.Tooltip]:
    """Fields with their types (`score:Q`); numbers with their d3 formats."""
    formats = {**dict.fromkeys(names, ""), **numbers}
    return [alt.Tooltip(name, title=name[:-2].replace("_", " "), format=form) for name, form in formats.items()]


def _inline(rows: Sequence[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _chart(title: str, reading: str, drawn: Any, height: int = HEIGHT) -> Chart:
    spec = drawn.properties(
        width="container",
        height=height,
        description=f"{title}. {reading}",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    ).to_dict()
    return Chart(title, reading, spec)
