"""The report in a paragraph: what distilling was worth, which student to take, and how sure one may be of that."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.numeric import TAILS, bootstrap
from distill.core.quantities import millions
from distill.report.metric_names import METRIC_NAMES, shown
from distill.report.records import BASELINE, DataSet, Model
from distill.report.tables import best_student, retained
from distill.tasks.scoring import SCORES


def verdict(data_set: DataSet) -> str:
    """What distilling was worth, the best student, what it retains, with 95% intervals, and its size: plain text."""
    best = best_student(data_set)
    if best is None:
        return f"No student has learnt from {data_set.name} yet."
    teacher, units = data_set.teacher_of(best), data_set.units
    sentences = [*_worth(data_set), f"On {data_set.name}, the best student is {best.name}, with {_score(best, data_set)}."]
    return " ".join(
        [
            *sentences,
            *_worthless(teacher, data_set),
            *_size(teacher, best),
            *_certainty(best, units),
            *_baseline(best, data_set.students),
        ]
    )


def one_answer(data_set: DataSet) -> str:
    """Which models give all test rows the same answer, where these have several; empty if none does."""
    lines = []
    for model in data_set.models:
        found = model.detail.confusion if model.detail is not None else None
        said = [] if found is None else [label for label, *counts in zip(found.labels, *found.counts, strict=True) if any(counts)]
        if found is not None and len(said) == 1 and sum(map(any, found.counts)) > 1:
            lines.append(f"{model.label} says “{said[0]}” everywhere: it tells nothing apart.")
    return " ".join(lines)


def _worthless(teacher: Model | None, data_set: DataSet) -> list[str]:
    metric = data_set.metric
    if teacher is None or teacher.metrics.get(metric, 1) > 0:
        return []
    return [f"Its teacher scores {shown(metric, teacher.metrics[metric])}: there is nothing to keep of that."]


def _size(teacher: Model | None, best: Model) -> list[str]:
    if teacher is None:
        return []
    sizes = f"It has {millions(best.parameters)} M parameters, its teacher {millions(teacher.parameters)} M"
    times = teacher.parameters / best.parameters
    return [f"{sizes}: {times:.1f} times fewer." if times >= 1.05 else f"{sizes}."]


def _score(best: Model, data_set: DataSet) -> str:
    metric = data_set.metric
    score = f"{shown(metric, best.metrics[metric])} {METRIC_NAMES[metric]} on the test {data_set.units}"
    if "retention" not in best.metrics:
        return score
    mean = "" if best.further is None else f", which scores {shown(metric, best.metrics['teacher_score'])}"
    return f"{score}: {retained(best, '95% interval ')} of {best.measured_by}{mean}"


def _certainty(best: Model, units: str) -> list[str]:
    if "retention" not in best.metrics:
        return []
    some = best.retention_rows
    rows = f"{best.rows:,} test {units}" if some is None else f"the {some:,} test {units} that its teacher has answered"
    whom = "its teacher" if best.further is None else "this mean"
    if best.metrics["retention_low"] > 1:
        return [f"It is better than {whom} by more than chance on {rows}."]
    if best.metrics["retention_high"] < 1:
        return [f"It is worse than {whom} by more than chance on {rows}."]
    return [f"The interval includes 100%: {rows} do not tell it from {whom}."]


def _baseline(best: Model, students: Sequence[Model]) -> list[str]:
    if best.recipe != BASELINE:
        return []
    distilled = any(model.recipe != BASELINE for model in students)
    return [f"It learnt from the labels alone: no {'distilled student beats it' if distilled else 'student here is distilled'}."]


def _worth(data_set: DataSet) -> list[str]:
    """The best distilled student against the one of its size that learnt from the labels alone, if there is one.

    Both are the best on validation rows: of many students the best on the test rows is ahead there by chance, which no interval
    over these rows shows.
    """
    metric, alone = data_set.metric, [model for model in data_set.students if model.recipe == BASELINE]
    pairs = [
        (model, peer)
        for model in data_set.students
        for peer in alone
        if model.recipe != BASELINE and model.parameters == peer.parameters
    ]
    if not pairs:
        return []
    model, peer = max(pairs, key=lambda pair: (_validated(pair[0], metric), _validated(pair[1], metric)))
    reached = (
        f"{model.name} reaches {shown(metric, model.metrics[metric])} {METRIC_NAMES[metric]}, {peer.name}, as large and taught "
        f"by the labels alone, {shown(metric, peer.metrics[metric])}"
    )
    if not _comparable(model, peer):
        return [f"On {data_set.name}, {reached}."]
    points, low, high = (f"{100 * value:.1f}" for value in difference(model, peer, metric))
    interval = f"95% interval {low} to {high}"
    if float(low) > 0:
        return [f"On {data_set.name}, distilling was worth {points} points ({interval}): {reached}."]
    if float(high) < 0:
        return [f"On {data_set.name}, distilling cost {points.lstrip('-')} points ({interval} points gained): {reached}."]
    unknown = f"{model.rows:,} test {data_set.units} do not tell whether distilling was worth anything"
    return [f"On {data_set.name}, {unknown} ({points} points, {interval}): {reached}."]


def _validated(model: Model, metric: str) -> float:
    """The best validation score, the mean over seeds; where nothing was validated, the test score."""
    best = [max(score for _, score in run.scores) for run in model.runs if run.scores]
    return float(np.mean(best)) if best else model.metrics[metric]


def difference(model: Model, peer: Model, metric: str) -> tuple[float, float, float]:
    """How much better one model scores than another, the means over their seeds, with a 95% interval."""
    task = model.detail.task if model.detail is not None else ""
    own, others = ([judged.rows for judged in each.judged] for each in (model, peer))
    return paired_gain(own, others, lambda rows: SCORES[task](metric, rows))


def paired_gain(rows: Sequence[Array], baseline: Sequence[Array], score: Callable[[Array], Any]) -> tuple[float, float, float]:
    """How much higher what is judged of rows scores than a baseline's, the means over seeds, with a 95% interval.

    It comes from a paired bootstrap of the rows.
    """

    def gain(chosen: Array) -> float:
        first, second = (np.mean([score(judged[chosen]) for judged in side]) for side in (rows, baseline))
        return float(first - second)

    count = len(rows[0])
    low, high = np.quantile(bootstrap(gain, count), TAILS).tolist()
    return gain(np.arange(count)), low, high


def _comparable(model: Model, peer: Model) -> bool:
    """Whether both were judged on the same rows, and more than one."""
    rows = {judged.ids for each in (model, peer) for judged in each.judged}
    return bool(model.detail and model.judged and peer.judged) and len(rows) == 1 and len(next(iter(rows))) > 1
