"""The report's charts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import altair as alt

from distill.report.metric_names import FORMATS, METRIC_NAMES
from distill.report.parts import Chart
from distill.report.records import DataSet, Model, Run
from distill.report.vega import HEIGHT, ROW, RULE, base, finish, inline, names, shapes, tooltip

FEWEST = 5
"""Predictions of like confidence: of fewer, the share that is right says nothing."""
FORMS = {
    "torch-fp32": ("torch fp32", 0, "circle"),
    "torch-bf16": ("torch bf16", 3, "triangle-up"),
    "onnx-fp32": ("ONNX fp32", 2, "square"),
    "onnx-int8": ("ONNX INT8", 1, "diamond"),
}
"""Of each format its name, the number of its colour (--series-N), and its mark."""
EPOCHS = 12
"""Up to so many an axis names each."""


def retention_chart(data_set: DataSet) -> Chart | None:
    """Each student's retention with its 95% interval, a rule at 100%."""
    rows = [
        {"model": model.label} | {name: model.metrics[name] for name in ("retention", "retention_low", "retention_high")}
        for model in data_set.students
        if "retention" in model.metrics
    ]
    if not rows:
        return None
    both = base(rows, data_set).encode(
        y=names(),
        tooltip=tooltip(["model:N"], {"retention:Q": ".1%", "retention_low:Q": ".1%", "retention_high:Q": ".1%"}),
    )
    scale, axis = alt.Scale(zero=False, padding=14), alt.Axis(format=".2~%", tickCount=5, labelOverlap=True)
    x = alt.X("retention_low:Q", title="Share of the teacher's score", scale=scale, axis=axis)
    intervals = both.mark_rule(strokeWidth=3, strokeCap="round", opacity=0.55).encode(x=x, x2="retention_high:Q")
    points = both.mark_point(size=120, filled=True, opacity=1).encode(x="retention:Q", shape=shapes(data_set))
    whole = alt.Chart(inline([{"whole": 1}])).mark_rule(**RULE).encode(x="whole:Q")
    reading = "The score of each student over its teacher's, with a 95% interval; the dashed line at 100% is the teacher."
    return finish("Retention", reading, whole + intervals + points, height=_rows(len(rows)))


def loss_chart(data_set: DataSet) -> Chart | None:
    """Training loss by step, a line for each seed."""
    points = _points(data_set.models, "step", "loss", lambda run: run.losses)
    if not points:
        return None
    lines = _curves(points, data_set, {"step:Q": ",", "loss:Q": ".4f"}).encode(
        x=alt.X("step:Q", title="Step", axis=alt.Axis(grid=False, tickCount=6)),
        y=alt.Y("loss:Q", title="Training loss", **_loss_axis([point["loss"] for point in points])),
    )
    reading = "Each recipe has a loss of its own: compare the shapes of the lines, not their heights. A line for each seed."
    return finish("Training loss", reading, lines.mark_line(strokeWidth=1.8))


def validation_chart(data_set: DataSet) -> Chart | None:
    """Validation score by epoch, a line for each seed."""
    points = _points([model for model in data_set.models if model.metrics], "epoch", "score", lambda run: run.scores)
    if not points:
        return None
    name, form = METRIC_NAMES[data_set.metric], FORMATS[data_set.metric]
    scale, last = alt.Scale(zero=False, padding=14), round(max(point["epoch"] for point in points))
    ticks = {"values": list(range(1, last + 1))} if last <= EPOCHS else {"tickCount": 6}
    marks = _curves(points, data_set, {"epoch:Q": "~g", "score:Q": form}).encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(grid=False, format="d", **ticks)),
        y=alt.Y("score:Q", title=f"Validation {name}", scale=scale, axis=alt.Axis(format=form, tickCount=5)),
    )
    dots = marks.mark_point(size=45, filled=True).encode(shape=shapes(data_set))
    reading = "The score on the validation split at the end of each epoch; the best epoch is kept. A line for each seed."
    return finish("Validation", reading, marks.mark_line(strokeWidth=1.8) + dots)


