"""What a task is: which head a model has for it, how logits are compared and trained, and how they are scored.

Three forms of logits occur:
    raw          as the model gives them, padded: (batch, classes), (batch, seq, classes) …
    vectors      as the store keeps them: one vector a row, a real token or a masked position, one row after the other
    comparable   (n, classes): each line a distribution that a student learns and a teacher gives
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.numeric import log_softmax
from distill.data.averaging import Kind
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.params.task_specs import TASK_SPECS, TaskSpec
from distill.tasks.calibration import calibration_error
from distill.tasks.judged import Judged
from distill.tasks.scoring import SCORES

HARD_LABELS = "hard_labels"
"""The name, in a run's curves, of the loss against the labels, which sample weights apply to."""

NO_LOGIT = -1e6
"""The logit of padding: its probability is 0 in fp32, and its difference between two models is finite."""

Mask = Int[Tensor, "batch seq"] | None
"""1 at real tokens; None if nothing is padded."""

Weights = Float[Tensor, " n"] | None
"""Of lines that are averaged; None if all weigh the same."""


@dataclass(frozen=True)
class EvaluationSplit:
    """A split that predictions are scored on."""

    rows: PreparedRows
    labels: tuple[str, ...]
    examples: pa.Table | None = None
    """Of question answering: the questions, whose windows the rows are."""
    unanswerable: bool = False
    """Whether "no answer" is a possible answer."""
    expected: Array | None = None
    """Sentence embedding: how alike the teacher finds the pairs that are scored, (pairs,) float64; None if it was not asked."""
    bytes: int | None = None
    """Of causal language models: UTF-8 bytes of the text that is to be predicted."""
    conversations: bool = False
    """Of causal language models: whether rows are conversations, of which responses alone are predicted."""

    @classmethod
    def from_dataset(cls, dataset: Dataset, split: str) -> "EvaluationSplit":
        """A split of a prepared data set."""
        examples = dataset.examples(split) if dataset.spec.windows else None
        counts = dataset.splits[split].get("counts", {})
        own = {"bytes": counts.get("bytes"), "conversations": "conversations" in counts}
        return cls(dataset.rows(split), dataset.labels, examples, dataset.unanswerable, **own)

    def part(self, chosen: Array) -> "EvaluationSplit":
        """Some of the rows, which are no windows; `chosen` are their numbers."""
        return replace(self, rows=self.rows.take(chosen), bytes=None, expected=None)

    @property
    def labelled_tokens(self) -> Array:
        """Of tags and masked tokens: the places of those with a label among the tokens of all rows, (lines,) int64."""
        return np.flatnonzero(self.rows.labels != UNLABELLED)


@dataclass(frozen=True)
class Predictions:
    """What a model predicts line by line: of each row, question, tag or masked token."""

    labels: Array
    """(lines,) int64 classes or token ids, strings, float32 numbers, or tuples of labels."""
    predicted: Array
    """(lines,) the same of the model."""
    right: Array
    """(lines,) bool; of numbers, none is."""
    confidence: Array | None
    """(lines,) float64: the probability of what is predicted; None of numbers."""

    @classmethod
    def of_classes(cls, logits: Array, labels: Array) -> "Predictions":
        """Of lines that have one of several classes each: logits (lines, classes), labels (lines,)."""
        predicted = logits.argmax(axis=1)
        return cls(labels, predicted, predicted == labels, np.exp(log_softmax(logits).max(axis=1)))


