"""The report's tables: columns defined once, cells that serve both HTML and Markdown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distill.report.content import DataSet, Duplicates, Model, Split, TargetSet

METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "f1": "F1",
    "mcc": "MCC",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "entity_f1": "entity F1",
    "exact_match": "exact match",
    "entity_precision": "entity precision",
    "entity_recall": "entity recall",
    "token_accuracy": "token accuracy",
}
"""As in a sentence; `title` is for headings."""
FORMATS = dict.fromkeys(METRIC_NAMES, ".1%") | dict.fromkeys(("mcc", "pearson", "spearman"), ".3f")
"""How scores are written, in the language that Python and d3 share."""
OTHER_MEASURES = (
    ("Log-loss", "log_loss", ".3f", -1),
    ("Perplexity", "perplexity", ".2f", -1),
    ("Mean squared error", "mean_squared_error", ".3f", -1),
    ("Calibration error", "calibration_error", ".3f", -1),
    ("Agreement with teacher", "agreement", ".1%", 1),
    ("KL from teacher", "kl_from_teacher", ".3f", -1),
)
"""Headings, names, formats, and whether more is better (1) or less (−1)."""
NONE = "–"
Row = TypeVar("Row")


@dataclass(frozen=True)
class Cell:
    """What a cell says; `tone` is `best`, `warn` or empty."""

    text: str
    tone: str = ""


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


@dataclass(frozen=True)
class Table:
    """A finished table: `cells` has a tuple for each row, `numbers` says which columns are numbers."""

    caption: str
    titles: tuple[str, ...]
    numbers: tuple[bool, ...]
    cells: tuple[tuple[Cell, ...], ...]


def make_table(caption: str, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """Fill in the cells. In each column the best rows stand out, unless all that compete read the same."""
    filled = [_fill(column, rows) for column in columns]
    return Table(
        caption,
        tuple(column.title for column in columns),
        tuple(column.number for column in columns),
        tuple(zip(*filled, strict=True)),
    )


def to_markdown(table: Table) -> str:
    """A Markdown table with aligned columns under its caption; whatever is Markdown in a cell is escaped."""
    lines = [list(map(escape, table.titles))]
    lines += [[f"**{escape(cell.text)}**" if cell.tone else escape(cell.text) for cell in row] for row in table.cells]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(table.titles))]
    rule = ["-" * (width - 1) + ":" if number else "-" * width for width, number in zip(widths, table.numbers, strict=True)]
    aligned = [
        [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, table.numbers, strict=True)
        ]
        for line in lines
    ]
    return "\n".join([f"{table.caption}:", "", *(f"| {' | '.join(line)} |" for line in [aligned[0], rule, *aligned[1:]])])


def results(data_set: DataSet) -> list[Table]:
    """Scores with sizes, then every other measure of each model. The best student of a column stands out."""
    metric = data_set.metric
    measured = {name for model in data_set.models for name in model.metrics}
    others = [name for name in METRIC_NAMES if name != metric and name in measured]
    scores: list[Column[Model]] = [
        *_identity(),
        Column("Layers × width", lambda model: model.shape or NONE),
        _measure(title(metric), metric, FORMATS[metric]),
        Column("Retention (95% interval)", retained, rank=lambda model: model.metrics.get("retention")),
        Column("Parameters, M", lambda model: millions(model.parameters), rank=_students_only(lambda model: -model.parameters)),
        Column("Disk, MB", lambda model: millions(model.bytes), rank=_students_only(lambda model: -model.bytes)),
        Column("Seeds", lambda model: str(len(model.runs))),
    ]
    rest: list[Column[Model]] = [
        *_identity()[:1],
        *(_measure(title(name), name, FORMATS[name]) for name in others),
        *(_measure(*column) for column in OTHER_MEASURES if column[1] in measured),
    ]
    rows = next((model.rows for model in data_set.models if model.metrics), 0)
    return [
        make_table(f"Scores on {rows:,} test rows, and sizes", scores, data_set.models),
        make_table("Other measures on the same rows; log-loss and KL in nats", rest, data_set.models),
    ]


def costs(data_set: DataSet) -> list[Table]:
    """What was paid once for the teacher and its targets, what each student cost, and what the targets take on disk."""
    once: list[Column[Model | TargetSet]] = [
        Column("Step", lambda row: f"{'targets' if isinstance(row, TargetSet) else 'fine-tuning'} {row.name}", number=False),
        Column("Seconds", _seconds_once),
        Column("Note", _note, number=False),
    ]
    students: list[Column[Model]] = [
        *_identity(),
        Column("Seconds", lambda model: seconds(model.seconds)),
        Column("Seeds", lambda model: str(len(model.runs))),
        Column("Seconds a seed", lambda model: seconds(model.seconds / max(1, len(model.runs)))),
    ]
    disk: list[Column[tuple[str, str, int]]] = [
        Column("Target set", lambda row: row[0], number=False),
        Column("Output", lambda row: row[1], number=False),
        Column("Disk, MB", lambda row: millions(row[2])),
    ]
    paid: list[Model | TargetSet] = [*data_set.teachers, *data_set.targets]
    outputs = [(entry.name, output, size) for entry in data_set.targets for output, size in sorted(entry.bytes.items())]
    return [
        make_table("Paid once, for all students", once, paid),
        make_table("Paid for each student", students, data_set.students),
        make_table("Targets on disk", disk, outputs),
    ]


def data(data_set: DataSet) -> list[Table]:
    """The splits, and the duplicates across them, which stand out."""
    splits: list[Column[Split]] = [
        Column("Split", lambda split: split.name, number=False),
        Column("Rows", lambda split: f"{split.rows:,}"),
        Column("Transfer rows", lambda split: f"{split.transfer_rows:,}"),
        Column("Truncated rows", lambda split: _share(split.truncated_rows, split.rows)),
    ]
    pairs: list[Column[Duplicates]] = [
        Column("Splits", lambda found: found.pair.replace("-", " and "), number=False),
        Column("Exact", lambda found: f"{found.exact:,}", warns=lambda found: found.exact > 0),
        Column("Near", lambda found: f"{found.near:,}", warns=lambda found: found.near > 0),
    ]
    return [
        make_table(f"Rows of each split, truncated at {data_set.max_length} tokens", splits, data_set.splits),
        make_table("Rows of the second split that stand in the first too", pairs, data_set.duplicates),
    ]


def title(metric: str) -> str:
    """A metric's name where it comes first."""
    return METRIC_NAMES[metric][0].upper() + METRIC_NAMES[metric][1:]


