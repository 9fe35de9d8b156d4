"""A student's score against its teacher's with an interval, the means over seeds, and the size of a model."""

from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.numeric import TAILS, bootstrap
from distill.models.loading import weight_files
from distill.tasks.base import Task


def retention(task: Task, metric: str, students: Array, teacher: Array | None) -> dict[str, float]:
    """The student's score, the mean over its seeds, over the teacher's; 95% intervals from a paired bootstrap of the rows.

    `students`, (seeds, units, …), and `teacher`, (units, …), are what `task.judge` says of them. Returns `score_low` and
    `score_high`, and unless the teacher scores 0 or less, or nobody knows its answers, `retention`, `retention_low`,
    `retention_high` and `teacher_score`; none of a single row, nor of a teacher whose correlation is below 0 on more than a 40th
    of the resamples.
    """
    if students.shape[1] < 2:
        return {}

    def scores(units: Array) -> tuple[float, float]:
        reference = 0.0 if teacher is None else task.score(metric, teacher[units])
        return float(np.mean([task.score(metric, student[units]) for student in students])), reference

    rows = students.shape[1]
    drawn = bootstrap(scores, rows)
    low, high = np.quantile(drawn[:, 0], TAILS).tolist()
    found = {"score_low": low, "score_high": high}
    score, reference = scores(np.arange(rows))
    if reference > 0 and (drawn[:, 1] < 0).mean() <= TAILS[0]:
        ratios = np.divide(drawn[:, 0], drawn[:, 1], out=np.ones(len(drawn)), where=drawn[:, 1] > 0)
        low, high = np.quantile(ratios, TAILS).tolist()
        found |= {"retention": score / reference, "retention_low": low, "retention_high": high, "teacher_score": reference}
    return found


def size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """Layers, hidden size, parameters, and bytes of the weights on disk."""
    return {
        "layers": int(model.config.num_hidden_layers),
        "hidden_size": int(model.config.hidden_size),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": sum(file.stat().st_size for file in weight_files(folder)),
    }


def over_seeds(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every measure over seeds, and its sample standard deviation as `NAME_sd` where there are several."""
    means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    if len(runs) > 1:
        means |= {f"{name}_sd": float(np.std([run[name] for run in runs], ddof=1)) for name in runs[0]}
    return means
