"""How decoders go on with test rows: the text itself, the teacher, the student."""

from distill.evaluation.details import Continuation
from distill.report.parts import Block, Collapsible, Note, Part
from distill.report.records import DataSet, Model
from distill.report.tables import NONE, Column, Table, make_table

ABOUT = (
    "Test rows, evenly spaced, with which teacher and student go on, the likeliest token after the other: nothing is drawn, "
    "nothing is picked by hand. The first column ends where they begin."
)


def continued(data_set: DataSet) -> Block | None:
    """A table for each student, the first one open; of a data set without students that are measured, its teachers' own."""
    shown = [model for model in data_set.students if _own(model)] or [model for model in data_set.teachers if _own(model)]
    if not shown:
        return None
    tables = [beside(data_set, model) for model in shown]
    rest = [Collapsible(model.name, (table,)) for model, table in zip(shown[1:], tables[1:], strict=True)]
    parts: list[Part] = [Note(ABOUT), tables[0], *rest]
    return Block("Continuations", tuple(parts))


def beside(data_set: DataSet, model: Model) -> Table:
    """What a model says, and its teacher beside it, where that was asked for the same rows."""
    teacher = data_set.teacher_of(model)
    known = {line.before: line.said for line in _own(teacher)} if teacher is not None else {}
    columns: list[Column[Continuation]] = [
        Column("Before", lambda line: line.before, number=False, prose=True),
        Column("The text itself", lambda line: line.text, number=False, prose=True),
    ]
    if teacher is not None and known:
        said = Column[Continuation](teacher.label, lambda line: known.get(line.before, NONE), number=False, prose=True)
        columns.append(said)
    columns.append(Column(model.label, lambda line: line.said or NONE, number=False, prose=True))
    return make_table(f"How {model.label} goes on", columns, _own(model))


def _own(model: Model) -> tuple[Continuation, ...]:
    return () if model.detail is None else model.detail.continuations
