"""The order of a query's passages."""

import textwrap
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from scipy.special import gammaln
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.numeric import log_softmax
from distill.data.dataset import PreparedRows
from distill.data.groups import groups_of
from distill.data.tokenizers import decoded_parts
from distill.tasks.base import NO_LOGIT, EvaluationSplit, Predictions, Task, closeness

CUT = 10
"""The places that count in nDCG."""
SHOWN = 160
"""Characters of a passage that are shown."""


class Ranking(Task):
    """A score for each pair of a query and a passage: the log-odds that the passage is relevant.

    Each pair is trained by itself, by binary cross-entropy; soft targets are the teacher's scores, so the loss is their squared
    error. Queries are scored by the order of their passages, and a model is as sure of one as the softmax over its passages says.
    """

    name = "ranking"
    scores = ("ndcg_at_10", "mrr")
    continuous = True

    def line_losses(self, logits: Float[Tensor, "n classes"], labels: Num[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float(), reduction="none")

    def ids(self, split: EvaluationSplit) -> list[str]:
        """The example id of each query's first passage."""
        return [split.rows.ids[part[0]].tobytes().hex() for part in scored_groups(split.rows)]

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """Of each query the row of the passage that stands first, and that of the most relevant one."""
        found = []
        for part in scored_groups(split.rows):
            labels, scores = split.rows.labels[part], kept[part, 0]
            best, first = int(labels.argmax()), int(scores.argmax())
            sure = np.exp(log_softmax(scores[None]))[0, first]
            found.append((part[best], part[first], labels[first] > 0, sure))
        best_rows, first_rows, right, confidence = np.array(found, np.float64).reshape(-1, 4).T
        return Predictions(best_rows.astype(np.int64), first_rows.astype(np.int64), right > 0, confidence)

    def rows_of(self, line: int, split: EvaluationSplit) -> list[int]:
        """The first passage, with which the query stands."""
        return [int(scored_groups(split.rows)[line][0])]

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """The beginning of a passage."""
        tokens = split.rows.tokens[split.rows.tokens_of(int(value))].tolist()
        return textwrap.shorten(decoded_parts(tokenizer, tokens)[-1], SHOWN, placeholder=" …")

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """nDCG@10 and the reciprocal rank of each query that has a relevant passage, (queries, 2)."""
        from scipy.stats import rankdata

        groups = scored_groups(split.rows)
        labels = _padded(split.rows.labels, groups, 0.0)
        ranks = [rankdata(-_padded(kept[:, 0], groups, -np.inf), method=method, axis=1) for method in ("min", "max")]
        first, last = (rank.astype(np.int64) for rank in ranks)
        return np.stack([ndcg(labels, first, last), reciprocal_ranks(labels > 0, first, last)], axis=1)

    def distributions(self, kept: Array, split: EvaluationSplit) -> tuple[Array, Array]:
        """The scores of queries with one relevant passage, (queries, longest) padded by NO_LOGIT, and the place of that."""
        groups = [part for part in scored_groups(split.rows) if (split.rows.labels[part] > 0).sum() == 1]
        places = [int(split.rows.labels[part].argmax()) for part in groups]
        return _padded(kept[:, 0], groups, NO_LOGIT), np.array(places, np.int64)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Cross-entropy of the softmax over a query's passages against their shares of its relevance, nats a query."""
        losses = []
        for part in scored_groups(split.rows):
            labels = split.rows.labels[part].astype(np.float64)
            losses.append(-log_softmax(kept[part, 0][None])[0] @ (labels / labels.sum()))
        return float(np.mean(losses)) if losses else 0.0

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """The share of queries for which both put the same passage first, and KL over the passages, nats a query."""
        groups = groups_of(split.rows.groups)
        return closeness(*(_padded(scores[:, 0], groups, NO_LOGIT) for scores in (student, teacher)))


def scored_groups(rows: PreparedRows) -> list[Array]:
    """The rows of each query that has a relevant passage: of others no order is better."""
    return [part for part in groups_of(rows.groups) if (rows.labels[part] > 0).any()]


def ndcg(labels: Array, first: Array, last: Array) -> Array:
    """The nDCG of each query, (queries,): Järvelin & Kekäläinen 2002, with the labels as gains, as in trec_eval.

    Of passages with one score each place that they share is as likely (McSherry & Najork 2008), so that a model which scores all
    alike gains nothing by the order of the data. Shapes: (queries, longest) each; `first` and `last` are the places that a
    passage may stand at, from 1, and the labels of padding are 0.
    """
    width = labels.shape[1]
    discounts = np.where(np.arange(width) < CUT, 1 / np.log2(np.arange(width) + 2), 0.0)
    running = np.concatenate([[0.0], np.cumsum(discounts)])
    gained = (labels * (running[last] - running[first - 1]) / (last - first + 1)).sum(axis=1)
    best: Array = gained / (-np.sort(-labels.astype(np.float64), axis=1) * discounts).sum(axis=1)
    return best


def reciprocal_ranks(relevant: Array, first: Array, last: Array) -> Array:
    """The expected 1/rank of the first relevant passage of each query, (queries,), where equal scores share their places."""
    start = np.where(relevant, first, first.max(initial=0) + 1).min(axis=1)
    found = np.empty(len(relevant))
    for query, place in enumerate(start.tolist()):
        tied = first[query] == place
        count, good = int((last[query][tied] - place + 1)[0]), int((tied & relevant[query]).sum())
        later = np.arange(count - good + 1)  # others that stand before the first relevant one
        chances = np.exp(_log_choose(count - 1 - later, good - 1) - _log_choose(count, good))
        found[query] = (chances / (place + later)).sum()
    return found


def _log_choose(n: Any, k: int) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _padded(values: Array, groups: list[Array], padding: float) -> Array:
    """A line a group, (groups, longest) float64."""
    padded = np.full((len(groups), max(map(len, groups), default=1)), padding)
    for line, part in zip(padded, groups, strict=True):
        line[: len(part)] = values[part]
    return padded
