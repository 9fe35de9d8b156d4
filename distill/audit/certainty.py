"""How sure a teacher is of rows that it has seen, and of rows that it has not.

The gap says how much of its soft targets it has learnt by heart. Of a teacher with `folds`, the same rows are answered for by one
that has seen them, too: what folds have changed.

Lines are labels: of rows, of tags, of a row and a label (multi-label), relevant or not (ranking); of windows the first and the
last token of the answer.
"""

from typing import Any

import numpy as np

from distill.audit.confident_learning import relevant
from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.core.numeric import log_sigmoid, log_softmax
from distill.data.averaging import labels_a_row
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.models.folds import NO_FOLD, FurtherTeachers
from distill.models.predict import forward_of, predict_by
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore
from distill.tasks.registry import task_of

MOST_ROWS = 2048
"""Rows with a label, of the lowest example ids, that are looked at."""


def certainty(dataset: Dataset, store: TargetStore, further: FurtherTeachers | None) -> dict[str, Any]:
    """Figures of the soft targets of labelled training and of validation rows; with folds, also of teachers that saw the former.

    By rows, `train`, `validation` and `seen`: `lines`, and the means of `confidence` (of the likeliest class), `accuracy`,
    `entropy` and `loss` (nats), of numbers of `loss` (squared error) alone. `change`: the mean of |Δp| over a line's classes,
    summed, halved (total variation; of numbers |Δ|), and `kl`, KL(unseen ‖ seen) in nats, from seen to unseen.
    """
    rows = dataset.rows("train")
    held = further is not None and (further.fold_of(rows.ids)[labels_a_row(rows) > 0] != NO_FOLD).any()
    folded = further if held else None
    chosen = {"train": _first_labelled(dataset.rows("train"), folded), "validation": _first_labelled(dataset.rows("validation"))}
    logits = {split: _stored(store, split, rows) for split, rows in chosen.items()}
    found: dict[str, Any] = {split: figures(dataset, rows, logits[split]) for split, rows in chosen.items()}
    if folded is not None:
        seen = seen_logits(dataset, folded, chosen["train"])
        found["seen"] = figures(dataset, chosen["train"], seen)
        found |= difference(dataset, chosen["train"], logits["train"], seen)
    return found


def seen_logits(dataset: Dataset, further: FurtherTeachers, rows: PreparedRows) -> Array:
    """What the next fold's teacher, which was taught each row, says of it, (vectors, classes) float32; all rows are in folds."""
    task, fold = task_of(dataset.task), further.fold_of(rows.ids)
    parts: list[Array] = [np.empty(0)] * len(rows)
    for number in np.unique((fold + 1) % further.count).tolist():
        chosen = np.flatnonzero((fold + 1) % further.count == number)
        model = further.load(number, dataset).to(best_device())
        answers = predict_by(forward_of(model, task), task, rows.take(chosen), "audit")[:, : len(dataset.labels)]
        counts = rows.lengths[chosen] if task.spec.logits_per == "token" else np.ones(len(chosen), np.int64)
        for row, part in zip(chosen.tolist(), np.split(answers, np.cumsum(counts)[:-1]), strict=True):
            parts[row] = part
    return np.concatenate(parts)


def figures(dataset: Dataset, rows: PreparedRows, logits: Array) -> dict[str, Any]:
    """The means over the labels of some rows; `logits` are vectors as the store has them."""
    if dataset.task == "regression":
        errors = logits[:, 0].astype(np.float64) - rows.labels
        return {"lines": len(errors), "loss": float(np.square(errors).mean())}
    logs, labels = lines(dataset, rows, logits)
    return {
        "lines": len(labels),
        "confidence": float(np.exp(logs.max(axis=1)).mean()),
        "accuracy": float((logs.argmax(axis=1) == labels).mean()),
        "entropy": float(-_expected(logs, logs).mean()),
        "loss": float(-logs[np.arange(len(labels)), labels].mean()),
    }


def difference(dataset: Dataset, rows: PreparedRows, unseen: Array, seen: Array) -> dict[str, float]:
    """How far answers of teachers that have not seen the rows are from those of teachers that have."""
    if dataset.task == "regression":
        return {"change": float(np.abs(unseen - seen).mean())}
    (logs, _), (others, _) = lines(dataset, rows, unseen), lines(dataset, rows, seen)
    change = np.abs(np.exp(logs) - np.exp(others)).sum(axis=1) / 2
    return {"change": float(change.mean()), "kl": float((_expected(logs, logs) - _expected(logs, others)).mean())}


def lines(dataset: Dataset, rows: PreparedRows, logits: Array) -> tuple[Array, Array]:
    """Of labelled lines, log-probabilities, (lines, classes) float64, −∞ where a window is shorter than others, and labels."""
    if dataset.task == "multi-label":
        logs, labels = np.stack([log_sigmoid(-logits), log_sigmoid(logits)], axis=2).reshape(-1, 2), rows.labels.ravel()
    elif dataset.spec.groups:
        logs, labels = np.concatenate([log_sigmoid(-logits), log_sigmoid(logits)], axis=1), relevant(rows.labels)
    elif dataset.spec.windows:
        logs, labels = np.full((2 * len(rows), int(rows.lengths.max())), -np.inf), rows.labels.ravel()
        for row, (start, stop) in enumerate(zip(rows.offsets[:-1].tolist(), rows.offsets[1:].tolist(), strict=True)):
            logs[2 * row : 2 * row + 2, : stop - start] = log_softmax(logits[start:stop].T)
    else:
        logs, labels = log_softmax(logits), rows.labels
    labelled = labels != UNLABELLED
    return logs[labelled], labels[labelled]


def _expected(logs: Array, values: Array) -> Array:
    """Σ p·value of each line, 0·∞ being 0."""
    found: Array = (np.exp(logs) * np.where(np.isfinite(logs), values, 0.0)).sum(axis=1)
    return found


def _first_labelled(rows: PreparedRows, further: FurtherTeachers | None = None) -> PreparedRows:
    labelled = labels_a_row(rows) > 0
    if further is not None:
        labelled &= further.fold_of(rows.ids) != NO_FOLD
    firsts = rows.firsts()
    return rows.take(firsts[labelled[firsts]][:MOST_ROWS])


def _stored(store: TargetStore, split: str, rows: PreparedRows) -> Array:
    reader = store.output(LOGITS, split)
    found: Array = reader.gather(reader.locate(rows.ids)).numpy()
    return found
