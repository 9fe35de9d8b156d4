"""The report in a paragraph: what distilling was worth, which student to take, and how sure one may be of that."""

import math

from distill.report.metric_names import METRIC_NAMES, shown
from distill.report.records import BASELINE, DataSet, Model
from distill.report.tables import best_student, millions, retained


def verdict(data_set: DataSet) -> str:
    """What distilling was worth, the best student, what it retains, with 95% intervals, and its size: plain text."""
    best = best_student(data_set)
    if best is None:
        return f"No student has learnt from {data_set.name} yet."
    sentences = [*_worth(data_set), f"On {data_set.name}, the best student is {best.name}, with {_score(best, data_set.metric)}."]
    return " ".join([*sentences, *_size(data_set.teacher_of(best), best), *_certainty(best), *_baseline(best)])


def _size(teacher: Model | None, best: Model) -> list[str]:
    if teacher is None:
        return []
    sizes = f"It has {millions(best.parameters)} M parameters, its teacher {millions(teacher.parameters)} M"
    times = teacher.parameters / best.parameters
    return [f"{sizes}: {times:.1f} times fewer." if times >= 1.05 else f"{sizes}."]


def _score(best: Model, metric: str) -> str:
    score = f"{shown(metric, best.metrics[metric])} {METRIC_NAMES[metric]} on the test rows"
    return f"{score}: {retained(best, '95% interval ')} of its teacher {best.teacher}’s" if "retention" in best.metrics else score


def _certainty(best: Model) -> list[str]:
    if "retention" not in best.metrics:
        return []
    rows = f"{best.rows:,} test rows"
    if best.metrics["retention_low"] > 1:
        return [f"It is better than its teacher by more than chance on {rows}."]
    if best.metrics["retention_high"] < 1:
        return [f"It is worse than its teacher by more than chance on {rows}."]
    return [f"The interval includes 100%: {rows} do not tell it from its teacher."]


def _baseline(best: Model) -> list[str]:
    return ["It learnt from the labels alone: no distilled student beats it."] if best.recipe == BASELINE else []


def _worth(data_set: DataSet) -> list[str]:
    """The best distilled student against the one of its size that learnt from the labels alone, if there is one."""
    metric, alone = data_set.metric, [model for model in data_set.students if model.recipe == BASELINE]
    pairs = [
        (model, peer)
        for model in data_set.students
        for peer in alone
        if model.recipe != BASELINE and model.parameters == peer.parameters
    ]
    if not pairs:
        return []
    model, peer = max(pairs, key=lambda pair: (pair[0].metrics[metric], pair[1].metrics[metric]))
    reached = (
        f"{model.name} reaches {shown(metric, model.metrics[metric])} {METRIC_NAMES[metric]}, {peer.name}, as large and taught "
        f"by the labels alone, {shown(metric, peer.metrics[metric])}"
    )
    if "score_low" not in model.metrics or "score_low" not in peer.metrics:
        return [f"On {data_set.name}, {reached}."]
    points, low, high = (f"{100 * value:.1f}" for value in difference(model, peer, metric))
    interval = f"95% interval {low} to {high}"
    if float(low) > 0:
        return [f"On {data_set.name}, distilling was worth {points} points ({interval}): {reached}."]
    if float(high) < 0:
        return [f"On {data_set.name}, distilling cost {points.lstrip('-')} points ({interval} points gained): {reached}."]
    unknown = f"{model.rows:,} test rows do not tell whether distilling was worth anything"
    return [f"On {data_set.name}, {unknown} ({points} points, {interval}): {reached}."]


def difference(model: Model, peer: Model, metric: str) -> tuple[float, float, float]:
    """How much better one model scores than another, with a 95% interval made of both scores' own (Zou & Donner 2008).

    It takes the scores for independent, which on the same rows they are not: the true interval is rather narrower.
    """
    (first, first_low, first_high), (second, second_low, second_high) = (
        (each.metrics[metric], each.metrics["score_low"], each.metrics["score_high"]) for each in (model, peer)
    )
    middle = first - second
    low = middle - math.hypot(first - first_low, second_high - second)
    return middle, low, middle + math.hypot(first_high - first, second - second_low)
