"""What teachers think of the labels that they were taught with."""

from distill.report.content import Audit, DataSet, Suspect, TargetSet
from distill.report.parts import Block, Fold, Note, Part
from distill.report.tables import NONE, Column, Table, make_table, percent

SHOWN = 8
"""Suspects that stand open."""
SHORT = 220
"""Characters of a text, at most."""


def audits(data_set: DataSet) -> Block | None:
    """Suspects and hard rows of each target set that has labels to audit."""
    parts = [part for entry in data_set.targets if entry.audit.rows for part in audit(entry)]
    return Block("Labels the teacher contradicts", tuple(parts)) if parts else None


def audit(entry: TargetSet) -> list[Part]:
    """A sentence, the rows that are most suspect, and the others behind a line."""
    suspects = [own for own in entry.audit.worst if own.kind == "suspect"]
    hard = [own for own in entry.audit.worst if own.kind == "hard"]
    path = f"data/audits/{entry.name}.parquet"
    parts: list[Part] = [Note(f"{_counted(entry)} {_confused(entry.audit)} All rows: {path}.")]
    if suspects:
        parts.append(lines("The most suspect labels, the worst first", suspects[:SHOWN]))
    if suspects[SHOWN:]:
        parts.append(Fold(f"{len(suspects) - SHOWN} more", (lines("Further suspects", suspects[SHOWN:]),)))
    if hard:
        parts.append(Fold(f"{len(hard)} rows that it finds hardest", (lines("Hard rows, the hardest first", hard),)))
    return parts


def lines(caption: str, found: list[Suspect]) -> Table:
    """A line a row of the training split."""
    columns: list[Column[Suspect]] = [
        Column("Text", lambda own: shortened(own.text), number=False, prose=True),
        Column("Label", lambda own: own.label or NONE, number=False),
        Column("The teacher says", lambda own: own.teacher or NONE, number=False),
        Column("How surely", lambda own: NONE if own.confidence is None else percent(own.confidence)),
    ]
    return make_table(caption, columns, found)


def shortened(text: str) -> str:
    """The beginning of a text, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= SHORT else f"{text[:SHORT].rpartition(' ')[0] or text[:SHORT]} …"


def _counted(entry: TargetSet) -> str:
    own = entry.audit
    suspects = f"{own.suspect:,} of {own.rows:,} training labels ({own.suspect / own.rows:.1%})"
    hard = f"finds {own.hard:,} rows hard ({own.hard / own.rows:.1%})"
    return f"The teacher {entry.teacher} contradicts {suspects} with confidence, which makes them likely errors, and {hard}."


def _confused(own: Audit) -> str:
    pairs = [(count, label, said) for label, others in own.confused.items() for said, count in others.items()]
    if not pairs:
        return ""
    count, label, said = max(pairs)
    return f"Most often the label is {label} where it says {said}: {count:,} rows."
