"""What training and prediction share and numpy alone computes: a model is run in ONNX Runtime without importing torch."""

import unicodedata
from collections.abc import Iterator

import numpy as np

from distill.core.arrays import Array

FULL_BATCH = 1024
"""Tokens from which on a batch is worth running on its own: below it, rows of another length join and are padded."""

MOST_TOKENS = 30
"""Tokens of the longest answer, as in BERT's own evaluation (Devlin 2019)."""


def length_batches(lengths: Array, batch_tokens: int) -> Iterator[Array]:
    """Positions of rows in batches of like length, the longest first.

    A batch holds rows of one length, up to `batch_tokens` tokens. If they are few (under FULL_BATCH), shorter rows join, padded.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        most = max(1, batch_tokens // longest)
        enough = -(-FULL_BATCH // longest)
        stop = start + 1
        while stop < len(order) and stop - start < most and (lengths[order[stop]] == longest or stop - start < enough):
            stop += 1
        yield order[start:stop]
        start = stop


def first_tokens(words: list[str], spans: Array) -> tuple[Array, Array]:
    """The words of a row that have a token, and the position of the first token of each.

    Spans (tokens, 2) int are the characters that each token covers of the words joined by blanks; empty for special tokens.
    """
    ends = np.cumsum([len(word) + 1 for word in words])
    real = np.flatnonzero(spans[:, 1] > spans[:, 0])
    word_of = np.searchsorted(ends, spans[real, 1] - 1, side="right")
    found, first = np.unique(word_of, return_index=True)
    return found, real[first]


def log_softmax(logits: Array) -> Array:
    """Log-probabilities in float64, (n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def log_sigmoid(logits: Array) -> Array:
    """Of each logit the log-probability that its label applies, in float64."""
    return np.asarray(-np.logaddexp(0.0, -logits.astype(np.float64)))


def best_span(starts: Array, ends: Array, most: int = MOST_TOKENS) -> tuple[float, int, int]:
    """The span of at most so many tokens with the highest sum of its start's and its end's logit: (sum, first, last)."""
    found = (-np.inf, 0, 0)
    for length in range(min(most, len(starts))):
        sums = starts[: len(starts) - length] + ends[length:]
        first = int(sums.argmax())
        if sums[first] > found[0]:
            found = (float(sums[first]), first, first + length)
    return found


def best_span_in_window(logits: Array, spans: Array) -> tuple[float, int, int]:
    """The best span among the context's tokens of a window: its score, its first and its last token; −∞ if it has none.

    Where characters are of several tokens each (bytes), an answer may have as many times more of them.

    Logits (tokens, 2), of starts and ends; spans (tokens, 2), the characters of the context that each token covers, or (−1, −1).
    """
    inside = np.flatnonzero(spans[:, 1] > spans[:, 0])
    if len(inside) == 0:
        return -np.inf, 0, 0
    a_character = len(inside) / len(np.unique(spans[inside, 0]))
    score, first, last = best_span(logits[inside, 0], logits[inside, 1], int(MOST_TOKENS * a_character))
    return score, int(inside[first]), int(inside[last])


def span_of(text: str, spans: Array, first: int, last: int) -> tuple[int, int]:
    """The characters of `text` from one token to another, without blanks around them: where they begin and end.

    Marks behind the last character belong to it, though a tokenizer may delete them: accents, vowel signs. So do those in front
    of the first that have no letter of their own.
    """
    start, end = int(spans[first, 0]), int(spans[last, 1])
    begin = start
    while begin > 0 and unicodedata.category(text[begin - 1]).startswith("M"):
        begin -= 1
    if begin == 0 or text[begin - 1].isspace():
        start = begin
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    found = text[start:end]
    start += len(found) - len(found.lstrip())
    return start, start + len(found.strip())
