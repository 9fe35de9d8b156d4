"""The ledger: what the teacher's computing costs, paid once into a store, or in every epoch of every student."""

from collections.abc import Sequence

from distill.report.charts import ledger_chart
from distill.report.content import DataSet, Model, TargetSet, Taught
from distill.report.parts import Block, Note, Part
from distill.report.tables import NONE, Column, Table, duration, make_table, times

HOW = (
    "A live teacher would read a student’s training rows again in every epoch, at the rate of its pass into the store: rows of "
    "like length, nothing padded, no gradients. In an ordinary training loop it is slower."
)


def ledger(data_set: DataSet) -> Block:
    """What was paid, what would have been paid, and from when on the store is the cheaper one."""
    known = [own for own in data_set.taught if own.live_seconds is not None and own.epochs]
    parts: list[Part] = []
    if known and (store := paid_once(data_set, known)):
        chart = ledger_chart(_steps(known), store, break_even(data_set, known))
        parts += [Note(sentence(data_set, known)), chart]
    parts += [once(data_set), students(data_set), *([Note(HOW, "quiet")] if known else [])]
    return Block("Ledger", tuple(parts))


def paid_once(data_set: DataSet, known: Sequence[Taught]) -> float:
    """Seconds that the sets took which these students read."""
    read = {name for own in known for name in own.sets}
    return sum(entry.full_seconds or 0.0 for entry in data_set.targets if entry.name in read)


def break_even(data_set: DataSet, known: Sequence[Taught]) -> float | None:
    """After how many epochs, of students in this order, a live teacher has cost as much; None if that takes more."""
    left, epochs = paid_once(data_set, known), 0.0
    for own in known:
        live = own.live_seconds or 0.0
        if live >= left:
            return epochs + own.epochs * left / live
        left, epochs = left - live, epochs + own.epochs
    return None


def sentence(data_set: DataSet, known: Sequence[Taught]) -> str:
    """The ledger in words."""
    store, live = paid_once(data_set, known), sum(own.live_seconds or 0.0 for own in known)
    epochs, even = sum(own.epochs for own in known), break_even(data_set, known)
    paid = f"The teacher’s pass was paid once: {duration(store)}."
    would = f"In the loop of {epochs} epochs of students it would have cost {duration(live)}"
    if even is None:
        return f"{paid} {would}: so few epochs have not paid for the store yet."
    return f"{paid} {would}, {times(live / store)} as much. The store pays for itself after {even:.1f} epochs."


def once(data_set: DataSet) -> Table:
    """Teachers and target sets."""
    columns: list[Column[Model | TargetSet]] = [
        Column("Paid once", lambda row: f"{'targets' if isinstance(row, TargetSet) else 'fine-tuning'} {row.name}", number=False),
        Column("Time", _time_once),
        Column("Note", _note, number=False),
    ]
    rows: list[Model | TargetSet] = [*data_set.teachers, *data_set.targets]
    return make_table("Paid once, for all students", columns, rows)


def students(data_set: DataSet) -> Table:
    """Each student's own training, and what a live teacher would have added."""
    taught = {own.name: own for own in data_set.taught}
    columns: list[Column[Model]] = [
        Column("Student", lambda model: model.name, number=False),
        Column("Recipe", lambda model: model.recipe, number=False),
        Column("Seeds", lambda model: str(len(model.runs))),
        Column("Epochs", lambda model: str(sum(run.epochs for run in model.runs))),
        Column("Training", lambda model: duration(model.seconds)),
        Column("A live teacher’s share", lambda model: _live(taught.get(model.name))),
    ]
    return make_table("Paid for each student, all seeds", columns, data_set.students)


def _live(own: Taught | None) -> str:
    return NONE if own is None or own.live_seconds is None else f"+ {duration(own.live_seconds)}"


def _steps(known: Sequence[Taught]) -> list[dict[str, object]]:
    steps: list[dict[str, object]] = []
    epochs, seconds = 0, 0.0
    for own in known:
        epochs, seconds = epochs + own.epochs, seconds + (own.live_seconds or 0.0)
        steps.append({"student": own.name, "epochs": epochs, "seconds": seconds})
    return steps


def _time_once(row: Model | TargetSet) -> str:
    value = row.full_seconds if isinstance(row, TargetSet) else row.seconds
    return NONE if value is None else duration(value)


def _note(row: Model | TargetSet) -> str:
    if isinstance(row, Model):
        return "" if row.seconds else "checkpoint kept as it is"
    outputs = f"{row.tokens:,} tokens read by {row.teacher}"
    if row.computed == 0:
        return f"{outputs}; from cache"
    return outputs if row.computed >= row.tokens else f"{outputs}; resumed, scaled up from {row.computed:,}"