def shown(metric: str, value: float) -> str:
    """A score as the report writes it."""
    return f"{value:{FORMATS[metric]}}"


def percent(value: float) -> str:
    """A fraction as a percentage with one decimal."""
    return f"{value:.1%}"


def retained(model: Model, before_interval: str = "") -> str:
    """A student's retention with its 95% interval."""
    if "retention" not in model.metrics:
        return NONE
    middle, low, high = (model.metrics[name] for name in ("retention", "retention_low", "retention_high"))
    return f"{percent(middle)} ({before_interval}{100 * low:.1f}–{percent(high)})"


def millions(count: int) -> str:
    """Parameters in millions, or bytes in megabytes: one decimal, or two digits of what is below one."""
    value = count / 1e6
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def seconds(value: float) -> str:
    """A time in seconds, to a tenth below ten."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def full_seconds(targets: TargetSet) -> float | None:
    """What the whole target set takes, in seconds: scaled up if a part came from an earlier run, None if all of it did."""
    return targets.seconds * targets.tokens / targets.computed if targets.computed else None


def escape(text: str) -> str:
    """Text that Markdown takes for text, on one line."""
    return re.sub(r"([\\|<>*`\[\]])", r"\\\1", " ".join(text.split()))


def _identity() -> list[Column[Model]]:
    return [
        Column("Model", lambda model: model.name, number=False),
        Column("Recipe", lambda model: model.recipe, number=False),
    ]


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
    best = max(competing)[1] if len({text for _, text in competing}) > 1 else None
    return [
        Cell(text, "warn" if column.warns(row) else "best" if rank is not None and text == best else "")
        for row, text, rank in zip(rows, texts, ranks, strict=True)
    ]


def _seconds_once(row: Model | TargetSet) -> str:
    value = full_seconds(row) if isinstance(row, TargetSet) else row.seconds
    return NONE if value is None else seconds(value)


def _note(row: Model | TargetSet) -> str:
    if isinstance(row, Model):
        return "" if row.seconds else "checkpoint kept as it is"
    outputs = f"{row.tokens:,} tokens read by {row.teacher}"
    if row.computed == 0:
        return f"{outputs}; from cache"
    return outputs if row.computed >= row.tokens else f"{outputs}; resumed, scaled up from {row.computed:,}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"
