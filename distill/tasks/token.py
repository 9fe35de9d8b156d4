"""One class a token: entities, slots, parts of speech."""

from typing import Any

import numpy as np
from jaxtyping import Float, Num, Shaped
from seqeval.metrics.sequence_labeling import get_entities
from torch import Tensor

from distill.prepared import UNLABELLED
from distill.tasks.base import Gold, Mask, Task, closeness, cross_entropy

Array = np.ndarray[Any, np.dtype[Any]]


class TokenClassification(Task):
    """A tag for the first sub-word of each word. Soft targets are those of all real tokens."""

    name = "token-classification"
    auto = "AutoModelForTokenClassification"
    per = "token"
    names_labels = True

    def vectors(self, logits: Float[Tensor, "batch seq classes"], mask: Mask) -> Float[Tensor, "tokens classes"]:
        """Logits of the real tokens, one row after the other."""
        return real(logits, mask)

    def align_labels(self, labels: Num[Tensor, "batch seq"], mask: Mask) -> Num[Tensor, " tokens"]:
        """Tags of the real tokens."""
        return real(labels, mask)

    def judge(self, kept: Array, gold: Gold) -> Array:
        """Entities found rightly, found and true; tags found rightly, and all: (rows, 5)."""
        predictions, labels = kept.argmax(axis=1), gold.rows.labels
        counts = []
        for start, stop in zip(gold.rows.offsets[:-1], gold.rows.offsets[1:], strict=True):
            own = labels[start:stop]
            scored = own != UNLABELLED
            true, found = own[scored], predictions[start:stop][scored]
            entities = [set(get_entities([gold.labels[tag] for tag in tags])) for tags in (true, found)]
            counts.append([len(entities[0] & entities[1]), len(entities[1]), len(entities[0]), (true == found).sum(), len(true)])
        return np.array(counts, np.float64).reshape(-1, 5)

    def score(self, metric: str, judged: Array) -> float:
        """`entity_f1`, `entity_precision`, `entity_recall` as CoNLL has them (micro, whole entities), or `token_accuracy`."""
        both, found, true, right, tags = judged.sum(axis=0)
        if metric == "token_accuracy":
            return float(right / tags) if tags else 0.0
        whole = {"entity_f1": (found + true) / 2, "entity_precision": found, "entity_recall": true}[metric]
        return float(both / whole) if whole else 0.0

    def loss(self, kept: Array, gold: Gold) -> float:
        """Cross-entropy, nats a tag."""
        return cross_entropy(kept, gold.rows.labels)

    def measures(self, kept: Array, gold: Gold) -> dict[str, float]:
        """Entity F1, precision, recall, token accuracy and log-loss."""
        judged = self.judge(kept, gold)
        metrics = ("entity_f1", "entity_precision", "entity_recall", "token_accuracy")
        return {**{metric: self.score(metric, judged) for metric in metrics}, "log_loss": self.loss(kept, gold)}

    def relation(self, student: Array, teacher: Array, gold: Gold) -> dict[str, float]:
        """Agreement and KL over scored tokens."""
        scored = gold.rows.labels != UNLABELLED
        return closeness(student[scored], teacher[scored])


def real(values: Shaped[Tensor, "batch seq ..."], mask: Mask) -> Shaped[Tensor, "tokens ..."]:
    """The values of real tokens, one row after the other."""
    return values.flatten(0, 1) if mask is None else values[mask.bool()]
