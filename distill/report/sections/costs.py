"""What the teacher's forward passes cost: once, into a store, or in every epoch of every student."""

from collections.abc import Sequence

from distill.report.charts import cost_chart
from distill.report.parts import Block, Note, Part
from distill.report.records import DataSet, LiveTeacherCost, Model, TargetSet
from distill.report.tables import NONE, RECIPE, Column, Table, duration, make_table, times

HOW = (
    "A live teacher would read a student’s training rows again in every epoch, at the rate of its pass into the store: rows of "
    "like length, nothing padded, no gradients. In an ordinary training loop it is slower."
)


def cost_comparison(data_set: DataSet) -> Block:
    """What was paid, what a live teacher would have cost, and after how many epochs the store is cheaper."""
    known = [entry for entry in data_set.taught if entry.live_seconds is not None and entry.epochs]
    parts: list[Part] = []
    if known and (store := one_time_seconds(data_set, known)):
        chart = cost_chart(_steps(known), store, break_even(data_set, known))
        parts += [Note(sentence(data_set, known)), chart]
    parts += [once(data_set), students(data_set), *([Note(HOW, "quiet")] if known else [])]
    return Block("Cost comparison", tuple(parts))


def one_time_seconds(data_set: DataSet, known: Sequence[LiveTeacherCost]) -> float:
    """Seconds that the sets took which these students read."""
    read = {name for entry in known for name in entry.sets}
    return sum(entry.full_seconds or 0.0 for entry in data_set.targets if entry.name in read)


def break_even(data_set: DataSet, known: Sequence[LiveTeacherCost]) -> float | None:
    """After how many epochs, of students in this order, a live teacher has cost as much; None if that takes more."""
    left, epochs = one_time_seconds(data_set, known), 0.0
    for entry in known:
        live = entry.live_seconds or 0.0
        if live >= left:
            return epochs + entry.epochs * left / live
        left, epochs = left - live, epochs + entry.epochs
    return None


def sentence(data_set: DataSet, known: Sequence[LiveTeacherCost]) -> str:
    """The comparison in a sentence."""
    store, live = one_time_seconds(data_set, known), sum(entry.live_seconds or 0.0 for entry in known)
    epochs, even = sum(entry.epochs for entry in known), break_even(data_set, known)
    paid = f"The teacher’s pass was paid once: {duration(store)}."
    would = f"In the loop of {epochs} epochs of students it would have cost {duration(live)}"
    if even is None:
        return f"{paid} {would}: so few epochs have not paid for the store yet."
    return f"{paid} {would}, {times(live / store)} as much. The store pays for itself after {even:.1f} epochs."


def once(data_set: DataSet) -> Table:
    """Teachers and target sets."""
    rows: list[tuple[str, float | None, str]] = [
        (f"fine-tuning {teacher.name}", teacher.seconds, "" if teacher.seconds else "checkpoint kept as it is")
        for teacher in data_set.teachers
    ]
    rows += [
        (f"fine-tuning the further teachers of {teacher.name}", teacher.further_seconds, "folds, or seeds")
        for teacher in data_set.teachers
        if teacher.further_seconds
    ]
    rows += [(f"targets {entry.name}", entry.full_seconds, _read_by(entry)) for entry in data_set.targets if not entry.given]
    columns: list[Column[tuple[str, float | None, str]]] = [
        Column("Paid once", lambda row: row[0], number=False),
        Column("Time", lambda row: NONE if row[1] is None else duration(row[1])),
        Column("Note", lambda row: row[2], number=False),
    ]
    return make_table("Paid once, for all students", columns, rows)


def students(data_set: DataSet) -> Table:
    """Each student's own training, and what a live teacher would have added."""
    taught = {entry.name: entry for entry in data_set.taught}
    columns: list[Column[Model]] = [
        Column("Student", lambda model: model.name, number=False),
        RECIPE,
        Column("Seeds", lambda model: str(len(model.runs))),
        Column("Epochs", lambda model: str(sum(run.epochs for run in model.runs))),
        Column("Training", lambda model: duration(model.seconds)),
        Column("A live teacher’s share", lambda model: _live(taught.get(model.name))),
    ]
    return make_table("Paid for each student, all seeds", columns, data_set.students)


def _live(entry: LiveTeacherCost | None) -> str:
    return NONE if entry is None or entry.live_seconds is None else f"+ {duration(entry.live_seconds)}"


def _steps(known: Sequence[LiveTeacherCost]) -> list[dict[str, object]]:
    steps: list[dict[str, object]] = []
    epochs, seconds = 0, 0.0
    for entry in known:
        epochs, seconds = epochs + entry.epochs, seconds + (entry.live_seconds or 0.0)
        steps.append({"student": entry.name, "epochs": epochs, "seconds": seconds})
    return steps


def _read_by(entry: TargetSet) -> str:
    read = f"{entry.tokens:,} tokens read by {entry.teacher}"
    if entry.computed == 0:
        return f"{read}; from cache"
    return read if entry.computed >= entry.tokens else f"{read}; resumed, scaled up from {entry.computed:,}"
