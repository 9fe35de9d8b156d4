"""Classes, confusion, calibration and agreement, from what models say line by line."""

from collections.abc import Sequence

import numpy as np
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as entities_found
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from distill.core.arrays import Array
from distill.data.dataset import OUTSIDE
from distill.data.tag_schemes import to_bio
from distill.evaluation.details import Agreement, Bin, ClassScore, Confusion
from distill.params.task_specs import names_entities
from distill.tasks.base import EvaluationSplit, Predictions, Task
from distill.tasks.calibration import BINS, bins_of

ANSWERED = ("no answer", "answer")


def classes_of(task: Task, lines: Predictions, split: EvaluationSplit) -> tuple[tuple[ClassScore, ...], Confusion | None]:
    """How well each class is found, and which is taken for which; nothing for numbers, masked tokens and answers alone.

    Of several labels a row: how well each is found. Of tags that begin and go on with entities, the scores are those of whole
    entities, and the confusion is that of their types, tag by tag. Of questions of which some have no answer: whether there is
    one.
    """
    if task.spec.windows and split.unanswerable:
        labels, predicted = (np.array([text != "" for text in texts], np.int64) for texts in (lines.labels, lines.predicted))
        return _scores(labels, predicted, ANSWERED), confusion(labels, predicted, ANSWERED)
    if not task.spec.names_labels:
        return (), None
    if lines.labels.dtype == object:
        labels, predicted = (_indicators(sets, len(split.labels)) for sets in (lines.labels, lines.predicted))
        return _scores(labels, predicted, split.labels), None
    if task.spec.labels_per_token and names_entities(split.labels):
        return _entities(lines, split)
    return _scores(lines.labels, lines.predicted, split.labels), confusion(lines.labels, lines.predicted, split.labels)


def _indicators(sets: Array, labels: int) -> Array:
    """(lines,) tuples of labels as (lines, labels) 0 and 1."""
    return np.array([np.isin(np.arange(labels), chosen) for chosen in sets], np.int64)


def confusion(labels: Array, predicted: Array, names: Sequence[str]) -> Confusion:
    """How many lines of each class are taken for which; (lines,) int64 both."""
    counts = confusion_matrix(labels, predicted, labels=np.arange(len(names)))
    return Confusion(tuple(names), tuple(tuple(line) for line in counts.tolist()))


def calibration(lines: Predictions) -> tuple[Bin, ...]:
    """The bins of confidence that some line falls into."""
    if lines.confidence is None or not len(lines.confidence):
        return ()
    bins, edges = bins_of(lines.confidence), np.linspace(0, 1, BINS + 1).tolist()
    counts, confident, right = (np.bincount(bins, each, BINS) for each in (None, lines.confidence.clip(0, 1), lines.right))
    return tuple(
        Bin(edges[i], edges[i + 1], int(counts[i]), float(confident[i] / counts[i]), float(right[i] / counts[i]))
        for i in np.flatnonzero(counts).tolist()
    )


def agreement(student: Predictions, teacher: Predictions) -> Agreement:
    """Lines by who is right."""
    wrong, same = ~student.right & ~teacher.right, student.predicted == teacher.predicted
    return Agreement(
        both=int((student.right & teacher.right).sum()),
        student_only=int((student.right & ~teacher.right).sum()),
        teacher_only=int((~student.right & teacher.right).sum()),
        neither_same=int((wrong & same).sum()),
        neither_differ=int((wrong & ~same).sum()),
    )


def _scores(labels: Array, predicted: Array, names: Sequence[str]) -> tuple[ClassScore, ...]:
    return _listed(names, precision_recall_fscore_support(labels, predicted, labels=np.arange(len(names)), zero_division=0.0))


def _listed(names: Sequence[str], found: Sequence[Array]) -> tuple[ClassScore, ...]:
    """Of precisions, recalls, F1s and supports, (classes,) each."""
    return tuple(
        ClassScore(name, int(support), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, support in zip(names, *found, strict=True)
    )


def _entities(lines: Predictions, split: EvaluationSplit) -> tuple[tuple[ClassScore, ...], Confusion]:
    types = sorted({name[2:] for name in split.labels if name != OUTSIDE})
    number = np.array([len(types) if name == OUTSIDE else types.index(name[2:]) for name in split.labels])
    matrix = confusion(number[lines.labels], number[lines.predicted], [*types, OUTSIDE])
    cuts = np.searchsorted(split.labelled_tokens, split.rows.offsets[1:-1])
    true, found = (
        [list(to_bio([split.labels[tag] for tag in row])) for row in np.split(tags, cuts)]
        for tags in (lines.labels, lines.predicted)
    )
    seen = sorted({tag[2:] for rows in (true, found) for row in rows for tag in row if tag != OUTSIDE})
    return _listed(seen, entities_found(true, found, average=None, zero_division=0)) if seen else (), matrix
