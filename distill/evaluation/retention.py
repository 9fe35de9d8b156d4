"""A student's score against its teacher's with an interval, the means over seeds, and the size of a model."""

import warnings
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.tasks.base import Task

RESAMPLES = 2000


def retention(task: Task, metric: str, students: Array, teacher: Array, seed: int = 1) -> dict[str, float]:
    """The student's score, the mean over its seeds, over the teacher's; with a 95% interval from a paired bootstrap of the rows.

    `students`, (seeds, units, …), and `teacher`, (units, …), are what `task.judge` says of them. Returns `retention`,
    `retention_low`, `retention_high`; none if the teacher scores 0 or less, or on a single row.
    """
    if len(teacher) < 2 or task.score(metric, teacher) <= 0:
        return {}

    def ratio(units: Array) -> float:
        reference = task.score(metric, teacher[units])
        score = float(np.mean([task.score(metric, student[units]) for student in students]))
        return score / reference if reference else 1.0

    units = np.arange(len(teacher))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bootstrap((units,), ratio, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed))
    low, high = map(float, found.confidence_interval)
    return {"retention": ratio(units), "retention_low": low, "retention_high": high}


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
