"""Soft targets that several teachers give: a labelled row's by the one that has not seen it, others' by the mean of their logits.

The mean is that of logits, as that of `ensembles` is: it serves every task alike (of numbers it is the mean, of distributions
the normalized geometric mean of their probabilities).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.data.batching import pad_batch
from distill.data.dataset import PreparedRows
from distill.models.folds import FurtherTeachers
from distill.models.packed_linear import fast_inference
from distill.params.task_specs import Per
from distill.targets.materialization.running import run_teacher


@dataclass(frozen=True)
class SeveralTeachers:
    """Further teachers, loaded."""

    further: FurtherTeachers
    models: tuple[PreTrainedModel, ...]
    """In their order; of `seeds`, the teacher itself behind them."""

    def fast(self, precision: str) -> "SeveralTeachers":
        """The same, laid out for a pass without gradients."""
        return SeveralTeachers(self.further, tuple(fast_inference(model, precision) for model in self.models))

    def logits(self, rows: PreparedRows, positions: Array, per: Per, precision: str) -> Float32[Tensor, "vectors classes"]:
        """The soft targets of a batch, a vector a row or a token, one row after the other."""
        counts = rows.lengths[positions] if per == "token" else np.ones(len(positions), np.int64)
        answering = self.answering(rows.ids[positions])
        total: Tensor | None = None
        for number, model in enumerate(self.models):
            chosen = np.flatnonzero(answering[:, number])
            if len(chosen) == 0:
                continue
            found, _ = run_teacher(model, pad_batch(rows, positions[chosen]), (), precision)
            total = found.new_zeros(int(counts.sum()), found.shape[1]) if total is None else total
            places = np.flatnonzero(np.repeat(answering[:, number], counts))
            total[torch.from_numpy(places).to(found.device)] += found
        assert total is not None
        asked = torch.from_numpy(np.repeat(answering.sum(axis=1), counts)).to(total.device)
        return total / asked[:, None]

    def answering(self, ids: Array) -> Array:
        """Which of the models answer for which rows, (rows, models) bool."""
        found = self.further.answering(ids)
        return np.concatenate([found, np.ones((len(ids), len(self.models) - self.further.count), bool)], axis=1)