def calibration_chart(data_set: DataSet) -> Chart | None:
    """How often each model is right, by how sure it is."""
    points: list[dict[str, Any]] = [
        {"model": model.label, "confidence": part.confidence, "right": part.accuracy, "rows": part.count}
        for model in data_set.models
        if model.detail is not None
        for part in model.detail.calibration
        if part.count >= FEWEST
    ]
    if not points:
        return None
    low = math.floor(10 * min(min(point["confidence"], point["right"]) for point in points)) / 10
    scale, axis = alt.Scale(zero=False, nice=False, domain=[low, 1]), alt.Axis(format="%", tickCount=5)
    marks = base(points, data_set).encode(
        x=alt.X("confidence:Q", title="How sure the model is", scale=scale, axis=axis),
        y=alt.Y("right:Q", title="How often it is right", scale=scale, axis=axis),
        tooltip=tooltip(["model:N"], {"confidence:Q": ".1%", "right:Q": ".1%", "rows:Q": ","}),
    )
    sizes = alt.Size("rows:Q", scale=alt.Scale(type="sqrt", range=[25, 320]), legend=None)
    dots = marks.mark_point(filled=True, opacity=0.85, clip=False).encode(shape=shapes(data_set), size=sizes)
    ideal = alt.Chart(inline([{"x": low, "y": low}, {"x": 1, "y": 1}])).mark_line(strokeWidth=1, **RULE).encode(x="x:Q", y="y:Q")
    reading = (
        "On the dashed line a model is as often right as it thinks; below it, it is too sure. Larger marks stand for more "
        f"predictions, of which fewer than {FEWEST} are left out."
    )
    return finish("Confidence and truth", reading, ideal + marks.mark_line(strokeWidth=1.2, opacity=0.5) + dots, height=340)


def coverage_chart(data_set: DataSet) -> Chart | None:
    """How often each student is right on the rows that it is surest of, by their share."""
    rows = [
        {"model": model.label, "answered": point.share, "right": point.right}
        for model in data_set.students
        if model.detail is not None
        for point in model.detail.coverage
    ]
    if not rows:
        return None
    scale = alt.Scale(zero=False, padding=10)
    lines = base(rows, data_set).encode(
        x=alt.X("answered:Q", title="Share of rows answered, the surest first", axis=alt.Axis(format="%", tickCount=5)),
        y=alt.Y("right:Q", title="Share of them that is right", scale=scale, axis=alt.Axis(format=".3~%", tickCount=5)),
        tooltip=tooltip(["model:N"], {"answered:Q": ".1%", "right:Q": ".1%"}),
    )
    dots = lines.mark_point(filled=True, size=45).encode(shape=shapes(data_set))
    reading = (
        "A student that answers only what it is surest of is right more often; a line that stays high can send on what is left."
    )
    return finish("Coverage and risk", reading, lines.mark_line(strokeWidth=1.8) + dots, height=340)


