"""The report's tables: columns defined once, cells that serve both HTML and Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distill.core.markdown import escape
from distill.core.quantities import millions
from distill.report.metric_names import FORMATS, METRIC_NAMES, shown, title
from distill.report.parts import Grid, Part
from distill.report.records import DataSet, Duplicates, Model, Split

OTHER_MEASURES = (
    ("Log-loss", "log_loss", ".3f", -1),
    ("Perplexity", "perplexity", ".2f", -1),
    ("Mean squared error", "mean_squared_error", ".3f", -1),
    ("Calibration error", "calibration_error", ".3f", -1),
    ("Before its temperature", "calibration_error_before", ".3f", -1),
    ("Agreement with teacher", "agreement", ".1%", 1),
    ("KL from teacher", "kl_from_teacher", ".3f", -1),
)
"""Headings, names, formats, and whether more is better (1) or less (−1)."""
CORRELATION = ("Correlation with teacher", "agreement", ".3f", 1)
"""What agreement is where answers are numbers or vectors."""
NONE = "–"
STRONG = ("best", "warn")
"""The tones that stand out as text."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Cell:
    """What a cell says, and how it stands out."""

    text: str
    tone: str = ""
    """`again` and `none` stand back; `hit` and `miss` tint the cell, by `share`; and STRONG ones."""
    share: float = 0.0
    """0 to 1."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: how a row's cell reads, and which of its rows stand out."""

    title: str
    text: Callable[[Row], str]
    number: bool = True
    """Numbers are aligned to the right."""
    rank: Callable[[Row], float | None] = field(default=lambda row: None)
    """The row with the highest rank is the best; rows of rank None do not compete."""
    warns: Callable[[Row], bool] = field(default=lambda row: False)
    tint: Callable[[Row], tuple[str, float]] = field(default=lambda row: ("", 0.0))
    """The tone and the share of a cell that neither is the best nor warns."""
    prose: bool = False
    """Sentences, which may be broken into lines."""


@dataclass(frozen=True)
class Table(Part):
    """A finished table: `cells` has a tuple for each row, `numbers` and `prose` say which columns are numbers and sentences."""

    caption: str
    titles: tuple[str, ...]
    numbers: tuple[bool, ...]
    prose: tuple[bool, ...]
    cells: tuple[tuple[Cell, ...], ...]
    look: str = ""
    """`matrix` if lines and columns are the same things."""


NAME: Column[Model] = Column("Model", lambda model: model.name, number=False)
RECIPE: Column[Model] = Column("Recipe", lambda model: model.recipe, number=False)


def make_table(caption: str, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """Fill in the cells. In each column the best rows stand out, unless all that compete read the same."""
    titles, numbers, prose = zip(*((column.title, column.number, column.prose) for column in columns), strict=True)
    return Table(caption, titles, numbers, prose, tuple(zip(*(_fill(column, rows) for column in columns), strict=True)))


def tables_in(parts: Sequence[Part]) -> list[Table]:
    """The tables that stand open, those of grids too."""
    tables: list[Table] = []
    for part in parts:
        if isinstance(part, Table):
            tables.append(part)
        elif isinstance(part, Grid):
            tables += tables_in(part.parts)
    return [table for table in tables if table.cells]


def to_markdown(table: Table) -> str:
    """A Markdown table with aligned columns under its caption; whatever is Markdown in a cell is escaped."""
    lines = [list(map(escape, table.titles))]
    lines += [[f"**{escape(cell.text)}**" if cell.tone in STRONG else escape(cell.text) for cell in row] for row in table.cells]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(table.titles))]
    rule = ["-" * (width - 1) + ":" if number else "-" * width for width, number in zip(widths, table.numbers, strict=True)]
    sides = [">" if number else "<" for number in table.numbers]
    rows = [[f"{text:{side}{width}}" for text, side, width in zip(line, sides, widths, strict=True)] for line in lines]
    return "\n".join([f"{table.caption}:", "", *(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])])


def results(data_set: DataSet) -> list[Table]:
    """Scores with sizes, then every other measure of each model. The best student of a column stands out."""
    metric = data_set.metric
    measured = {name for model in data_set.models for name in model.metrics}
    others = [name for name in METRIC_NAMES if name != metric and name in measured]
    scores: list[Column[Model]] = [
        NAME,
        RECIPE,
        Column("Layers × width", lambda model: model.shape or NONE),
        _measure(title(metric), metric, FORMATS[metric]),
        Column("Retention (95% interval)", retained, rank=lambda model: model.metrics.get("retention")),
        Column("Parameters, M", lambda model: millions(model.parameters), rank=_students_only(lambda model: -model.parameters)),
        Column("Disk, MB", lambda model: millions(model.bytes), rank=_students_only(lambda model: -model.bytes)),
        Column("Seeds", lambda model: str(len(model.runs))),
    ]
    rest: list[Column[Model]] = [
        NAME,
        *(_measure(title(name), name, FORMATS[name]) for name in others),
        *(
            _measure(*(CORRELATION if data_set.correlated and name == "agreement" else (head, name, form, sign)))
            for head, name, form, sign in OTHER_MEASURES
            if name in measured
        ),
    ]
    rows, units = next((model.rows for model in data_set.models if model.metrics), 0), data_set.units
    some = [f"{model.retention_rows:,} of {model.name}" for model in data_set.students if model.retention_rows is not None]
    apart = f", on those test {units} that the teacher has answered: {', '.join(some)}" if some else ""
    return [
        make_table(
            f"Scores on {rows:,} test {units}, and sizes{apart and f'; retention{apart}'}{_means(data_set)}",
            scores,
            data_set.models,
        ),
        make_table(
            f"Other measures on the same {units}; log-loss and KL in nats{apart and f'; agreement and KL{apart}'}",
            rest,
            data_set.models,
        ),
    ]


