"""What the target store holds, its bytes, and what its codecs lost."""

from distill.core.quantities import millions
from distill.report.metric_names import METRIC_NAMES, shown
from distill.report.parts import Block, Note, Part
from distill.report.records import DataSet, GivenAnswers, TargetSet
from distill.report.tables import Column, Table, make_table, percent
from distill.store.output_names import kind_of

LOST = {
    "variance_lost": "{:.2g}% of the variance",
    "kl": "KL {:.1e} nats",
    "total_variation": "right on average, {:.2g} of the mass elsewhere",
    "replayed_kl": "KL {:.1e} nats, if replayed from the last hidden state",
}
KINDS = {
    "logits": "the teacher’s answers",
    "tokens": "what the teacher read",
    "transform": "what its vocabulary is multiplied with",
    "likeliest": "the likeliest tokens, and the mass of all others",
    "draws": "tokens drawn from what it predicts",
    "hidden": "hidden state {}, every token",
    "cls": "hidden state {}, first token",
    **{part: f"{part} of layer {{}}" for part in ("attention", "queries", "keys", "values")},
}


def store(data_set: DataSet) -> Block:
    """A table for each target set; of given ones also whose answers they have."""
    parts: list[Part] = []
    for entry in data_set.targets:
        parts += [holdings(entry), *([Note(answered(entry, data_set.metric))] if entry.given else [])]
    return Block("Store", tuple(parts))


def answered(entry: TargetSet, metric: str) -> str:
    """How many rows were given answers, and how good these are."""
    lines = [f"{part.answered:,} of {part.rows:,} {part.split} rows{_right(part, metric)}" for part in entry.given]
    return f"{entry.name} was given: it has answers for {', '.join(lines)}."


def _right(part: GivenAnswers, metric: str) -> str:
    return "" if part.score is None else f" ({METRIC_NAMES[metric]} {shown(metric, part.score)})"


def holdings(targets: TargetSet) -> Table:
    """A line for each output, the largest first."""
    total = sum(targets.bytes.values())
    columns: list[Column[tuple[str, int]]] = [
        Column("Output", lambda row: row[0], number=False),
        Column("What it is", lambda row: described(row[0]), number=False),
        Column("MB", lambda row: millions(row[1])),
        Column("Share", lambda row: percent(row[1] / total), tint=lambda row: ("hit", row[1] / total)),
        Column("Lost, on held-out rows", lambda row: lost(targets, row[0]), number=False),
    ]
    rows = sorted(targets.bytes.items(), key=lambda row: (-row[1], row[0]))
    return make_table(f"Target set {targets.name}: {millions(total)} MB for {targets.tokens:,} tokens", columns, rows)


def described(output: str) -> str:
    """`hidden-03`: hidden state 3 …"""
    kind, number = kind_of(output)
    return KINDS[kind].format(number)


def lost(targets: TargetSet, output: str) -> str:
    """How far what is kept is from what the teacher computed."""
    losses = targets.losses.get(output, {})
    texts = [form.format(losses[name] * (100 if "%" in form else 1)) for name, form in LOST.items() if name in losses]
    return "; ".join(texts) or "nothing: exact"
