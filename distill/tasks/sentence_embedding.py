"""A vector a text: what is scored are pairs of texts, by the cosine of their vectors.

A split's rows are texts, those of a pair one after the other. Scored are its pairs that have a score, as STS has them; else its
pairs, of which the second text is to be found among all second texts by the first; else pairs that chance makes of its rows.
Pairs without scores are compared with what the teacher says of them: `EvaluationSplit.expected`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.tasks.base import EvaluationSplit, Predictions, Task, Weights
from distill.tasks.judged import Judged

SEED = 1
"""Of the pairs that chance makes: a split of so many rows has always the same."""
QUERIES_AT_ONCE = 256
SEARCH = ("ndcg_at_10", "recall_at_1", "recall_at_10")
"""Metrics of pairs without scores."""


class SentenceEmbedding(Task):
    """A vector a text. Soft targets are the teacher's vectors; there are no labels."""

    name = "sentence-embedding"
    scores = ("spearman",)
    continuous = True
    calibrates = False

    def raw(self, outputs: Any) -> Float[Tensor, "batch size"]:
        """The vectors among a model's outputs."""
        vectors: Tensor = outputs.sentence_embedding
        return vectors

    def label_loss(
        self, logits: Float[Tensor, "n size"], labels: Num[Tensor, " n"], weights: Weights = None
    ) -> Float[Tensor, ""]:
        """Refused: scores are of pairs, and are only measured."""
        raise UserError("sentence-embedding has no labels to learn from; give a teacher epochs: 0, a student a recipe of vectors")

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Of each pair the rank of its second text (0 where none is searched for), its similarity, the expected one: (pairs, 3).

        Where nobody says what to expect, a model's own similarities are: then Spearman is 1. NaN is of texts without a vector and
        of pairs of which a teacher has said nothing; scores leave such lines out.
        """
        first, second = pairs_of(split)
        similar = similarities(kept, first, second)
        expected = split.rows.labels[first].astype(np.float64) if is_scored(split) else split.expected
        ranks = ranks_of(kept, split) if is_searched(split) else np.zeros(len(first))
        return np.stack([ranks, similar, similar if expected is None else expected], axis=1)

    def judged(self, kept: Array, split: EvaluationSplit) -> Judged:
        """Each pair, by the hash of its first text."""
        first, _ = pairs_of(split)
        ids = tuple(split.rows.ids[row].tobytes().hex() for row in first)
        return Judged(ids, None, np.zeros(len(first), bool), self.judge(kept, split))

    def expecting(self, split: EvaluationSplit, judged: Array) -> EvaluationSplit:
        """A split whose pairs are expected to be as similar as a teacher has judged them."""
        return split if is_scored(split) else replace(split, expected=judged[:, 1].astype(np.float64))

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The similarity of each pair."""
        _, similar, expected = self.judge(kept, split).T
        return Predictions(expected, similar, np.zeros(len(similar), bool), None)

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """Four digits."""
        return f"{value:.4g}"

    def rows_of(self, line: int, split: EvaluationSplit) -> list[int]:
        """Both texts of a pair."""
        return [int(part[line]) for part in pairs_of(split)]

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Mean squared difference of the pairs' similarities from those that are expected."""
        _, similar, expected = self.judge(kept, split).T
        gaps = np.square(similar - expected)
        gaps = gaps[np.isfinite(gaps)]
        return float(gaps.mean()) if len(gaps) else 0.0

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """Spearman's correlation with what is expected; of pairs without scores also how well second texts are found."""
        judged, searched = self.judge(kept, split), SEARCH if is_searched(split) else ()
        return {metric: self.score(metric, judged) for metric in (*self.scores, *searched)}

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """Spearman's correlation of both models' similarities, as `agreement`."""
        own, theirs = (self.judge(kept, split)[:, 1] for kept in (student, teacher))
        return {"agreement": self.score("spearman", np.stack([own, own, theirs], axis=1))}


def is_scored(split: EvaluationSplit) -> bool:
    """Whether some pair has a score."""
    return bool(np.isfinite(split.rows.labels).any())


def is_searched(split: EvaluationSplit) -> bool:
    """Whether rows are pairs without scores: then the second text is what the first one asks for."""
    return len(_paired(split)) > 0 and not is_scored(split)


def _paired(split: EvaluationSplit) -> Array:
    """The rows that are the first text of a pair, (pairs,) int64."""
    examples = split.rows.examples
    return np.zeros(0, np.int64) if examples is None else np.flatnonzero(np.diff(examples, append=-1) == 0)


def pairs_of(split: EvaluationSplit) -> tuple[Array, Array]:
    """The rows of the first and of the second texts that are compared, (pairs,) int64 each.

    Pairs with scores are the data's own. A first text that is searched with is compared with another pair's second one, for its
    own is always alike. Single rows are compared with one that chance gives them.
    """
    rows, first = split.rows, _paired(split)
    if is_scored(split):
        first = first[np.isfinite(rows.labels[first])]
        return first, first + 1
    order = np.random.default_rng(SEED).permutation(len(first) or len(rows))
    return (first[order], np.roll(first[order], 1) + 1) if len(first) else (order, np.roll(order, 1))


def similarities(vectors: Array, first: Array, second: Array) -> Array:
    """Cosines of pairs of rows, (pairs,) float64; vectors (rows, size)."""
    unit = _unit(vectors)
    cosines: Array = (unit[first] * unit[second]).sum(axis=1)
    return cosines


def ranks_of(vectors: Array, split: EvaluationSplit) -> Array:
    """Where each first text finds its second one among all different second texts, from 1; ties in its favour, (pairs,)."""
    unit, rows = _unit(vectors), split.rows
    first = pairs_of(split)[0]
    _, candidates, place = np.unique(rows.ids[first + 1], axis=0, return_index=True, return_inverse=True)
    passages = unit[first[candidates] + 1]
    ranks = np.empty(len(first))
    for start in range(0, len(first), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        cosines = unit[first[part]] @ passages.T
        own = cosines[np.arange(len(cosines)), place.ravel()[part]]
        ranks[part] = np.where(np.isfinite(own), 1 + (cosines > own[:, None]).sum(axis=1), np.nan)
    return ranks


def _unit(vectors: Array) -> Array:
    """Vectors of length 1, float64; of zeros, zeros."""
    exact = vectors.astype(np.float64)
    unit: Array = exact / np.linalg.norm(exact, axis=1, keepdims=True).clip(min=1e-12)
    return unit