def _means(data_set: DataSet) -> str:
    """Which students' retention is of the mean of several teachers, and what that scores."""
    told = {
        f"{model.measured_by}, {shown(data_set.metric, model.metrics['teacher_score'])}": None
        for model in data_set.students
        if model.further is not None and "teacher_score" in model.metrics
    }
    return f"; retention is that of {' and of '.join(told)}" if told else ""


def data(data_set: DataSet) -> list[Table]:
    """The splits, and the duplicates across them, which stand out."""
    splits: list[Column[Split]] = [
        Column("Split", lambda split: split.name, number=False),
        Column("Rows", lambda split: f"{split.rows:,}"),
        Column("Transfer rows", lambda split: f"{split.transfer_rows:,}"),
        Column("Truncated rows", lambda split: _share(split.truncated_rows, split.rows)),
    ]
    pairs: list[Column[Duplicates]] = [
        Column("Splits", lambda row: row.pair.replace("-", " and "), number=False),
        Column("Exact", lambda row: f"{row.exact:,}", warns=lambda row: row.exact > 0),
        Column("Near", lambda row: f"{row.near:,}", warns=lambda row: row.near > 0),
    ]
    return [
        make_table(f"Rows of each split, truncated at {data_set.max_length} tokens", splits, data_set.splits),
        make_table("Rows of the second split that stand in the first too", pairs, data_set.duplicates),
    ]


def percent(value: float) -> str:
    """A fraction as a percentage with one decimal."""
    return f"{value:.1%}"


def retained(model: Model, before_interval: str = "") -> str:
    """A student's retention with its 95% interval."""
    if "retention" not in model.metrics:
        return NONE
    middle, low, high = (model.metrics[name] for name in ("retention", "retention_low", "retention_high"))
    return f"{percent(middle)} ({before_interval}{100 * low:.1f}–{percent(high)})"


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever needs few digits."""
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= 2 * size or size == 1)
    value = seconds / size
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def times(ratio: float | None) -> str:
    """How many times as much, to a tenth below a hundred."""
    return NONE if ratio is None else f"{ratio:.1f} ×" if ratio < 99.5 else f"{ratio:,.0f} ×"


def columns_of(data_set: DataSet) -> list[Model]:
    """The models that have been looked at closely, the best student's teacher and the best student first."""
    best = best_student(data_set)
    first = [model for model in (best and data_set.teacher_of(best), best) if model is not None]
    return [model for model in (*first, *(other for other in data_set.models if other not in first)) if model.detail is not None]


def best_student(data_set: DataSet) -> Model | None:
    """The student of the highest test score; of equal ones the smallest, then the first by name. None if there is none."""
    ranked = sorted(data_set.students, key=lambda model: (-model.metrics[data_set.metric], model.parameters, model.name))
    return ranked[0] if ranked else None


def _measure(title: str, name: str, form: str, sign: int = 1) -> Column[Model]:
    """A metric: the mean over seeds, ± the standard deviation if there are several; `sign` -1 if less is better."""

    def text(model: Model) -> str:
        if name not in model.metrics:
            return NONE
        deviation = f" ± {model.metrics[f'{name}_sd']:{form}}" if f"{name}_sd" in model.metrics else ""
        return f"{model.metrics[name]:{form}}{deviation}"

    return Column(title, text, rank=_students_only(lambda model: sign * model.metrics[name] if name in model.metrics else None))


def _students_only(rank: Callable[[Model], float | None]) -> Callable[[Model], float | None]:
    return lambda model: rank(model) if model.teacher else None


def _fill(column: Column[Row], rows: Sequence[Row]) -> list[Cell]:
    texts, ranks = [column.text(row) for row in rows], [column.rank(row) for row in rows]
    competing = [(rank, text) for rank, text in zip(ranks, texts, strict=True) if rank is not None]
    figures = {_figure(text) for _, text in competing}
    best = _figure(max(competing)[1]) if len(figures) > 1 else None
    return [
        Cell(
            text,
            *(("warn",) if column.warns(row) else ("best",) if rank is not None and _figure(text) == best else column.tint(row)),
        )
        for row, text, rank in zip(rows, texts, ranks, strict=True)
    ]


def _figure(text: str) -> str:
    """What a cell says before its deviation or interval."""
    return text.partition(" ")[0]


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"
