"""Raw text into words as a data set has them: the way is measured on the training rows, and travels with the model."""

from collections.abc import Iterable, Sequence
from itertools import islice

import regex

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u3000-\u303f\uff00-\uffef"
SPLITTERS = {
    "characters": regex.compile(r"\S"),
    "graphemes": regex.compile(r"(?!\s)\X"),
    "punctuation": regex.compile(rf"(?:(?![{UNSPACED}])[\w\p{{M}}\u200c\u200d])+|(?!\s)\X"),
    "words": regex.compile(r"(?w)(?!\s).+?\b"),
    "blanks": regex.compile(r"\S+"),
}
"""From fine to coarse: every character by itself; every letter with its marks, or emoji; blanks and punctuation, and each letter
of scripts without blanks; the word breaks of Unicode (UAX #29), which part Chinese characters and keep `don't` and `3.5`
whole; blanks alone."""

ENOUGH = 0.8
"""The least F1 of words with which a splitter is said to be that of a data set."""

MOST_ROWS = 5000
"""Rows that are looked at."""

GLUED = (
    regex.compile(rf"[{UNSPACED}\p{{Ps}}\p{{Pi}}]\Z"),
    regex.compile(rf"[{UNSPACED}]|[\p{{P}}--[\p{{Ps}}\p{{Pi}}\p{{Pd}}]]", regex.V1),
)
"""The end of a word after which, and the beginning of one before which, a text has no blank."""


def split(text: str, splitter: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends."""
    return [match.span() for match in SPLITTERS[splitter].finditer(text)]


def splitter_of(rows: Iterable[Sequence[str]]) -> tuple[str, float]:
    """The splitter that finds most of the words of these rows in their texts, of equals the finest; and its F1."""
    both, every = dict.fromkeys(SPLITTERS, 0), dict.fromkeys(SPLITTERS, 0)
    for words in islice(rows, MOST_ROWS):
        text, places = _text(words)
        for name in SPLITTERS:
            found = split(text, name)
            both[name] += len(set(found) & set(places))
            every[name] += len(found) + len(places)
    scores = {name: 2 * both[name] / max(1, every[name]) for name in SPLITTERS}
    best = max(scores, key=lambda name: scores[name])
    return best, scores[best]


def _text(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words as a text has them, and where each is: without blanks before punctuation and in scripts that have none."""
    text, places = "", []
    for before, word in zip(["(", *words], words, strict=False):
        text += "" if GLUED[0].search(before) or GLUED[1].match(word) else " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places
