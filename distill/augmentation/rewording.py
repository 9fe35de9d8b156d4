"""Copies of texts with other words (Jiao et al. 2020, algorithm 1).

Each word of a text is replaced with probability p: a word of one piece by one of the M words that a masked language model puts in
its place, with all others of the text standing; a word of several pieces by one of its M nearest neighbours in a table of word
vectors; a word without candidates stays. The N copies of a text draw from the same candidates, so that the model is asked once
for each word.

Where the paper's own code departs from its algorithm, this follows the algorithm: the model does not see the unmasked text beside
the masked one, and stop words are replaced like others. A word is no candidate for its own place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.neighbours import Neighbours
from distill.augmentation.refills import Refiller
from distill.augmentation.words import Located, locate

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Draws:
    """The dice of a text: which words each copy replaces, and by which of their candidates, both (copies, words)."""

    replaced: Array
    """bool"""
    choice: Array
    """float64 in [0, 1): the place in the list of candidates, whatever its length."""


@dataclass(frozen=True)
class Augmenter:
    """What words are replaced by, and how often."""

    tokenizer: PreTrainedTokenizerBase
    """Of the masked language model."""
    refiller: Refiller
    neighbours: Neighbours
    max_length: int
    """Tokens of a text, special tokens included; words beyond stay."""
    copies: int
    candidates: int
    probability: float
    seed: int

    def reword(
        self, texts: Sequence[str], keys: Sequence[int], part: int = 0, advance: Callable[[int], object] = lambda _: None
    ) -> list[list[str]]:
        """The copies of each text.

        Dice depend on the seed, a text's key and its part alone: what else is reworded changes nothing, but for the rounding of
        the model's logits in another batch.

        Args:
            texts: The texts.
            keys: A number a row that stays the same wherever the row stands.
            part: 0 for the first text of a row, 1 for the second of a pair.
            advance: Told the number of places that the model has refilled, after each batch.
        """
        located = locate(self.tokenizer, texts, self.max_length)
        draws = [self._draw(key, part, len(text.words)) for key, text in zip(keys, located, strict=True)]
        candidates = self._candidates(located, draws, advance)
        return [
            [written(text, replaced, choice, own) for replaced, choice in zip(draw.replaced, draw.choice, strict=True)]
            for text, draw, own in zip(located, draws, candidates, strict=True)
        ]

    def _draw(self, key: int, part: int, words: int) -> Draws:
        dice = np.random.default_rng([self.seed, key, part])
        return Draws(dice.random((self.copies, words)) < self.probability, dice.random((self.copies, words)))

    def _candidates(
        self, located: Sequence[Located], draws: Sequence[Draws], advance: Callable[[int], object]
    ) -> list[dict[int, list[str]]]:
        """The candidates of each word that some copy replaces, by the word's number in its text."""
        wanted = [np.flatnonzero(draw.replaced.any(axis=0)).tolist() for draw in draws]
        single = [[i for i in own if text.words[i].is_single] for text, own in zip(located, wanted, strict=True)]
        several = [[i for i in own if not text.words[i].is_single] for text, own in zip(located, wanted, strict=True)]
        places = [np.array([text.words[i].first_token for i in own], np.int64) for text, own in zip(located, single, strict=True)]
        refills = self.refiller.refills([text.tokens for text in located], places, self.candidates, advance)
        words = self.refiller.vocabulary.words
        found = [
            {i: [words[token] for token in tokens] for i, tokens in zip(own, refill.tolist(), strict=True)}
            for own, refill in zip(single, refills, strict=True)
        ]
        asked = {text.spelling(i): text.pieces(i) for text, own in zip(located, several, strict=True) for i in own}
        near = self.neighbours.of(asked, self.candidates)
        for text, own, candidates in zip(located, several, found, strict=True):
            candidates.update({i: near[text.spelling(i)] for i in own})
        return found


def written(text: Located, replaced: Array, choice: Array, candidates: Mapping[int, Sequence[str]]) -> str:
    """A copy of a text: its characters, with other words in the places of those that are replaced.

    Args:
        text: The text.
        replaced: (words,) bool
        choice: (words,) float64 in [0, 1)
        candidates: Of each word that is replaced, by its number; a word without any stays.
    """
    parts, end = [], 0
    for i in np.flatnonzero(replaced).tolist():
        if options := candidates[i]:
            parts += [text.text[end : text.words[i].start], options[int(choice[i] * len(options))]]
            end = text.words[i].stop
    return "".join([*parts, text.text[end:]])
