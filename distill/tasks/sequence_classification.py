"""One class, or one number, a row."""

from typing import Any

import numpy as np
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.tasks.base import EvaluationSplit, Predictions, Task


class SequenceClassification(Task):
    """One of several classes a text, or pair of texts."""

    name = "sequence-classification"
    scores = ("accuracy", "macro_f1", "mcc")

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """The predicted class, the true one, and how many classes the split has rows of: (rows, 3)."""
        labels = split.rows.labels
        return np.stack([kept.argmax(axis=1), labels, np.full(len(labels), len(np.unique(labels)))], axis=1)

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """All of them, and F1 where there are two classes."""
        f1 = {"f1": self.score("f1", self.judge(kept, split))} if kept.shape[1] == 2 else {}
        return {**super().measures(kept, split), **f1}


class Regression(Task):
    """One number a text, or pair of texts: STS-B. Soft targets are the teacher's numbers; no temperature applies."""

    name = "regression"
    scores = ("pearson", "spearman")
    continuous = True
    calibrates = False

    def line_losses(self, logits: Float[Tensor, "n classes"], labels: Num[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Squared error."""
        return functional.mse_loss(logits[:, 0], labels.float(), reduction="none")

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """A number a row."""
        return Predictions(split.rows.labels, kept[:, 0], np.zeros(len(kept), bool), None)

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """Four digits."""
        return f"{value:.4g}"

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """The predicted number and the true one, (rows, 2)."""
        return np.stack([kept[:, 0], split.rows.labels], axis=1).astype(np.float64)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Mean squared error."""
        return float(np.square(np.subtract(*self.judge(kept, split).T)).mean())

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """Both correlations and the mean squared error."""
        found = super().measures(kept, split)
        found["mean_squared_error"] = found.pop("log_loss")
        return found

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """Correlation with the teacher, as `agreement`."""
        return {"agreement": self.score("pearson", np.stack([student[:, 0], teacher[:, 0]], axis=1))}
