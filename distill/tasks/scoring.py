"""The score of rows that a task has judged, by task: numpy and scikit-learn alone, so that the report needs no torch.

What a task's `judge` says of a row stands in a line; a score is that of any selection of lines, each as often as it occurs, which
is what a bootstrap, and a cascade of two models, draw from.
"""

from collections.abc import Callable

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError


def _classes(metric: str, judged: Array) -> float:
    """`accuracy`, `macro_f1`, `mcc` (Matthews' correlation), or `f1` of the second of two classes; judged (rows, 3).

    Macro-F1 is the mean over the classes that the split has rows of, whatever a model predicts and a resample leaves out.
    """
    predictions, labels = judged[:, :2].astype(np.int64).T
    if metric == "accuracy":
        return float((predictions == labels).mean())
    if metric == "f1" and judged[:, :2].max(initial=0) > 1:
        raise UserError("metric: f1 is that of the second of two classes, the data have more; take macro_f1")
    number = 1 + max(1, int(judged[:, :2].max(initial=0)))
    both = np.bincount(labels[predictions == labels], minlength=number).astype(np.float64)
    found, true = (np.bincount(part, minlength=number).astype(np.float64) for part in (predictions, labels))
    if metric == "mcc":
        rows = len(judged)
        spread = (rows**2 - found @ found) * (rows**2 - true @ true)
        return float((rows * both.sum() - found @ true) / np.sqrt(spread)) if spread else 0.0
    f1 = np.divide(2 * both, found + true, out=np.zeros(number), where=found + true > 0)
    return float(f1[1] if metric == "f1" else f1[true > 0].sum() / judged[0, 2])


def _labels(metric: str, judged: Array) -> float:
    """`micro_f1` of all decisions, `macro_f1`, `exact_match` of all labels of a row, or `map`; judged (rows, 3, labels).

    `macro_f1` is the mean over all labels, 0 of one that is neither true nor found; `map` that of the average precision, over
    labels that some row has.
    """
    decided, true, logits = judged.transpose(1, 0, 2)
    if metric == "exact_match":
        return float((decided == true).all(axis=1).mean())
    if metric == "map":
        from sklearn.metrics import average_precision_score

        seen = true.any(axis=0)
        return float(average_precision_score(true[:, seen], logits[:, seen])) if seen.any() else 0.0
    both, either = (decided * true).sum(axis=0), (decided + true).sum(axis=0)
    if metric == "micro_f1":
        return float(2 * both.sum() / max(either.sum(), 1))
    return float((2 * both / either.clip(min=1)).mean())


def _numbers(metric: str, judged: Array) -> float:
    """`pearson` or `spearman` correlation, judged (rows, 2); 0 where one side never changes."""
    if len(judged) < 2 or (np.ptp(judged, axis=0) == 0).any():
        return 0.0
    from scipy.stats import pearsonr, spearmanr

    return float((spearmanr if metric == "spearman" else pearsonr)(*judged.T).statistic)


def _tags(metric: str, judged: Array) -> float:
    """`token_accuracy`; `entity_f1`, `entity_precision`, `entity_recall` as CoNLL has them (micro, whole), or `macro_f1`.

    Macro-F1 is the mean over the tags that the split has, whatever a model predicts and a resample leaves out; judged
    (rows, 3 + 3 kinds).
    """
    right, tags = judged[:, :2].sum(axis=0)
    if metric == "token_accuracy":
        return float(right / tags) if tags else 0.0
    both, found, true = judged[:, 3:].sum(axis=0).reshape(3, -1)
    whole = {"entity_precision": found, "entity_recall": true}.get(metric, (found + true) / 2)
    scores = np.divide(both, whole, out=np.zeros_like(both), where=whole > 0)
    return float(scores.sum() / max(1.0, judged[0, 2]))


def _answers(metric: str, judged: Array) -> float:
    """`exact_match` or `f1`, the mean over questions, judged (questions, 2)."""
    return float(judged[:, ("exact_match", "f1").index(metric)].mean())


def _words(metric: str, judged: Array) -> float:
    """Judged (rows, 3): `accuracy`, the share of tokens found; `log_likelihood`, nats a token; `likelihood`, 1 / perplexity.

    `exact_match` is the share of rows of which all tokens are found.
    """
    if metric == "exact_match":
        return float((judged[:, 1] == judged[:, 2]).mean())
    log_probability, right, count = judged.sum(axis=0)
    if metric == "likelihood":
        return float(np.exp(log_probability / count))
    return float((log_probability if metric == "log_likelihood" else right) / count)


def _pairs(metric: str, judged: Array) -> float:
    """`spearman` of similarities and expected ones, or what `recall_at_k` and `ndcg_at_10` make of ranks; judged (pairs, 3).

    Of the ranks of second texts the former is the share up to k; the latter, as one text is right, the mean of 1/log2(1 + rank),
    0 beyond 10. Lines with NaN are left out.
    """
    judged = judged[np.isfinite(judged).all(axis=1)]
    if not len(judged):
        return 0.0
    if metric == "spearman":
        return _numbers(metric, judged[:, 1:])
    ranks = judged[:, 0]
    if metric == "ndcg_at_10":
        return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0).mean())
    return float((ranks <= int(metric.removeprefix("recall_at_"))).mean())


def _rankings(metric: str, judged: Array) -> float:
    """`ndcg_at_10` or `mrr`, the mean over queries, judged (queries, 2); 0 of none."""
    return float(judged[:, ("ndcg_at_10", "mrr").index(metric)].mean()) if len(judged) else 0.0


SCORES: dict[str, Callable[[str, Array], float]] = {
    "sequence-classification": _classes,
    "multi-label": _labels,
    "regression": _numbers,
    "token-classification": _tags,
    "question-answering": _answers,
    "masked-lm": _words,
    "sentence-embedding": _pairs,
    "ranking": _rankings,
    "causal-lm": _words,
}
"""By task: (metric, what `judge` says of rows) → the metric, higher is better."""
