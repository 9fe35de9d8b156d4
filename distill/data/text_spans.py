"""Spans of tokens as characters of their texts: first tokens of words, and answers. Numpy alone: prediction imports no torch."""

import unicodedata

import numpy as np

from distill.core.arrays import Array

MOST_TOKENS = 30
"""Tokens of the longest answer, as in BERT's own evaluation (Devlin 2019)."""


def first_tokens(words: list[str], spans: Array) -> tuple[Array, Array]:
    """The words of a row that have a token, and the position of the first token of each.

    Spans (tokens, 2) int are the characters that each token covers of the words joined by blanks; empty for special tokens.
    """
    ends = np.cumsum([len(word) + 1 for word in words])
    real = np.flatnonzero(spans[:, 1] > spans[:, 0])
    word_of = np.searchsorted(ends, spans[real, 1] - 1, side="right")
    found, first = np.unique(word_of, return_index=True)
    return found, real[first]


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
