"""The stretch of a text that answers a question."""

import collections
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from distill.tasks.base import Gold, Mask, Task, log_softmax
from distill.tasks.token import real

Array = np.ndarray[Any, np.dtype[Any]]
NOWHERE = -1e6
"""The logit of padding: its probability is 0 in fp32, and its difference between two models is finite."""
MOST_TOKENS = 30
"""Tokens of the longest answer, as in BERT's own evaluation (Devlin 2019)."""


@dataclass(frozen=True)
class Answer:
    """The best stretch of a question's windows."""

    score: float
    text: str
    confidence: float
    """The probability of its start times that of its end, in its window."""


class QuestionAnswering(Task):
    """Extractive question answering: two distributions over a window's tokens, of the answer's first and of its last."""

    name = "question-answering"
    auto = "AutoModelForQuestionAnswering"
    per = "token"

    def raw(self, outputs: Any) -> Float[Tensor, "batch seq two"]:
        """Start and end logits, side by side."""
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)

    def vectors(self, logits: Float[Tensor, "batch seq two"], mask: Mask) -> Float[Tensor, "tokens two"]:
        """(start, end) logits of the real tokens, one row after the other."""
        return real(logits, mask)

    def comparable(self, vectors: Float[Tensor, "tokens two"], mask: Mask) -> Float[Tensor, "n seq"]:
        """Distributions over the tokens of a row: the starts of all rows, then the ends.

        Raises:
            ValueError: without a mask, which tells the windows' lengths.
        """
        if mask is None:
            raise ValueError("a window's length is told by its mask: give one, of ones if nothing is padded")
        padded = vectors.new_full((*mask.shape, 2), NOWHERE).masked_scatter(mask.bool()[..., None], vectors)
        return padded.permute(2, 0, 1).flatten(0, 1)

    def align(self, logits: Float[Tensor, "batch seq two"], mask: Mask) -> Float[Tensor, "n seq"]:
        """Distributions over the tokens of a row: the starts of all rows, then the ends."""
        if mask is not None:
            logits = logits.masked_fill(~mask.bool()[..., None], NOWHERE)
        return logits.permute(2, 0, 1).flatten(0, 1)

    def align_labels(self, labels: Num[Tensor, "batch two"], mask: Mask) -> Num[Tensor, " n"]:
        """First tokens, then last tokens."""
        return labels.t().flatten()

    def judge(self, kept: Array, gold: Gold) -> Array:
        """Exact match and token F1 of each question, (questions, 2)."""
        given = answers(kept, gold)
        true = _column(gold, "answers")
        return np.array([best_match(text, texts) for text, texts in zip(given, true, strict=True)], np.float64)

    def score(self, metric: str, judged: Array) -> float:
        """`exact_match` or `f1`, the mean over questions."""
        return float(judged[:, ("exact_match", "f1").index(metric)].mean())

    def loss(self, kept: Array, gold: Gold) -> float:
        """Cross-entropy of start and end, their mean, nats a window."""
        offsets = gold.rows.offsets
        found = [
            log_softmax(kept[offsets[row] : offsets[row + 1]].T)[[0, 1], places].mean()
            for row, places in enumerate(gold.rows.labels)
            if places[0] >= 0
        ]
        return -float(np.mean(found)) if found else 0.0

    def measures(self, kept: Array, gold: Gold) -> dict[str, float]:
        """Exact match, F1 and log-loss."""
        judged = self.judge(kept, gold)
        return {**{name: self.score(name, judged) for name in ("exact_match", "f1")}, "log_loss": self.loss(kept, gold)}

    def relation(self, student: Array, teacher: Array, gold: Gold) -> dict[str, float]:
        """The share of questions that both answer alike, and KL of start and end, their mean, nats a window."""
        same = [own == theirs for own, theirs in zip(answers(student, gold), answers(teacher, gold), strict=True)]
        divergences = []
        for start, stop in zip(gold.rows.offsets[:-1], gold.rows.offsets[1:], strict=True):
            own, theirs = log_softmax(student[start:stop].T), log_softmax(teacher[start:stop].T)
            divergences.append((np.exp(theirs) * (theirs - own)).sum(axis=1).mean())
        return {"agreement": float(np.mean(same)), "kl_from_teacher": float(np.mean(divergences))}


def answers(kept: Array, gold: Gold) -> list[str]:
    """The answer to each question, as `found_answers` has it."""
    return [answer.text for answer in found_answers(kept, gold)]


def found_answers(kept: Array, gold: Gold) -> list[Answer]:
    """The answer to each question: the likeliest stretch of all its windows; "" where none is likelier than "no answer".

    Args:
        kept: (tokens, 2) start and end logits of all windows.
        gold: The windows, which characters their tokens cover, and the questions with their contexts.
    """
    rows, contexts = gold.rows, _column(gold, "context")
    best = [Answer(-np.inf, "", 0.0)] * len(contexts)
    nothing = [Answer(np.inf, "", 0.0)] * len(contexts)
    examples, spans = rows.examples, rows.spans
    if examples is None or spans is None:
        raise ValueError("these rows are no windows of questions")
    for row, example in enumerate(examples.tolist()):
        start, stop = int(rows.offsets[row]), int(rows.offsets[row + 1])
        logits = kept[start:stop].astype(np.float64)
        sure = np.exp(log_softmax(logits.T))
        if logits[0].sum() < nothing[example].score:
            nothing[example] = Answer(float(logits[0].sum()), "", float(sure[:, 0].prod()))
        places = np.flatnonzero(spans[start:stop, 0] >= 0)
        if len(places):
            score, first, last = best_stretch(logits[places, 0], logits[places, 1])
            if score > best[example].score:
                characters = spans[start:stop][places]
                text = contexts[example][characters[first, 0] : characters[last, 1]]
                best[example] = Answer(score, text, float(sure[0, places[first]] * sure[1, places[last]]))
    return [none if gold.unanswerable and none.score > own.score else own for own, none in zip(best, nothing, strict=True)]


def best_stretch(starts: Array, ends: Array, most: int = MOST_TOKENS) -> tuple[float, int, int]:
    """The stretch of at most so many tokens with the highest sum of its start's and its end's logit: (sum, first, last)."""
    found = (-np.inf, 0, 0)
    for length in range(min(most, len(starts))):
        sums = starts[: len(starts) - length] + ends[length:]
        first = int(sums.argmax())
        if sums[first] > found[0]:
            found = (float(sums[first]), first, first + length)
    return found


def best_match(answer: str, true: Sequence[str]) -> tuple[float, float]:
    """Exact match and token F1 with the nearest of the true answers, as SQuAD's own script has them (Rajpurkar 2016)."""
    pairs = [(_normalized(answer), _normalized(each)) for each in (true or [""])]
    return max(float(own == other) for own, other in pairs), max(_f1(own.split(), other.split()) for own, other in pairs)


def _f1(own: list[str], other: list[str]) -> float:
    if not own or not other:
        return float(own == other)
    shared = sum((collections.Counter(own) & collections.Counter(other)).values())
    return 2 * shared / (len(own) + len(other))


def _normalized(text: str) -> str:
    """Lower case, without punctuation, articles and spare spaces."""
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def _column(gold: Gold, name: str) -> list[Any]:
    if gold.examples is None:
        raise ValueError("question answering is scored on questions; the split has none")
    values: list[Any] = gold.examples.column(name).to_pylist()
    return values
