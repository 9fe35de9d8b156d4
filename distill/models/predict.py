"""Logits of a data set's rows by a model, in batches of similar length."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from distill.core import progress
from distill.core.arrays import Array
from distill.core.numeric import length_batches
from distill.data.batching import pad_batch, pad_labels
from distill.data.dataset import PreparedRows
from distill.models.evaluating import evaluating
from distill.models.loading import only_positions
from distill.tasks.base import EvaluationSplit, Task

BATCH_TOKENS = 8192
CAUSAL_BATCH_TOKENS = 1024
"""Of causal language models, which have a distribution over the vocabulary at nearly every token."""
Forward = Callable[[dict[str, Tensor], Tensor | None], Tensor]
"""(a batch, the tokens that the head is to run at, None: all) → raw logits"""


def predict(model: PreTrainedModel, task: Task, rows: PreparedRows, title: str) -> Array:
    """What scoring needs of a model's logits over all rows, in their order, float32; in eval mode.

    One line a row, a real token or a masked position, as `task.spec.logits_per` has it; (rows, classes) for classes of rows.
    """
    tokens = CAUSAL_BATCH_TOKENS if task.spec.causal else BATCH_TOKENS
    with evaluating(model):
        kept = predict_by(forward_of(model, task), task, rows, title, tokens)
    return task.tuned(kept, vars(model.config))


def tune(model: PreTrainedModel, task: Task, validation: EvaluationSplit) -> None:
    """Write what the task fits to a trained model's predictions, such as thresholds, into its config."""
    if task.tunes:
        model.config.update(task.tune(predict(model, task, validation.rows, "tune"), validation))


def forward_of(model: PreTrainedModel, task: Task) -> Forward:
    """A model as a function of a batch, and of the tokens that its head is to run at."""

    def forward(batch: dict[str, Tensor], where: Tensor | None) -> Tensor:
        with only_positions(model, None if where is None else where.to(model.device)):
            return task.raw(model(**{name: part.to(model.device) for name, part in batch.items()})).float()

    return forward


def predict_by(forward: Forward, task: Task, rows: PreparedRows, title: str | None, batch_tokens: int = BATCH_TOKENS) -> Array:
    """The same of whatever makes raw logits of a padded batch. Without title no bar is shown."""
    parts: list[Array] = [np.empty(0)] * len(rows)
    with progress.bar(total=len(rows), title=title, unit="row") as bar, torch.inference_mode():
        for chosen in length_batches(rows.lengths, batch_tokens):
            batch, labels = pad_batch(rows, chosen), pad_labels(rows, chosen)
            mask = batch.get("attention_mask")
            where = task.positions(labels, mask)
            logits = forward(batch, where)
            labels, mask = labels.to(logits.device), None if mask is None else mask.to(logits.device)
            vectors = task.kept(task.vectors(logits, mask), labels, mask).cpu().numpy()
            counts = rows.lengths[chosen] if task.spec.logits_per == "token" else np.ones_like(chosen)
            if where is not None:
                counts = where.sum(dim=1).cpu().numpy()
            for row, part in zip(chosen.tolist(), np.split(vectors, np.cumsum(counts)[:-1]), strict=True):
                parts[row] = part
            bar.update(len(chosen))
    return np.concatenate(parts)
