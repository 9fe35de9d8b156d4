"""Speeds and sizes of every model in every format, timed in one run."""

from dataclasses import dataclass

from distill.core.quantities import millions
from distill.report.candidates import REFERENCE
from distill.report.charts import FORMS, latency_chart
from distill.report.metric_names import shown, title
from distill.report.parts import Block, Note
from distill.report.records import DataSet, Format, Model
from distill.report.tables import NONE, Column, Table, make_table, times


@dataclass(frozen=True)
class Timed:
    """A line of the table."""

    model: Model
    form: Format
    reference: Format | None
    """The teacher in torch, fp32."""

    @property
    def smaller(self) -> float | None:
        """Times the teacher's bytes over its own."""
        return self.reference.bytes / self.form.bytes if self.reference is not None else None


def speeds(data_set: DataSet) -> Block | None:
    """A chart of latencies, and a table of everything that was measured."""
    lines = [Timed(model, form, reference(data_set, model)) for model in data_set.models for form in model.formats]
    chart = latency_chart(data_set)
    if chart is None:
        return None
    about = f"{data_set.machine}. Times are of single rows of the test split, of their own lengths; times hold for this machine."
    mended = [Note(f"{model.label}: {model.mended}.", "quiet") for model in data_set.models if model.mended]
    return Block("Speed and size", (chart, table(data_set, lines), *mended, Note(about, "quiet")))


def reference(data_set: DataSet, model: Model) -> Format | None:
    """What a model's speed and size are compared with."""
    teacher = data_set.teacher_of(model) if model.teacher else model
    return next((form for form in teacher.formats if form.name == REFERENCE), None) if teacher is not None else None


def table(data_set: DataSet, lines: list[Timed]) -> Table:
    """The best student of a column stands out."""
    columns: list[Column[Timed]] = [
        Column(
            "Model",
            lambda row: row.model.name,
            number=False,
            tint=lambda row: ("again" if row.form != row.model.formats[0] else "", 0.0),
        ),
        Column("Format", lambda row: FORMS[row.form.name][0], number=False),
        Column(title(data_set.metric), lambda row: NONE if row.form.score is None else shown(data_set.metric, row.form.score)),
        Column("Median, ms", lambda row: f"{row.form.p50:.3g}", rank=lambda row: -row.form.p50 if row.model.teacher else None),
        Column("p95, ms", lambda row: f"{row.form.p95:.3g}", rank=lambda row: -row.form.p95 if row.model.teacher else None),
        Column("As fast (95% interval)", _speedup, rank=lambda row: row.form.speedup if row.model.teacher else None),
        Column("Rows a second", lambda row: NONE if row.form.rows_a_second is None else f"{row.form.rows_a_second:,.0f}"),
        Column("MB", lambda row: millions(row.form.bytes), rank=lambda row: -row.form.bytes if row.model.teacher else None),
        Column("As small", lambda row: times(row.smaller), rank=lambda row: row.smaller if row.model.teacher else None),
        Column("Memory, MB", lambda row: millions(row.form.memory)),
    ]
    return make_table("As fast, as small: times the teacher in torch, fp32; rows a second in the largest batches", columns, lines)


def _speedup(row: Timed) -> str:
    form = row.form
    if form.speedup is None:
        return NONE
    return f"{times(form.speedup)} ({form.speedup_low:.1f}–{form.speedup_high:.1f})"
