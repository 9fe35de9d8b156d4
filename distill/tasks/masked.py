"""The word behind each mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from distill.prepared import UNLABELLED
from distill.tasks.base import Gold, Mask, Task, totals

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class MaskedLm(Task):
    """Masked language modelling. A model's head runs at the masked tokens alone, so its raw logits are (positions, vocabulary).

    With `every_token` it runs at every real token, and soft targets are those of all of them; hard labels are of the masked ones.
    """

    every_token: bool = False

    name = "masked-lm"
    auto = "AutoModelForMaskedLM"
    per = "position"

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

    def judge(self, kept: Array, gold: Gold) -> Array:
        """Of each row the log-probabilities' sum, the positions found rightly, and all: (rows, 3)."""
        masked = gold.rows.labels != UNLABELLED
        counts = totals(masked, gold.rows.lengths).astype(np.int64)
        right = kept[:, 1] == gold.rows.labels[masked]
        return totals(np.stack([kept[:, 0], right, np.ones(len(kept))], axis=1), counts)

    def score(self, metric: str, judged: Array) -> float:
        """`accuracy`: the share of masked tokens found; or `log_likelihood`, nats a masked token."""
        log_probability, right, count = judged.sum(axis=0)
        return float((log_probability if metric == "log_likelihood" else right) / count)

    def loss(self, kept: Array, gold: Gold) -> float:
        """Cross-entropy, nats a masked token."""
        return -self.score("log_likelihood", self.judge(kept, gold))

    def measures(self, kept: Array, gold: Gold) -> dict[str, float]:
        """Accuracy, log-loss, and perplexity (its exponential)."""
        loss = self.loss(kept, gold)
        return {
            "accuracy": self.score("accuracy", self.judge(kept, gold)),
            "log_loss": loss,
            "perplexity": float(np.exp(loss)),
        }

    def relation(self, student: Array, teacher: Array, gold: Gold) -> dict[str, float]:
        """The share of masked positions at which both find the same token likeliest."""
        return {"agreement": float((student[:, 1] == teacher[:, 1]).mean())}
