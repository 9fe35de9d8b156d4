"""One class a token: entities, slots, parts of speech."""

import numpy as np
from jaxtyping import Float, Num, Shaped
from seqeval.metrics.sequence_labeling import get_entities
from torch import Tensor

from distill.core.arrays import Array
from distill.data.averaging import Kind
from distill.data.dataset import UNLABELLED
from distill.tasks.base import EvaluationSplit, Mask, Predictions, Task


class TokenClassification(Task):
    """A tag for the first sub-word of each word. Soft targets are those of all real tokens."""

    name = "token-classification"
    scores = ("entity_f1", "entity_precision", "entity_recall", "token_accuracy")

    @property
    def averaged_over(self) -> Kind:
        """Real tokens."""
        return "tokens"

    def vectors(self, logits: Float[Tensor, "batch seq classes"], mask: Mask) -> Float[Tensor, "tokens classes"]:
        """Logits of the real tokens, one row after the other."""
        return real(logits, mask)

    def align_labels(self, labels: Num[Tensor, "batch seq"], mask: Mask) -> Num[Tensor, " tokens"]:
        """Tags of the real tokens."""
        return real(labels, mask)

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The tag of each labelled token."""
        return Predictions.of_classes(kept[split.labelled_tokens], split.rows.labels[split.labelled_tokens])

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Entities found rightly, found and true; tags found rightly, and all: (rows, 5)."""
        predictions, labels = kept.argmax(axis=1), split.rows.labels
        counts = []
        for start, stop in zip(split.rows.offsets[:-1], split.rows.offsets[1:], strict=True):
            scored = labels[start:stop] != UNLABELLED
            true, found = labels[start:stop][scored], predictions[start:stop][scored]
            entities = [set(get_entities([split.labels[tag] for tag in tags])) for tags in (true, found)]
            counts.append([len(entities[0] & entities[1]), len(entities[1]), len(entities[0]), (true == found).sum(), len(true)])
        return np.array(counts, np.float64).reshape(-1, 5)

    def score(self, metric: str, judged: Array) -> float:
        """`entity_f1`, `entity_precision`, `entity_recall` as CoNLL has them (micro, whole entities), or `token_accuracy`."""
        both, found, true, right, tags = judged.sum(axis=0)
        if metric == "token_accuracy":
            return float(right / tags) if tags else 0.0
        whole = {"entity_f1": (found + true) / 2, "entity_precision": found, "entity_recall": true}[metric]
        return float(both / whole) if whole else 0.0


def real(values: Shaped[Tensor, "batch seq ..."], mask: Mask) -> Shaped[Tensor, "tokens ..."]:
    """The values of real tokens, one row after the other."""
    return values.flatten(0, 1) if mask is None else values[mask.bool()]
