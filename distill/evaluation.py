"""How good a model is, how far it agrees with its teacher, and how sure we may be of it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor
from transformers import PreTrainedModel

from distill import progress
from distill.models import only_positions
from distill.padding import length_batches, pad_batch, pad_labels
from distill.prepared import PreparedRows
from distill.tasks.base import Task

Array = np.ndarray[Any, np.dtype[Any]]
RESAMPLES = 2000
BATCH_TOKENS = 8192
Forward = Callable[[dict[str, Tensor], Tensor | None], Tensor]


def predict(model: PreTrainedModel, task: Task, rows: PreparedRows, title: str) -> Array:
    """What scoring needs of a model's logits over all rows, in their order, float32; in eval mode.

    One line a row, a real token or a masked position, as `task.per` has it; (rows, classes) for classes of rows.
    """
    training = model.training
    model.eval()
    found = predict_by(forward_of(model, task), task, rows, title)
    model.train(training)
    return found


def forward_of(model: PreTrainedModel, task: Task) -> Forward:
    """A model as a function of a batch, and of the tokens that its head is to run at (None: all)."""

    def forward(batch: dict[str, Tensor], where: Tensor | None) -> Tensor:
        with only_positions(model, None if where is None else where.to(model.device)):
            return task.raw(model(**{name: part.to(model.device) for name, part in batch.items()})).float()

    return forward


def predict_by(forward: Forward, task: Task, rows: PreparedRows, title: str | None, batch_tokens: int = BATCH_TOKENS) -> Array:
    """The same of whatever makes raw logits of a padded batch. Without title no bar is shown."""
    found: list[Array] = [np.empty(0)] * len(rows)
    with progress.bar(total=len(rows), title=title, unit="row") as bar, torch.inference_mode():
        for chosen in length_batches(rows.lengths, batch_tokens):
            batch, labels = pad_batch(rows, chosen), pad_labels(rows, chosen)
            mask = batch.get("attention_mask")
            where = task.positions(labels, mask)
            logits = forward(batch, where)
            labels, mask = labels.to(logits.device), None if mask is None else mask.to(logits.device)
            vectors = task.kept(task.vectors(logits, mask), labels, mask).cpu().numpy()
            counts = rows.lengths[chosen] if task.per == "token" else np.ones_like(chosen)
            if where is not None:
                counts = where.sum(dim=1).cpu().numpy()
            for row, part in zip(chosen.tolist(), np.split(vectors, np.cumsum(counts)[:-1]), strict=True):
                found[row] = part
            bar.update(len(chosen))
    return np.concatenate(found)


def retention(task: Task, metric: str, students: Array, teacher: Array, seed: int = 1) -> dict[str, float]:
    """The student's score, the mean over its seeds, over the teacher's; with a 95% interval from a paired bootstrap of the rows.

    Args:
        task: What is scored.
        metric: One of the task's.
        students: What `task.judge` says of the student, (seeds, units, …).
        teacher: The same of the teacher, (units, …).
        seed: Of the resampling.

    Returns:
        `retention`, `retention_low`, `retention_high`; none if the teacher scores 0 or less, or on a single row.
    """
    if len(teacher) < 2 or task.score(metric, teacher) <= 0:
        return {}

    def ratio(units: Array) -> float:
        reference = task.score(metric, teacher[units])
        own = float(np.mean([task.score(metric, student[units]) for student in students]))
        return own / reference if reference else 1.0

    units = np.arange(len(teacher))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interval = bootstrap(
            (units,), ratio, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
        ).confidence_interval
    return {"retention": ratio(units), "retention_low": float(interval.low), "retention_high": float(interval.high)}


def size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """Layers, hidden size, parameters, and bytes of the weights on disk."""
    return {
        "layers": int(model.config.num_hidden_layers),
        "hidden_size": int(model.config.hidden_size),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
    }


def over_seeds(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every measure over seeds, and its sample standard deviation as `NAME_sd` where there are several."""
    means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    if len(runs) > 1:
        means |= {f"{name}_sd": float(np.std([run[name] for run in runs], ddof=1)) for name in runs[0]}
    return means
