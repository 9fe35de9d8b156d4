"""Labels that a teacher contradicts, and rows that it finds hard, from its cached logits: the teacher is not opened.

What counts as contradicted or hard, and what a teacher that has seen these rows cannot tell, distill/audit_lines.py says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute
from tokenizers import Tokenizer

from distill.audit_lines import KINDS, Lines, answers, classes, numbers, worst_lines
from distill.errors import UserError
from distill.prepared import Dataset, PreparedRows
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS

Array = np.ndarray[Any, np.dtype[Any]]
NOT_AUDITED = {"masked-lm": "the labels of masked-lm are the text itself, which no teacher can contradict"}
"""Tasks that have no labels to audit, and why."""
ROWS_AT_ONCE = 1024
COLUMNS = pa.schema(
    [
        ("example_id", pa.string()),
        ("text", pa.string()),
        ("word", pa.string()),
        ("label", pa.string()),
        ("teacher", pa.string()),
        ("confidence", pa.float64()),
        ("margin", pa.float64()),
        ("loss", pa.float64()),
        ("kind", pa.string()),
    ]
)
"""Of an audit: hexadecimal id; what was read; the word that is tagged (token classification alone); its label, and the teacher's;
the probability of the teacher's label (empty for regression); the probability of the label less that of the best other class
(regression: the error, in deviations from the mean error); −log p(label), nats (regression: the squared error); one of KINDS."""


def audit_store(dataset: Dataset, store: TargetStore) -> pa.Table:
    """The audit of the training split, of which the store has the logits.

    Raises:
        UserError: the store does not fit the data set, or the task has no labels to audit.
    """
    rows = dataset.rows("train")
    logits = train_logits(dataset, store)
    texts, contexts = shown(dataset, rows)
    tokenizer = Tokenizer.from_file(str(dataset.folder / "tokenizer" / "tokenizer.json"))
    return audit(dataset, rows, logits, texts, contexts, tokenizer.decode)


def row_weights(dataset: Dataset, store: TargetStore, weights: Mapping[str, float]) -> Array:
    """What each training row weighs, by its kind in the audit, (rows,) float32; 1 where it has no label, or a kind no weight.

    Raises:
        UserError: the store does not fit the data set, or the task has no labels to audit.
    """
    rows = dataset.rows("train")
    lines = worst_lines(lines_of(dataset, rows, train_logits(dataset, store), shown(dataset, rows)[1]))
    found = np.ones(len(rows), np.float32)
    found[lines.rows] = [weights.get(KINDS[kind], 1.0) for kind in lines.kinds]
    return found


def train_logits(dataset: Dataset, store: TargetStore) -> Array:
    """The teacher's logits of the training split, (vectors, classes) float32.

    Raises:
        UserError: the store does not fit the data set, or the task has no labels to audit.
    """
    require_labels(dataset)
    store.require(dataset, ["train"])
    reader = store.output(LOGITS, "train")
    places = reader.locate(dataset.rows("train").ids)
    starts = range(0, len(places), ROWS_AT_ONCE)
    found: Array = np.concatenate([reader.gather(places[start : start + ROWS_AT_ONCE]).numpy() for start in starts])
    return found


def shown(dataset: Dataset, rows: PreparedRows) -> tuple[list[str], list[str]]:
    """What to show of each training row, parts of pairs on lines of their own; and the context that it is a window of."""
    if rows.examples is not None:
        examples = dataset.examples("train").take(rows.examples)
        contexts = examples["context"].to_pylist()
        return ["\n".join(parts) for parts in zip(examples["question"].to_pylist(), contexts, strict=True)], contexts
    with pa.memory_map(str(dataset.folder / "train.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    parts = [table[name].to_pylist() for name in ("text", "text_pair") if name in table.column_names]
    parts = parts or [[" ".join(words) for words in table["words"].to_pylist()]]
    return ["\n".join(row) for row in zip(*parts, strict=True)], []


def audit(
    dataset: Dataset,
    rows: PreparedRows,
    logits: Array,
    texts: Sequence[str],
    contexts: Sequence[str] = (),
    decode: Callable[[list[int]], str] = str,
) -> pa.Table:
    """Every labelled row, suspects first, then hard ones, each by falling loss.

    Args:
        dataset: Whose rows these are.
        rows: Of its training split.
        logits: The teacher's, (vectors, classes) float32: one a row, or a token, one row after the other.
        texts: What to show of each row.
        contexts: Of each row, which `rows.spans` counts the characters of; question answering alone.
        decode: Tokens into the word that they are of; token classification alone.

    Returns:
        A table of COLUMNS.
    """
    lines = worst_lines(lines_of(dataset, rows, logits, contexts))
    order = np.lexsort((np.arange(len(lines.rows)), -lines.loss, -lines.kinds))
    chosen = lines.rows[order].tolist()
    confidence = [None] * len(order) if dataset.task == "regression" else lines.confidence[order]
    return pa.table(
        {
            "example_id": [rows.ids[row].tobytes().hex() for row in chosen],
            "text": [texts[row] for row in chosen],
            "word": [decode(rows.word(place)) if place >= 0 else None for place in lines.places[order].tolist()],
            "label": lines.labels[order],
            "teacher": lines.own[order],
            "confidence": confidence,
            "margin": lines.margin[order],
            "loss": lines.loss[order],
            "kind": [KINDS[kind] for kind in lines.kinds[order]],
        },
        schema=COLUMNS,
    )


def summary(dataset: Dataset, table: pa.Table) -> dict[str, Any]:
    """How many rows of each kind an audit has, and which labels the suspects have instead of which.

    Returns:
        `task`, `rows`, `suspect`, `hard`, their shares, and `confused`: label → the teacher's label → suspects, of classes alone.
    """
    counts = {kind: sum(value == kind for value in table["kind"].to_pylist()) for kind in ("suspect", "hard")}
    confused: dict[str, dict[str, int]] = {}
    if dataset.task in ("sequence-classification", "token-classification"):
        suspects = table.filter(compute.equal(table["kind"], "suspect"))
        for label, own in zip(suspects["label"].to_pylist(), suspects["teacher"].to_pylist(), strict=True):
            confused.setdefault(label, {}).setdefault(own, 0)
            confused[label][own] += 1
    shares = {f"{kind}_share": count / len(table) if len(table) else 0.0 for kind, count in counts.items()}
    return {"task": dataset.task, "rows": len(table), **counts, **shares, "confused": confused}


def require_labels(dataset: Dataset) -> None:
    """Refuse a task without labels to audit.

    Raises:
        UserError: it is one.
    """
    if dataset.task in NOT_AUDITED:
        raise UserError(f"{dataset.folder}: {NOT_AUDITED[dataset.task]}; audit a target set of another task")


def lines_of(dataset: Dataset, rows: PreparedRows, logits: Array, contexts: Sequence[str] = ()) -> Lines:
    """The labelled lines of a task; of tags a row has several.

    Raises:
        UserError: the task has no labels to audit.
    """
    require_labels(dataset)
    if dataset.task == "regression":
        return numbers(rows.labels, logits[:, 0])
    if dataset.task == "question-answering":
        return answers(rows, logits, contexts)
    tokens = dataset.task == "token-classification"
    owners = np.repeat(np.arange(len(rows)), rows.lengths) if tokens else np.arange(len(rows))
    return classes(logits, rows.labels, owners, dataset.labels, tokens=tokens)
