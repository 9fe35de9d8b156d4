"""Labels against what a teacher says of them, line by line.

A teacher that was fine-tuned on these very rows is over-confident about them, so no fixed probability means "sure". The
thresholds are those of confident learning (Northcutt, Jiang & Chuang 2021, arXiv 1911.00068, eq. 2): a class is confidently
predicted where its probability reaches the mean that the rows labelled so give to it. Here it has to be the likeliest class
besides: a rare class, which the teacher hardly knows, has a threshold next to nothing. What a teacher has memorized it does
not contradict: counts of suspects are a lower bound. Of a teacher with `folds`, each row is judged by one that has not seen it,
as the paper asks (§3: "predicted probabilities that are out-of-sample").

    suspect   another class is confidently predicted: likely a label error
    hard      the label has less than half of the probability, and no other class is confident

A line is a row, a tag of a row, a row and label (multi-label: its classes are that it applies, and that it does not; ranking:
that a passage is relevant, and that it is not), or the answer of a window (probabilities are geometric means over its start and
its end).
Regression has no probabilities: a line has an error, in standard deviations from the mean error; `hard` from HARD_Z on, `suspect`
from SUSPECT_Z on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.numeric import log_softmax
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.data.text_spans import best_span_in_window
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore

HARD, SUSPECT_Z, HARD_Z = 0.5, 3.0, 2.0
ROWS_AT_ONCE = 1024
"""Rows read from the store."""
KINDS = ("fine", "hard", "suspect")
"""What `Lines.kinds` counts from 0."""


@dataclass(frozen=True)
class Lines:
    """What was labelled and what the teacher says of it, one entry a line."""

    rows: Array
    """(lines,) int64: the row that each is of."""
    labels: Array
    """(lines,) strings"""
    predicted: Array
    """(lines,) strings: the teacher's labels."""
    confidence: Array
    """(lines,) float64: the probability of the teacher's label."""
    margin: Array
    """(lines,) float64: the label's probability less that of the best other class."""
    loss: Array
    """(lines,) float64."""
    kinds: Array
    """(lines,) int64: places in KINDS."""
    places: Array
    """(lines,) int64: the token among those of all rows that each is of; −1 where it is of a whole row."""


def classes(logits: Array, labels: Array, rows: Array, names: Sequence[str], *, tokens: bool = False) -> Lines:
    """Lines that each have a class; those that are UNLABELLED are left out. `tokens`: whether each line is a token.

    Shapes: logits (lines, classes) float32; labels, and the row of each, (lines,) int64.
    """
    labelled = labels != UNLABELLED
    logits, labels, rows = logits[labelled], labels[labelled], rows[labelled]
    logs, each = log_softmax(logits) if len(logits) else logits.astype(np.float64), np.arange(len(labels))
    probabilities = np.exp(logs)
    given, predicted = probabilities[each, labels], probabilities.argmax(axis=1)
    others = probabilities.copy()
    others[each, labels] = -np.inf
    confidence = probabilities[each, predicted]
    contradicted = (predicted != labels) & (confidence >= thresholds(given, labels, len(names))[predicted])
    return Lines(
        rows,
        np.array(names, object)[labels],
        np.array(names, object)[predicted],
        confidence,
        given - others.max(axis=1),
        -logs[each, labels],
        kinds(given < HARD, contradicted),
        np.flatnonzero(labelled) if tokens else np.full(len(labels), -1),
    )


def decisions(logits: Array, labels: Array, names: Sequence[str]) -> Lines:
    """Rows of which each label applies or not, label after label. Shapes: (rows, labels) float32; (rows, labels) int64."""
    rows = np.arange(len(labels))
    parts = [
        classes(np.stack([np.zeros_like(column), column], axis=1), labels[:, label], rows, (f"not {name}", name))
        for label, (name, column) in enumerate(zip(names, logits.T, strict=True))
    ]
    return Lines(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Lines)))


def thresholds(given: Array, labels: Array, classes: int) -> Array:
    """The mean probability that lines give to their label, by label, (classes,) float64; infinite for labels of no line."""
    means = np.full(classes, np.inf)
    for label in np.unique(labels).tolist():
        means[label] = given[labels == label].mean()
    return means


def answers(rows: PreparedRows, logits: Array, contexts: Sequence[str]) -> Lines:
    """Windows that each have an answer, or say with both ends at the first token that they have none.

    The teacher's answer is its likeliest span, or none if that is likelier. It is suspect if it shares no token with the label
    and is as confident as labels of its kind (answers, or none) are on average.
    Shapes: logits (tokens, 2) float32, starts and ends; a context a window.
    """
    if rows.spans is None:
        raise ValueError("these rows are no windows of questions")
    chosen = np.flatnonzero(rows.labels[:, 0] >= 0)
    found = [_window(rows, rows.spans, logits, int(row)) for row in chosen]
    spans, logs, loss, rivals = (np.array(part, np.float64) for part in zip(*found, strict=True)) if found else np.zeros((4, 0))
    confidence, taken, true = np.exp(logs), spans.reshape(-1, 2).astype(np.int64), rows.labels[chosen]
    probability = np.exp(-loss)
    limits = thresholds(probability, (true[:, 0] > 0).astype(np.int64), 2)
    apart = (taken[:, 0] > true[:, 1]) | (true[:, 0] > taken[:, 1])
    contradicted = apart & (confidence >= limits[(taken[:, 0] > 0).astype(np.int64)])
    return Lines(
        chosen,
        _spans(rows, chosen, true, contexts),
        _spans(rows, chosen, taken, contexts),
        confidence,
        probability - np.exp(rivals),
        loss,
        kinds(probability < HARD, contradicted),
        np.full(len(chosen), -1),
    )


