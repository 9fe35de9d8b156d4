"""What a task is: which head a model has for it, how logits are compared and learnt, and how they are scored.

Three forms of logits occur:
    raw          as the model gives them, padded: (batch, classes), (batch, seq, classes) …
    vectors      as the store keeps them: one vector a row, a real token or a masked position, one row after the other
    comparable   (n, classes): each line a distribution that a student learns and a teacher gives
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn import functional

from distill.prepared import UNLABELLED, Dataset, PreparedRows

Array = np.ndarray[Any, np.dtype[Any]]
Mask = Int[Tensor, "batch seq"] | None
"""1 at real tokens; None if nothing is padded."""
Weights = Float[Tensor, " n"] | None
"""Of lines that are averaged; None if all weigh the same."""


@dataclass(frozen=True)
class Gold:
    """A split that predictions are scored on."""

    rows: PreparedRows
    labels: tuple[str, ...]
    examples: pa.Table | None = None
    """Of question answering: the questions, whose windows the rows are."""
    unanswerable: bool = False
    """Whether "no answer" is a possible answer."""

    @classmethod
    def of(cls, dataset: Dataset, split: str) -> "Gold":
        """A split of a prepared data set."""
        examples = dataset.examples(split) if dataset.task == "question-answering" else None
        return cls(dataset.rows(split), dataset.labels, examples, dataset.unanswerable)


class Task:
    """One line of comparable logits a row, learnt by cross-entropy: what most tasks share."""

    name: str
    auto: str
    """The class of transformers that loads a model with the task's head."""
    per: Literal["row", "token", "position"]
    """What the teacher's logits are one vector of."""
    names_labels = False
    """Whether a model's label names have to be those of the data."""
    continuous = False
    """Whether logits are numbers, and no distribution over classes: then soft targets are learnt by squared error."""

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

    def positions(self, labels: Num[Tensor, "..."], mask: Mask) -> Bool[Tensor, "batch seq"] | None:
        """The tokens at which alone the model's head has to run; None if it runs as it is."""
        return None

    def hard(self, logits: Float[Tensor, "n classes"], labels: Num[Tensor, " n"], weights: Weights = None) -> Float[Tensor, ""]:
        """The loss against labels, the mean by weight over lines that have one; 0 where none has."""
        labelled = labels != UNLABELLED
        if not labelled.any():
            return logits.sum() * 0.0
        losses = functional.cross_entropy(logits[labelled].float(), labels[labelled], reduction="none")
        return weighted_mean(losses, None if weights is None else weights[labelled])

    def kept(
        self, vectors: Float[Tensor, "vectors classes"], labels: Num[Tensor, "..."], mask: Mask
    ) -> Float[Tensor, "vectors kept"]:
        """What scoring needs of a batch's vectors."""
        return vectors

    def judge(self, kept: Array, gold: Gold) -> Array:
        """What each row, or question, adds to the score, (units, …) float64: intervals resample its lines."""
        raise NotImplementedError

    def score(self, metric: str, judged: Array) -> float:
        """A metric, higher is better, over lines that `judge` has made."""
        raise NotImplementedError

    def loss(self, kept: Array, gold: Gold) -> float:
        """The loss against the labels over the whole split."""
        raise NotImplementedError

    def measures(self, kept: Array, gold: Gold) -> dict[str, float]:
        """All that is worth knowing of predictions: the task's metrics and more."""
        raise NotImplementedError

    def relation(self, student: Array, teacher: Array, gold: Gold) -> dict[str, float]:
        """How far a student follows its teacher."""
        raise NotImplementedError


def weighted_mean(losses: Float[Tensor, " n"], weights: Weights) -> Float[Tensor, ""]:
    """Σ wl / Σ w, so that a weight of 0 leaves a line out; 0 where all are."""
    if weights is None:
        return losses.mean()
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def log_softmax(logits: Array) -> Array:
    """Log-probabilities in float64, (n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def closeness(student: Array, teacher: Array) -> dict[str, float]:
    """The share of lines with the same top class, and KL(teacher ‖ student) in nats; from logits, (n, classes)."""
    own, theirs = log_softmax(student), log_softmax(teacher)
    return {
        "agreement": float((student.argmax(axis=1) == teacher.argmax(axis=1)).mean()),
        "kl_from_teacher": float((np.exp(theirs) * (theirs - own)).sum(axis=1).mean()),
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
