"""The report in a paragraph: which student to take, and how sure one may be of that."""

from distill.report.metric_names import METRIC_NAMES, shown
from distill.report.records import BASELINE, DataSet, Model
from distill.report.tables import best_student, millions, retained


def verdict(data_set: DataSet) -> str:
    """The best student, its retention with a 95% interval, its size beside its teacher's, and the baseline, as plain text."""
    best = best_student(data_set)
    if best is None:
        return f"No student has learnt from {data_set.name} yet."
    sentences = [f"On {data_set.name}, the best student is {best.name}, with {_score(best, data_set.metric)}."]
    return " ".join([*sentences, *_size(data_set.teacher_of(best), best), *_certainty(best), *_baseline(data_set, best)])


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


def _baseline(data_set: DataSet, best: Model) -> list[str]:
    """What distillation was good for: the score of an equally large student that read no targets."""
    if best.recipe == BASELINE:
        return ["It learnt from the labels alone: no distilled student beats it."]
    peers = [model for model in data_set.students if model.recipe == BASELINE and model.parameters == best.parameters]
    if not peers:
        return []
    peer = max(peers, key=lambda model: model.metrics[data_set.metric])
    reached = shown(data_set.metric, peer.metrics[data_set.metric])
    return [f"A student of the same size that learnt from the labels alone, {peer.name}, reaches {reached}."]