def relevant(labels: Array) -> Array:
    """Of how relevant passages are, (rows,) float32, whether they are at all: 1 or 0, UNLABELLED where nobody knows, int64."""
    return np.where(np.isnan(labels), UNLABELLED, labels > 0).astype(np.int64)


def numbers(labels: Array, predicted: Array) -> Lines:
    """Rows that each have a number, (rows,) float32 both; NaN is no label."""
    chosen = np.flatnonzero(np.isfinite(labels))
    errors = predicted[chosen].astype(np.float64) - labels[chosen]
    deviation = float(errors.std()) if len(errors) else 0.0
    z = (errors - errors.mean()) / deviation if deviation else np.zeros(len(errors))
    return Lines(
        chosen,
        np.array([f"{value:g}" for value in labels[chosen].tolist()], object),
        np.array([f"{value:.4g}" for value in predicted[chosen].tolist()], object),
        np.zeros(len(chosen)),
        z,
        np.square(errors),
        kinds(np.abs(z) >= HARD_Z, np.abs(z) >= SUSPECT_Z),
        np.full(len(chosen), -1),
    )


def kinds(hard: Array, suspect: Array) -> Array:
    """Places in KINDS, (lines,) int64."""
    return np.where(suspect, KINDS.index("suspect"), np.where(hard, KINDS.index("hard"), KINDS.index("fine"))).astype(np.int64)


def worst_lines(lines: Lines) -> Lines:
    """Of each row the line that is most suspect, then that of the highest loss, then the first; in the order of rows."""
    order = np.lexsort((np.arange(len(lines.rows)), -lines.loss, -lines.kinds, lines.rows))
    _, firsts = np.unique(lines.rows[order], return_index=True)
    return Lines(*(getattr(lines, field.name)[order[firsts]] for field in fields(lines)))


def _window(rows: PreparedRows, spans: Array, logits: Array, row: int) -> tuple[tuple[int, int], float, float, float]:
    """The teacher's span, its mean log-probability, the label's loss, and the log-probability of the best other span."""
    window = rows.tokens_of(row)
    logs = log_softmax(logits[window].T)
    score, first, last = best_span_in_window(logs.T, spans[window])
    candidates = [(float(logs[:, 0].mean()), (0, 0)), (score / 2, (first, last))]
    log, taken = max(candidates)
    label = tuple(rows.labels[row].tolist())
    rival = max((value for value, place in candidates if place != label), default=-np.inf)
    return taken, log, -float(logs[[0, 1], rows.labels[row]].mean()), rival


def _spans(rows: PreparedRows, chosen: Array, places: Array, contexts: Sequence[str]) -> Array:
    """The characters between two tokens of each window, strings; "" where they say that there is no answer."""
    found = []
    for row, (first, last) in zip(chosen.tolist(), places.tolist(), strict=True):
        spans = rows.spans[rows.tokens_of(row)] if rows.spans is not None else np.zeros((0, 2))
        found.append(contexts[row][int(spans[first, 0]) : int(spans[last, 1])] if last else "")
    return np.array(found, object)


def train_logits(dataset: Dataset, store: TargetStore) -> Array:
    """The teacher's logits of the training split, (vectors, classes) float32; NaN where a given set lacks them."""
    require_labels(dataset)
    store.require(dataset, ["train"])
    reader, rows = store.output(LOGITS, "train"), dataset.rows("train")
    places = reader.find(rows.ids)
    lines = rows.lengths if store.manifest(LOGITS).per == "token" else np.ones_like(rows.lengths)
    logits = np.full((int(lines.sum()), store.manifest(LOGITS).width), np.nan, np.float32)
    known = np.flatnonzero(places >= 0)
    starts = range(0, len(known), ROWS_AT_ONCE)
    found = [reader.gather(places[known[start : start + ROWS_AT_ONCE]]).numpy() for start in starts]
    logits[np.repeat(places >= 0, lines)] = np.concatenate([logits[:0], *found])
    return logits


def _with_logits(rows: PreparedRows, logits: Array) -> PreparedRows:
    """The same rows, without the labels of lines whose logits are lacking."""
    lacking = np.asarray(np.isnan(logits).any(axis=1))
    return rows.without_labels(lacking) if lacking.any() and len(rows.labels) == len(logits) else rows


def require_labels(dataset: Dataset) -> None:
    """Refuse a task without labels to audit."""
    if dataset.spec.not_audited:
        raise UserError(f"{dataset.folder}: {dataset.spec.not_audited}; audit a target set of another task")


def lines_of(dataset: Dataset, rows: PreparedRows, logits: Array, contexts: Sequence[str] = ()) -> Lines:
    """The labelled lines of a task that the teacher has logits for; of tags a row has several."""
    require_labels(dataset)
    rows = _with_logits(rows, logits)
    if dataset.task == "regression":
        return numbers(rows.labels, logits[:, 0])
    if dataset.spec.groups:
        return decisions(logits, relevant(rows.labels)[:, None], ("relevant",))
    if dataset.spec.windows:
        return answers(rows, logits, contexts)
    if dataset.task == "multi-label":
        return decisions(logits, rows.labels, dataset.labels)
    tokens = dataset.spec.labels_per_token
    owners = np.repeat(np.arange(len(rows)), rows.lengths) if tokens else np.arange(len(rows))
    return classes(logits, rows.labels, owners, dataset.labels, tokens=tokens)
