"""The word behind each mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.data.averaging import Kind
from distill.data.dataset import UNLABELLED
from distill.tasks.base import EvaluationSplit, Mask, Predictions, Task, totals


@dataclass(frozen=True)
class MaskedLm(Task):
    """Masked language modelling. A model's head runs at the masked tokens alone, so its raw logits are (positions, vocabulary).

    With `every_token` it runs at every real token, and soft targets are those of all of them; hard labels are of the masked ones.
    """

    every_token: bool = False

    name = "masked-lm"
    scores = ("accuracy",)
    calibrates = False

    @property
    def averaged_over(self) -> Kind:
        """Masked tokens, each of which has a label."""
        return "tokens" if self.every_token else "labels"

    def positions(self, labels: Num[Tensor, "batch seq"], mask: Mask) -> Bool[Tensor, "batch seq"]:
        """The tokens whose logits are wanted."""
        if self.every_token:
            return torch.ones_like(labels, dtype=torch.bool) if mask is None else mask.bool()
        return labels != UNLABELLED

    def align_labels(self, labels: Num[Tensor, "batch seq"], mask: Mask) -> Num[Tensor, " positions"]:
        """The original tokens at these positions."""
        return labels[self.positions(labels, mask)]

    def kept(
        self, vectors: Float[Tensor, "vectors classes"], labels: Num[Tensor, "batch seq"], mask: Mask
    ) -> Float[Tensor, "vectors kept"]:
        """Of each masked position the log-probability of the true token, the likeliest one, and the log-probability of that."""
        true, logs = self.align_labels(labels, mask), vectors.float().log_softmax(dim=-1)
        likeliest = vectors.argmax(dim=-1)
        found = logs.gather(1, torch.stack([true.clamp(min=0), likeliest], dim=1))
        return torch.stack([found[:, 0], likeliest.float(), found[:, 1]], dim=1)

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The likeliest token behind each mask."""
        labels, predicted = split.rows.labels[split.labelled_tokens], kept[:, 1].astype(np.int64)
        return Predictions(labels, predicted, predicted == labels, np.exp(kept[:, 2].astype(np.float64)))

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """The token's text."""
        return str(tokenizer.decode([int(value)])).strip()

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Of each row the log-probabilities' sum, the positions predicted rightly, and all: (rows, 3)."""
        masked = split.rows.labels != UNLABELLED
        counts = totals(masked, split.rows.lengths).astype(np.int64)
        right = kept[:, 1] == split.rows.labels[masked]
        return totals(np.stack([kept[:, 0], right, np.ones(len(kept))], axis=1), counts)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Cross-entropy, nats a masked token."""
        return -self.score("log_likelihood", self.judge(kept, split))

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """Accuracy, log-loss, and perplexity (its exponential)."""
        found = super().measures(kept, split)
        return {**found, "perplexity": float(np.exp(found["log_loss"]))}

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """The share of masked positions at which both find the same token likeliest."""
        return {"agreement": float((student[:, 1] == teacher[:, 1]).mean())}
