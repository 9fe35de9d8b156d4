"""Where models are right and wrong: by class, by pair of classes, against the teacher, row by row."""

import math
from dataclasses import astuple

from distill.evaluation.details import ClassScore, Confusion, Detail
from distill.report.charts import calibration_chart, coverage_chart, disagreement_chart
from distill.report.parts import Block, Collapsible, Examples, Grid, Legend, Note, Part
from distill.report.records import DataSet, Model
from distill.report.tables import NONE, Cell, Column, Table, columns_of, make_table, percent
from distill.report.vega import series

MATRIX = 12
"""Up to so many labels a confusion is shown whole; of more, its largest pairs."""
PAIRS = 15
FAINT = 0.15
"""The tint of one mistake among many."""
SHOWN = 6
"""Examples of a student that stand open."""
AGREEMENT = ("Both right", "Student alone", "Teacher alone", "Wrong alike", "Wrong, each its own way")
"""Of each field of an Agreement the column's title."""


def classes(data_set: DataSet) -> Block | None:
    """F1 of every class, and what is taken for what."""
    models = columns_of(data_set)
    parts: list[Part] = []
    if any(_detail(model).classes for model in models):
        table = class_table(data_set)
        hardest = class_table(data_set, MATRIX)
        whole = Collapsible(f"All {len(table.cells)} classes", (table,))
        parts += [table] if len(table.cells) <= MATRIX else [hardest, whole]
    confused = [(model, confusion) for model in models if (confusion := _detail(model).confusion) is not None]
    matrices = tuple((matrix if len(part.labels) <= MATRIX else pairs)(model, part) for model, part in confused)
    if matrices:
        parts += [Grid(matrices[:2])]
    if matrices[2:]:
        parts += [Collapsible(f"Other models: {len(matrices) - 2}", (Grid(matrices[2:]),))]
    return Block("Classes", tuple(parts)) if parts else None


def class_table(data_set: DataSet, hardest: int | None = None) -> Table:
    """F1 of each class by model, the worse the redder; all classes, or those that are hardest on average."""
    models = [model for model in columns_of(data_set) if _detail(model).classes]
    f1 = {model.label: {row.label: row.f1 for row in _detail(model).classes} for model in models}
    rows = list(_detail(models[0]).classes)
    if hardest is not None:
        rows = sorted(rows, key=lambda row: sum(scores.get(row.label, 0.0) for scores in f1.values()))[:hardest]

    def column(model: Model) -> Column[ClassScore]:
        scores = f1[model.label]

        def tint(row: ClassScore) -> tuple[str, float]:
            score = scores.get(row.label, 1.0)
            return ("", 0.0) if score == 1.0 else ("miss", math.sqrt(1 - score))

        return Column(model.label, lambda row: percent(scores[row.label]) if row.label in scores else NONE, tint=tint)

    columns: list[Column[ClassScore]] = [
        Column("Class", lambda row: row.label, number=False),
        Column("Count", lambda row: f"{row.support:,}"),
        *map(column, models),
    ]
    which = "each class" if hardest is None else f"the {len(rows)} hardest classes"
    return make_table(f"F1 of {which}; the redder, the worse", columns, rows)


def matrix(model: Model, confusion: Confusion) -> Table:
    """A line a true label, a column a predicted one; tinted by the share of the line."""
    cells = []
    for line, (label, counts) in enumerate(zip(confusion.labels, confusion.counts, strict=True)):
        total = sum(counts) or 1
        tinted = [_tinted(count, count / total, right=place == line) for place, count in enumerate(counts)]
        cells.append((Cell(label), *tinted))
    width = len(confusion.labels)
    caption = f"{model.label}: what is true (lines) and what it says (columns)"
    titles = ("", *confusion.labels)
    return Table(caption, titles, (False, *[True] * width), (False,) * (width + 1), tuple(cells), "matrix")


def pairs(model: Model, confusion: Confusion) -> Table:
    """The pairs of labels that are taken for one another most often."""
    rows = [
        (true, predicted, count)
        for true, counts in zip(confusion.labels, confusion.counts, strict=True)
        for predicted, count in zip(confusion.labels, counts, strict=True)
        if true != predicted and count
    ]
    columns: list[Column[tuple[str, str, int]]] = [
        Column("True", lambda row: row[0], number=False),
        Column("Said", lambda row: row[1], number=False),
        Column("Rows", lambda row: f"{row[2]:,}"),
    ]
    return make_table(f"{model.label}: what it confuses most", columns, sorted(rows, key=lambda row: (-row[2], row))[:PAIRS])


def calibration(data_set: DataSet) -> Block | None:
    """Whether a model's confidence can be believed."""
    charts = tuple(filter(None, (calibration_chart(data_set), coverage_chart(data_set))))
    notes = tuple(Note(text) for model in data_set.students if (text := answers_alone(model)))
    return Block("Calibration", (Legend(tuple(series(data_set))), Grid(charts), *notes)) if charts else None


def answers_alone(model: Model) -> str:
    """How many rows a student answers at which share right, and what is to be done with the others: plain text."""
    found = _detail(model).answered
    if found is None:
        return ""
    share, goal = f"{found.right:.1%} of them rightly", f"{found.goal:.0%} on the validation rows"
    if found.threshold == 0:
        return f"{model.name} answers all rows, {share}: it reaches {goal} alone."
    rest = f"Send the rest to {model.teacher}" if "+" not in model.teacher else "Send the rest to a larger model"
    sure = f"what it is {found.threshold:.1%} sure of, which reaches {goal}"
    return f"{model.name} answers {found.share:.0%} of the test rows, {share}: {sure}. {rest}."


def agreement_block(data_set: DataSet) -> Block | None:
    """Who is right where student and teacher part, and rows where they do."""
    counted = [(model.name, astuple(counts)) for model in data_set.students if (counts := _detail(model).agreement) is not None]
    parts: list[Part] = []
    if counted:
        columns: list[Column[tuple[str, tuple[int, ...]]]] = [
            Column("Student", lambda row: row[0], number=False),
            *(Column(title, lambda row, place=place: f"{row[1][place]:,}") for place, title in enumerate(AGREEMENT)),  # type: ignore[misc]
        ]
        chart = disagreement_chart(data_set)
        table = make_table("Who is right, counted on the test split", columns, counted)
        parts.append(Grid((chart, table)) if chart is not None else table)
    shown = [Examples(model.name, rows) for model in columns_of(data_set) if (rows := _detail(model).examples)]
    if shown:
        about = "Test rows on which student and teacher part, the surest first; a tick marks who is right."
        parts += [Note(about), Examples(shown[0].student, shown[0].examples[:SHOWN])]
        rest = shown[0].examples[SHOWN:]
        parts += [Collapsible(f"{len(rest)} more of {shown[0].student}", (Examples(shown[0].student, rest),))] if rest else []
        parts += [Collapsible(f"{len(examples.examples)} of {examples.student}", (examples,)) for examples in shown[1:]]
    return Block("Against the teacher", tuple(parts)) if parts else None


def _tinted(count: int, share: float, *, right: bool) -> Cell:
    """A cell of a matrix: blue where the model is right, the redder the more of the line it mistakes so."""
    if not count:
        return Cell("0", "none")
    tint = math.sqrt(share)
    return Cell(f"{count:,}", "hit", tint) if right else Cell(f"{count:,}", "miss", FAINT + (1 - FAINT) * tint)


def _detail(model: Model) -> Detail:
    return model.detail or Detail("")
