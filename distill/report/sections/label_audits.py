"""Training labels that their teacher contradicts, and rows that it finds hard."""

from collections.abc import Mapping

from distill.report.parts import Block, Collapsible, Note, Part
from distill.report.records import Audit, DataSet, Suspect, TargetSet
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
    suspects = [row for row in entry.audit.worst if row.kind == "suspect"]
    hard = [row for row in entry.audit.worst if row.kind == "hard"]
    path = f"data/audits/{entry.name}.parquet"
    parts: list[Part] = [Note(f"{_counted(entry)} {_confused(entry.audit)} All rows: {path}.")]
    if entry.audit.certainty:
        parts.append(certainty(entry))
    if suspects:
        parts.append(lines("The most suspect labels, the worst first", suspects[:SHOWN]))
    if suspects[SHOWN:]:
        parts.append(Collapsible(f"{len(suspects) - SHOWN} more", (lines("Further suspects", suspects[SHOWN:]),)))
    if hard:
        parts.append(Collapsible(f"Rows that it finds hardest: {len(hard)}", (lines("Hard rows, the hardest first", hard),)))
    return parts


def certainty(entry: TargetSet) -> Table:
    """How sure the teacher is of rows that it has seen, and of those that it has not."""
    found = entry.audit.certainty
    folded = "seen" in found
    names = {
        "seen": "training rows, by a teacher that has seen them",
        "train": f"training rows, {'by one that has not: ' if folded else ''}the soft targets",
        "validation": "validation rows, which no teacher has seen",
    }
    columns: list[Column[tuple[str, Mapping[str, float]]]] = [
        Column("Rows with a label", lambda row: names[row[0]], number=False),
        Column("Labels", lambda row: f"{row[1]['lines']:,}"),
        Column("Confidence", lambda row: percent(row[1]["confidence"]) if "confidence" in row[1] else NONE),
        Column("Accuracy", lambda row: percent(row[1]["accuracy"]) if "accuracy" in row[1] else NONE),
        Column("Entropy (nats)", lambda row: f"{row[1]['entropy']:.3f}" if "entropy" in row[1] else NONE),
        Column("Loss", lambda row: f"{row[1]['loss']:.3f}"),
    ]
    change = f"; folds moved soft targets by {found['change']:.3f} on average" if folded else ""
    change += f", KL {found['kl']:.3f} nats" if "kl" in found else ""
    return make_table(f"How sure {entry.teacher} is{change}", columns, [(key, found[key]) for key in names if key in found])


def lines(caption: str, suspects: list[Suspect]) -> Table:
    """A line a row of the training split."""
    columns: list[Column[Suspect]] = [
        Column("Text", lambda row: shortened(row.text), number=False, prose=True),
        Column("Label", lambda row: row.label or NONE, number=False),
        Column("The teacher says", lambda row: row.teacher or NONE, number=False),
        Column("How surely", lambda row: NONE if row.confidence is None else percent(row.confidence)),
    ]
    return make_table(caption, columns, suspects)


def shortened(text: str) -> str:
    """The beginning of a text, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= SHORT else f"{text[:SHORT].rpartition(' ')[0] or text[:SHORT]} …"


def _counted(entry: TargetSet) -> str:
    audited = entry.audit
    suspects = f"{audited.suspect:,} of {audited.rows:,} training labels ({audited.suspect / audited.rows:.1%})"
    hard = f"finds {audited.hard:,} of the rows hard ({audited.hard / audited.rows:.1%})"
    who = "contradicts, each row judged by one that has not seen it," if "seen" in audited.certainty else "contradicts"
    return f"The teacher {entry.teacher} {who} {suspects} with confidence, which makes them likely errors, and {hard}."


def _confused(audited: Audit) -> str:
    pairs = [(count, label, predicted) for label, others in audited.confused.items() for predicted, count in others.items()]
    if not pairs:
        return ""
    count, label, predicted = max(pairs)
    return f"Most often the label is {label} where it says {predicted}: {count:,} rows."
