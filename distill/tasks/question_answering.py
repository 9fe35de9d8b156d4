"""The span of a text that answers a question."""

import collections
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.numeric import log_softmax
from distill.data.text_spans import best_span_in_window, span_of
from distill.tasks.base import NO_LOGIT, EvaluationSplit, Mask, Predictions, Task, closeness, real_tokens

NO_ANSWER = "(no answer)"


@dataclass(frozen=True)
class Answer:
    """The best span of a question's windows."""

    score: float
    text: str
    confidence: float
    """The probability of its start times that of its end, in its window."""


class QuestionAnswering(Task):
    """Extractive question answering: two distributions over a window's tokens, of the answer's first and of its last."""

    name = "question-answering"
    scores = ("exact_match", "f1")

    def raw(self, outputs: Any) -> Float[Tensor, "batch seq two"]:
        """Start and end logits, side by side."""
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)

    def vectors(self, logits: Float[Tensor, "batch seq two"], mask: Mask) -> Float[Tensor, "tokens two"]:
        """(start, end) logits of the real tokens, one row after the other."""
        return real_tokens(logits, mask)

    def comparable(self, vectors: Float[Tensor, "tokens two"], mask: Mask) -> Float[Tensor, "n seq"]:
        """Distributions over the tokens of a row, whose number the mask tells: the starts of all rows, then the ends."""
        if mask is None:
            raise ValueError("a window's length is told by its mask: give one, of ones if nothing is padded")
        padded = vectors.new_full((*mask.shape, 2), NO_LOGIT).masked_scatter(mask.bool()[..., None], vectors)
        return padded.permute(2, 0, 1).flatten(0, 1)

    def align(self, logits: Float[Tensor, "batch seq two"], mask: Mask) -> Float[Tensor, "n seq"]:
        """Distributions over the tokens of a row: the starts of all rows, then the ends."""
        if mask is not None:
            logits = logits.masked_fill(~mask.bool()[..., None], NO_LOGIT)
        return logits.permute(2, 0, 1).flatten(0, 1)

    def align_labels(self, labels: Num[Tensor, "batch two"], mask: Mask) -> Num[Tensor, " n"]:
        """First tokens, then last tokens."""
        return labels.t().flatten()

    def mean_by_row(self, lines: Float[Tensor, " n"], mask: Int[Tensor, "batch seq"]) -> Float[Tensor, " batch"]:
        """The mean of start and end."""
        return lines.reshape(2, -1).mean(dim=0)

    def distributions(self, kept: Array, split: EvaluationSplit) -> tuple[Array, Array]:
        """The starts, then the ends, of the windows that have an answer: (2 windows, longest) padded by NO_LOGIT, and places."""
        asked = np.flatnonzero(split.rows.labels[:, 0] >= 0)
        starts, lengths = split.rows.offsets[asked], split.rows.lengths[asked]
        logits = np.full((2, len(asked), lengths.max(initial=1)), NO_LOGIT)
        for line, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            logits[:, line, :length] = kept[start : start + length].T
        return logits.reshape(2 * len(asked), -1), split.rows.labels[asked].T.ravel()

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The answer to each question; it is right if it is one of the true ones, as `best_match` has it."""
        best, true = best_answers(kept, split), _column(split, "answers")
        return Predictions(
            np.array([texts[0] if texts else "" for texts in true], object),
            np.array([answer.text for answer in best], object),
            np.array([best_match(answer.text, texts)[0] == 1 for answer, texts in zip(best, true, strict=True)], bool),
            np.array([answer.confidence for answer in best], np.float64),
        )

    def label_name(self, value: Any, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase) -> str:
        """The answer, or that there is none."""
        return value or NO_ANSWER

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Exact match and token F1 of each question, (questions, 2)."""
        pairs = zip(answers(kept, split), _column(split, "answers"), strict=True)
        return np.array([best_match(text, texts) for text, texts in pairs], np.float64)

    def loss(self, kept: Array, split: EvaluationSplit) -> float:
        """Cross-entropy of start and end, their mean, nats a window."""
        logs = [
            log_softmax(kept[split.rows.tokens_of(row)].T)[[0, 1], places].mean()
            for row, places in enumerate(split.rows.labels)
            if places[0] >= 0
        ]
        return -float(np.mean(logs)) if logs else 0.0

    def relation(self, student: Array, teacher: Array, split: EvaluationSplit) -> dict[str, float]:
        """The share of questions that both answer alike, and KL of start and end, their mean, nats a window."""
        same = np.equal(*(np.array(answers(kept, split), object) for kept in (student, teacher)))
        divergences = []
        for start, stop in zip(split.rows.offsets[:-1], split.rows.offsets[1:], strict=True):
            divergences.append(closeness(student[start:stop].T, teacher[start:stop].T)["kl_from_teacher"])
        return {"agreement": float(np.mean(same)), "kl_from_teacher": float(np.mean(divergences))}


def answers(kept: Array, split: EvaluationSplit) -> list[str]:
    """The answer to each question, as `best_answers` has it."""
    return [answer.text for answer in best_answers(kept, split)]


def best_answers(kept: Array, split: EvaluationSplit) -> list[Answer]:
    """The answer to each question: the likeliest span of all its windows; "" where none is likelier than "no answer".

    `kept`: (tokens, 2) start and end logits of all windows.
    """
    rows, contexts = split.rows, _column(split, "context")
    best = [Answer(-np.inf, "", 0.0)] * len(contexts)
    nothing = [Answer(np.inf, "", 0.0)] * len(contexts)
    examples, spans = rows.examples, rows.spans
    if examples is None or spans is None:
        raise ValueError("these rows are no windows of questions")
    for row, example in enumerate(examples.tolist()):
        window = rows.tokens_of(row)
        logits = kept[window].astype(np.float64)
        probabilities = np.exp(log_softmax(logits.T))
        if logits[0].sum() < nothing[example].score:
            nothing[example] = Answer(float(logits[0].sum()), "", float(probabilities[:, 0].prod()))
        score, first, last = best_span_in_window(logits, spans[window])
        if score > best[example].score:
            begin, end = span_of(contexts[example], spans[window], first, last)
            text = contexts[example][begin:end]
            best[example] = Answer(score, text, float(probabilities[0, first] * probabilities[1, last]))
    return [none if split.unanswerable and none.score > span.score else span for span, none in zip(best, nothing, strict=True)]


def best_match(answer: str, true: Sequence[str]) -> tuple[float, float]:
    """Exact match and token F1 with the nearest of the true answers, as SQuAD's script has them (Rajpurkar 2016)."""
    pairs = [(_normalized(answer), _normalized(each)) for each in (true or [""])]
    return max(float(given == each) for given, each in pairs), max(_f1(given.split(), each.split()) for given, each in pairs)


def _f1(given: list[str], true: list[str]) -> float:
    if not given or not true:
        return float(given == true)
    shared = (collections.Counter(given) & collections.Counter(true)).total()
    return 2 * shared / (len(given) + len(true))


def _normalized(text: str) -> str:
    """Lower case, without punctuation, articles, spare spaces and what has no shape (a zero-width space, a soft hyphen)."""
    plain = "".join(letter for letter in text.lower() if letter.isspace() or not _ignored(letter))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def _ignored(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("C")


def _column(split: EvaluationSplit, name: str) -> list[Any]:
    if split.examples is None:
        raise ValueError("question answering is scored on questions; the split has none")
    values: list[Any] = split.examples.column(name).to_pylist()
    return values
