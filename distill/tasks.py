"""What a task is: how its logits are learnt from hard labels, and how they are scored."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch import Tensor
from torch.nn import functional

from distill.prepared import UNLABELLED

Array = np.ndarray[Any, np.dtype[Any]]


def cross_entropy(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Cross-entropy with hard labels, the mean over rows that have one; 0 where none has."""
    labelled = labels != UNLABELLED
    if not labelled.any():
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[labelled].float(), labels[labelled])


def score(metric: str, predictions: Array, labels: Array) -> float:
    """The data set's metric, higher is better: `accuracy`, `macro_f1` or `mcc` of predicted class numbers."""
    if metric == "accuracy":
        return float(accuracy_score(labels, predictions))
    if metric == "macro_f1":
        return float(f1_score(labels, predictions, average="macro", zero_division=0.0))
    return float(matthews_corrcoef(labels, predictions))


def log_softmax(logits: Array) -> Array:
    """Log-probabilities in float64, (rows, classes)."""
    return torch.from_numpy(logits).double().log_softmax(dim=1).numpy()
