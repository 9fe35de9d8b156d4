"""Any number of labels a row, each of which applies or does not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.numeric import log_sigmoid
from distill.data.dataset import UNLABELLED
from distill.tasks.base import EvaluationSplit, Mask, Predictions, Task, closeness

THRESHOLD = 0.5
"""Of a label whose threshold could not be tuned."""
MARGIN = 1e-9
"""A threshold is at least so far from 0 and 1."""
NOTHING = "(none)"


class MultiLabel(Task):
    """A decision for each label of a text, or pair of texts: a line is a row and label, a distribution over "no" and "yes".

    softmax(0, z) = (1 − σ(z), σ(z)), so cross-entropy is the binary one of σ(z), and KL that of two Bernoulli distributions,
    whose gradient is that of the binary cross-entropy between σ(z_s/T) and σ(z_t/T).
    """

    name = "multi-label"
    scores = ("micro_f1", "macro_f1", "map", "exact_match")
    tunes = True

    def comparable(self, vectors: Float[Tensor, "rows labels"], mask: Mask) -> Float[Tensor, "n two"]:
        """(0, z) of each row and label, row by row."""
        return torch.stack([torch.zeros_like(vectors), vectors], dim=-1).flatten(0, 1)

    def align_labels(self, labels: Num[Tensor, "rows labels"], mask: Mask) -> Num[Tensor, " n"]:
        """0 or 1 for each row and label, row by row."""
        return labels.flatten()

    def kept(
        self, vectors: Float[Tensor, "rows labels"], labels: Num[Tensor, "rows labels"], mask: Mask
    ) -> Float[Tensor, "rows twice"]:
        """Of each row its logits, and then how far each is above the threshold of its label: here 0.5."""
        return torch.cat([vectors, vectors], dim=1)

    def tune(self, kept: Array, split: EvaluationSplit) -> dict[str, Any]:
        """`thresholds`: the probability from which on each label applies, that of the highest F1 of this label alone."""
        probabilities = np.exp(log_sigmoid(_logits(kept)))
        return {"thresholds": [best_threshold(*label) for label in zip(probabilities.T, split.rows.labels.T, strict=True)]}

    def tuned(self, kept: Array, config: Mapping[str, Any]) -> Array:
        """The same with the config's thresholds."""
        thresholds = np.array(config.get("thresholds") or THRESHOLD)
        logits = _logits(kept).astype(np.float64)
        return np.concatenate([logits, logits - np.log(thresholds / (1 - thresholds))], axis=1)

    def distributions(self, kept: Array, split: EvaluationSplit) -> tuple[Array, Array]:
        """(0, z) of each row and label, (rows × labels, 2), and whether it applies."""
        logits, labels = _logits(kept).ravel(), split.rows.labels.ravel()
        labelled = labels != UNLABELLED
        return np.stack([np.zeros(labelled.sum()), logits[labelled]], axis=1), labels[labelled]

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The labels of each row, as a tuple; confidence is the product of the probabilities of all its decisions."""
        decided, logits = _decided(kept), _logits(kept)
        labels, predicted = _tuples(split.rows.labels == 1), _tuples(decided)
        sure = log_sigmoid(np.where(decided, logits, -logits)).sum(axis=1)
        return Predictions(labels, predicted, np.asarray(labels == predicted, bool), np.exp(sure))

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """All labels of a row."""
        return ", ".join(split.labels[label] for label in value) or NOTHING

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Of each row and label the decision, the truth and the logit: (rows, 3, labels)."""
        return np.stack([_decided(kept), split.rows.labels == 1, _logits(kept)], axis=1).astype(np.float64)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Binary cross-entropy, nats a row and label."""
        logits = _logits(kept)
        return -float(log_sigmoid(np.where(split.rows.labels == 1, logits, -logits)).mean())

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """The share of rows and labels that both decide alike, each by its own thresholds; KL in nats a row and label."""
        pairs = (np.stack([np.zeros(logits.size), logits.ravel()], axis=1) for logits in map(_logits, (student, teacher)))
        return {**closeness(*pairs), "agreement": float((_decided(student) == _decided(teacher)).mean())}


def best_threshold(probabilities: Array, true: Array) -> float:
    """The probability from which on a label is said to apply so that its F1 is highest; of several, the nearest to 0.5.

    Shapes: (rows,) float64; (rows,) int64, 1 where it does. A label that no row has keeps 0.5.
    """
    if not (true == 1).any():
        return THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    upper, lower = probabilities[order], np.append(probabilities[order][1:], 0.0)
    f1 = 2 * np.cumsum(true[order]) / (np.arange(1, len(true) + 1) + true.sum())
    f1[upper == lower] = -1
    middle = np.where((lower < THRESHOLD) & (upper >= THRESHOLD), THRESHOLD, (upper + lower) / 2).clip(MARGIN, 1 - MARGIN)
    best = middle[f1 == f1.max()]
    return float(best[np.abs(best - THRESHOLD).argmin()])


def _logits(kept: Array) -> Array:
    return kept[:, : kept.shape[1] // 2]


def _decided(kept: Array) -> Array:
    return np.asarray(kept[:, kept.shape[1] // 2 :] >= 0)


def _tuples(applies: Array) -> Array:
    """(rows,) objects: the labels of each row."""
    return np.fromiter((tuple(np.flatnonzero(row).tolist()) for row in applies), object, len(applies))