class Task:
    """One line of comparable logits a row, trained by cross-entropy: what most tasks share."""

    name: str
    scores: tuple[str, ...]
    """The metrics that `measures` gives."""
    tunes = False
    """Whether something is fitted to a trained model's predictions: `tune` and `tuned`."""
    calibrates = True
    """Whether confidence is that of logits which one temperature divides, and right or wrong is all there is."""
    continuous = False
    """Whether logits are numbers, and no distribution over classes: then the loss of soft targets is the squared error."""

    @property
    def spec(self) -> TaskSpec:
        """What else differs between tasks."""
        return TASK_SPECS[self.name]

    @property
    def averaged_over(self) -> Kind:
        """What the losses between lines of logits are means over."""
        return "rows"

    def raw(self, outputs: Any) -> Float[Tensor, "..."]:
        """The logits among a model's outputs."""
        logits: Tensor = outputs.logits
        return logits

    def vectors(self, logits: Float[Tensor, "..."], mask: Mask) -> Float[Tensor, "vectors classes"]:
        """Raw logits in the form of the store."""
        return logits

    def comparable(self, vectors: Float[Tensor, "vectors classes"], mask: Mask) -> Float[Tensor, "n classes"]:
        """The store's logits, each line one distribution."""
        return vectors

    def align(self, logits: Float[Tensor, "..."], mask: Mask) -> Float[Tensor, "n classes"]:
        """Raw logits, each line one distribution."""
        return self.comparable(self.vectors(logits, mask), mask)

    def align_labels(self, labels: Num[Tensor, "..."], mask: Mask) -> Num[Tensor, " n"]:
        """A batch's labels, one for each line."""
        return labels

    def mean_by_row(self, lines: Float[Tensor, " n"], mask: Int[Tensor, "batch seq"]) -> Float[Tensor, " batch"]:
        """The mean over the lines of each row, of a number a line, NaN where it has no target; of a row without any, NaN."""
        return lines.reshape(len(mask), -1).nanmean(dim=1)

    def positions(self, labels: Num[Tensor, "..."], mask: Mask) -> Bool[Tensor, "batch seq"] | None:
        """The tokens at which alone the model's head has to run; None if it runs as it is."""
        return None

    def label_loss(
        self, logits: Float[Tensor, "n classes"], labels: Num[Tensor, " n"], weights: Weights = None
    ) -> Float[Tensor, ""]:
        """The loss against labels, the mean by weight over lines that have one; 0 where none has."""
        labelled = labels.isfinite() if labels.is_floating_point() else labels != UNLABELLED
        if not labelled.any():
            return logits.sum() * 0.0
        losses = self.line_losses(logits[labelled].float(), labels[labelled])
        return weighted_mean(losses, None if weights is None else weights[labelled])

    def line_losses(self, logits: Float[Tensor, "n classes"], labels: Num[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Of each line that has a label: cross-entropy."""
        return functional.cross_entropy(logits, labels, reduction="none")

    def kept(
        self, vectors: Float[Tensor, "vectors classes"], labels: Num[Tensor, "..."], mask: Mask
    ) -> Float[Tensor, "vectors kept"]:
        """What scoring needs of a batch's vectors."""
        return vectors

    def tune(self, kept: Array, split: EvaluationSplit) -> dict[str, Any]:
        """What is fitted to predictions on the validation split, and written into a trained model's config."""
        return {}

    def tuned(self, kept: Array, config: Mapping[str, Any]) -> Array:
        """What scoring needs, by what `tune` has written into the model's config."""
        return kept

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """What is predicted of each line; `kept` is what `distill.models.predict.predict` gives."""
        return Predictions.of_classes(kept, split.rows.labels)

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """A label or prediction as people read it."""
        name: str = split.labels[value]
        return name

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """What each row, or question, adds to the score, (units, …) float64: intervals resample its lines."""
        raise NotImplementedError

    def ids(self, split: EvaluationSplit) -> list[str]:
        """What tells each row, or question, from the others."""
        if split.examples is not None:
            given: list[str] = split.examples.column("id").to_pylist()
            return given
        return [row.tobytes().hex() for row in split.rows.ids]

    def judged(self, kept: Array, split: EvaluationSplit) -> Judged:
        """Each row, or question, with its confidence; of the tags of a row all have to be right, and the least sure counts.

        A language model has none: what it says of a text that is there is no answer that somebody could send on.
        """
        rows, lines, ids = self.judge(kept, split), self.lines(kept, split), self.ids(split)
        confidence, right = None if self.spec.vocabulary else lines.confidence, lines.right
        if self.spec.labels_per_token:
            places = np.searchsorted(split.rows.offsets, split.labelled_tokens, side="right") - 1
            right = np.ones(len(rows), bool)
            np.logical_and.at(right, places, lines.right)
            if (sure := confidence) is not None:
                confidence = np.ones(len(rows))
                np.minimum.at(confidence, places, sure)
        return Judged(tuple(ids), confidence, right, rows)

    def expecting(self, split: EvaluationSplit, judged: Array) -> EvaluationSplit:
        """The split, with what `judge` says of a teacher on it, where a task has nothing else to score by."""
        return split

    def rows_of(self, line: int, split: EvaluationSplit) -> list[int]:
        """The rows that a line of `lines` belongs to, where each is of whole rows."""
        return [line]

    def distributions(self, kept: Array, split: EvaluationSplit) -> tuple[Array, Array]:
        """Logits (lines, classes) and labels (lines,) of all lines that have a label: what a temperature is fitted to."""
        labelled = split.rows.labels != UNLABELLED
        return kept[labelled], split.rows.labels[labelled]

    def score(self, metric: str, judged: Array) -> float:
        """A metric, higher is better, over lines that `judge` has made: distill/tasks/scoring.py."""
        return SCORES[self.name](metric, judged)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """The loss against the labels over the whole split: cross-entropy, nats a line."""
        return cross_entropy(kept, split.rows.labels)

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """All scores of predictions, the loss as `log_loss`, and the expected calibration error of their confidence."""
        judged = self.judge(kept, split)
        found = {**{metric: self.score(metric, judged) for metric in self.scores}, "log_loss": self.loss(kept, split)}
        return found | ({"calibration_error": self.calibration_error(kept, split)} if self.calibrates else {})

    def calibration_error(self, kept: Array, split: EvaluationSplit) -> float:
        """How far the confidence of lines is from the share of them that is right."""
        lines = self.lines(kept, split)
        return 0.0 if lines.confidence is None else calibration_error(lines.confidence, lines.right)

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """How far a student follows its teacher: agreement, and KL, over lines with a label."""
        labelled = split.rows.labels != UNLABELLED
        return closeness(student[labelled], teacher[labelled])


def weighted_mean(losses: Float[Tensor, " n"], weights: Weights) -> Float[Tensor, ""]:
    """Σ wl / Σ w, so that a weight of 0 leaves a line out; 0 where all are."""
    if weights is None:
        return losses.mean()
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def closeness(student: Array, teacher: Array) -> dict[str, float]:
    """The share of lines with the same top class, and KL(teacher ‖ student) in nats; from logits, (n, classes)."""
    student_logs, teacher_logs = log_softmax(student), log_softmax(teacher)
    return {
        "agreement": float((student.argmax(axis=1) == teacher.argmax(axis=1)).mean()),
        "kl_from_teacher": float((np.exp(teacher_logs) * (teacher_logs - student_logs)).sum(axis=1).mean()),
    }


def cross_entropy(logits: Array, labels: Array) -> float:
    """The mean of −log p(label), nats, over lines that have a label."""
    labelled = labels != UNLABELLED
    chosen = log_softmax(logits[labelled])[np.arange(int(labelled.sum())), labels[labelled]]
    return -float(chosen.mean()) if len(chosen) else 0.0


def totals(values: Array, counts: Sequence[int] | Array) -> Array:
    """Sums of the values of each row, (rows, …); `counts` says how many each has."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    running = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0, dtype=np.float64)])
    result: Array = running[ends[1:]] - running[ends[:-1]]
    return result


def real_tokens(values: Shaped[Tensor, "batch seq ..."], mask: Mask) -> Shaped[Tensor, "tokens ..."]:
    """The values of real tokens, one row after the other."""
    return values.flatten(0, 1) if mask is None else values[mask.bool()]