def disagreement_chart(data_set: DataSet) -> Chart | None:
    """What each student alone has right, to the right; what its teacher alone has right, to the left."""
    rows = []
    for model in data_set.students:
        if model.detail and (counts := model.detail.agreement):
            total = sum(asdict(counts).values())
            for only, count, sign in (("the student", counts.student_only, 1), ("the teacher", counts.teacher_only, -1)):
                rows.append({"model": model.label, "only": only, "rows": count, "share": sign * count / total})
    if not rows:
        return None
    scale = alt.Scale(domain=["the teacher", "the student"], range=["var(--series-1)", "var(--series-0)"])
    axis = alt.Axis(format=".2~%", tickCount=5, labelExpr="format(abs(datum.value), '.2~%')", labelOverlap=True)
    bars = (
        alt.Chart(inline(rows))
        .mark_bar(height=16, cornerRadiusEnd=3)
        .encode(
            x=alt.X("share:Q", title="Share of all", axis=axis),
            y=names(),
            color=alt.Color("only:N", scale=scale, legend=alt.Legend(labelExpr="'right alone: ' + datum.label")),
            tooltip=tooltip(["model:N", "only:N"], {"rows:Q": ","}),
        )
    )
    zero = alt.Chart(inline([{"zero": 0}])).mark_rule(color="var(--line)").encode(x="zero:Q")
    reading = "What only one of the two has right: on the left what the student loses, on the right what it wins."
    return finish("Won and lost against the teacher", reading, bars + zero, height=_rows(len(rows) // 2))


def latency_chart(data_set: DataSet) -> Chart | None:
    """The median time of a row of each model in each format, with its 95% interval."""
    rows = [
        {"model": model.label, "format": FORMS[form.name][0], "ms": form.p50, "low": form.p50_low, "high": form.p50_high}
        for model in data_set.models
        for form in model.formats
    ]
    if not rows:
        return None
    used = [look for look in FORMS.values() if any(row["format"] == look[0] for row in rows)]
    drawn, legend = [name for name, _, _ in used], alt.Legend(symbolOpacity=1)
    colours = alt.Scale(domain=drawn, range=[f"var(--series-{number})" for _, number, _ in used])
    colour = alt.Color("format:N", scale=colours, legend=legend)
    shape = alt.Shape("format:N", scale=alt.Scale(domain=drawn, range=[mark for _, _, mark in used]), legend=legend)
    x = alt.X("ms:Q", title="Milliseconds a row, median (logarithmic)", scale=alt.Scale(type="log", nice=False, padding=18))
    x = x.axis(format="~g", tickCount=5, labelOverlap=True)
    marks = alt.Chart(inline(rows)).encode(
        y=names(), color=colour, tooltip=tooltip(["model:N", "format:N"], {"ms:Q": ".3~g", "low:Q": ".3~g", "high:Q": ".3~g"})
    )
    bars = marks.mark_rule(strokeWidth=3, strokeCap="round", opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = marks.mark_point(filled=True, size=110, opacity=1).encode(x=x, shape=shape)
    reading = "One row at a time, of the test rows' own lengths. All models take turns in one run; bars are 95% intervals."
    return finish("Latency", reading, dots + bars, height=_rows(len({row["model"] for row in rows})))


def cost_chart(steps: Sequence[dict[str, Any]], store: float, even: float | None) -> Chart:
    """Teacher seconds by epochs of students: paid once (`store`), or in every epoch; equal after `even` epochs, if any.

    A step has `student`, and `epochs` and `seconds` with a live teacher, of this student and those before it.
    """
    last, paid = steps[-1]["epochs"], ("once, into the store", "in every epoch, by a live teacher")
    once = [{"student": "all", "epochs": at, "seconds": store, "paid": paid[0]} for at in (0, last)]
    live = [{"student": "none", "epochs": 0, "seconds": 0.0}, *steps]
    rows = once + [{**row, "paid": paid[1]} for row in live]
    scale = alt.Scale(domain=list(paid), range=["var(--series-0)", "var(--series-1)"])
    x = alt.X("epochs:Q", title="Epochs of students, one after another", axis=alt.Axis(grid=False, tickCount=6))
    marks = alt.Chart(inline(rows)).encode(
        x=x,
        y=alt.Y("seconds:Q", title="Seconds of the teacher", axis=alt.Axis(tickCount=5, format="~s")),
        color=alt.Color("paid:N", scale=scale, legend=alt.Legend(direction="vertical", symbolType="stroke")),
        tooltip=tooltip(["student:N"], {"epochs:Q": ",", "seconds:Q": ",.1f"}),
    )
    lines = marks.mark_line(strokeWidth=2.5) + marks.mark_point(filled=True, size=50, opacity=1)
    if even is not None:
        at = alt.Chart(inline([{"epochs": even, "text": f"equal after {even:.1f} epochs"}])).encode(x="epochs:Q")
        words = at.mark_text(align="left", baseline="top", dx=8, fontSize=12, color="var(--muted)")
        lines = at.mark_rule(**RULE) + words.encode(y=alt.value(0), text="text:N") + lines
    reading = "What the teacher's forward passes cost; a mark where a student is finished, the dashed line where both are equal."
    return finish("Paid once or every time", reading, lines, height=HEIGHT)


def _rows(count: int) -> int:
    return max(110, ROW * count)


def _loss_axis(losses: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with two lines a decade, or a linear one if a loss is not above 0."""
    if min(losses) <= 0:
        return {"scale": alt.Scale(zero=False), "axis": alt.Axis(tickCount=5)}
    decades = range(math.floor(math.log10(min(losses))), math.ceil(math.log10(max(losses))) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 3)]
    return {"scale": alt.Scale(type="log", nice=False, padding=10), "axis": alt.Axis(values=ticks, format="~g")}


def _points(
    models: Sequence[Model], x: str, y: str, curve: Callable[[Run], Sequence[tuple[float, float]]]
) -> list[dict[str, Any]]:
    return [
        {"model": model.label, "seed": run.seed, x: place, y: value, "seeds": len(model.runs)}
        for model in models
        for run in model.runs
        for place, value in curve(run)
    ]


def _curves(points: Sequence[dict[str, Any]], data_set: DataSet, numbers: dict[str, str]) -> alt.Chart:
    """A line for each seed, fainter where a model has several."""
    opacity = alt.condition("datum.seeds > 1", alt.value(0.5), alt.value(0.95))
    return base(points, data_set).encode(detail="seed:N", opacity=opacity, tooltip=tooltip(["model:N", "seed:N"], numbers))
