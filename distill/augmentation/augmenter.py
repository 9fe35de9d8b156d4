"""TinyBERT's augmentation of one text (Jiao 2020, algorithm 1): words replaced by a masked LM's choices or their neighbours.

Where the teacher is no masked language model, all words are replaced by neighbours: words of near input embeddings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.fill_mask import Refiller, open_refiller
from distill.augmentation.word_vectors import Neighbours, from_embeddings, from_file
from distill.augmentation.words import Located, locate, whole_words
from distill.core.arrays import Array
from distill.core.locations import local_folder
from distill.data.tokenizers import load_tokenizer
from distill.models.loading import load_body, refills_masks
from distill.params.augmentations import AugmentationSettings


@dataclass(frozen=True)
class Draws:
    """The random draws of a text: which words each copy replaces, and by which of their candidates, both (copies, words)."""

    replaced: Array
    """bool"""
    choice: Array
    """float64 in [0, 1): the place in the list of candidates, whatever its length."""


@dataclass(frozen=True)
class Augmenter:
    """What words are replaced by, and how often."""

    tokenizer: PreTrainedTokenizerBase
    """Of the teacher."""
    refiller: Refiller | None
    """None if the teacher is no masked language model."""
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
        """The copies of each text; `part` is 0 for the first text of a row, 1 for the second of a pair.

        Random numbers depend on the seed, a text's key (a number that stays the same wherever the row stands) and its part alone:
        what else is reworded changes nothing, but for the rounding of the model's logits in another batch.
        `advance` is told the number of places that the model has refilled, after each batch.
        """
        located = locate(self.tokenizer, texts, self.max_length)
        return [
            [written(text, replaced, choice, options) for replaced, choice in zip(draws.replaced, draws.choice, strict=True)]
            for text, (draws, options) in zip(located, self.candidates_of(located, keys, part, advance), strict=True)
        ]

    def candidates_of(
        self, located: Sequence[Located], keys: Sequence[int], part: int, advance: Callable[[int], object]
    ) -> list[tuple[Draws, dict[int, list[str]]]]:
        """Of each text its draws, and the candidates of each word that some copy replaces, by the word's number."""
        draws = [self.draw(key, part, len(text.words)) for key, text in zip(keys, located, strict=True)]
        return list(zip(draws, self._candidates(located, draws, advance), strict=True))

    def draw(self, key: int, part: int, words: int) -> Draws:
        """What happens to so many words of a part of a row in each copy."""
        rng = np.random.default_rng([self.seed, key, part])
        return Draws(rng.random((self.copies, words)) < self.probability, rng.random((self.copies, words)))

    def _candidates(
        self, located: Sequence[Located], draws: Sequence[Draws], advance: Callable[[int], object]
    ) -> list[dict[int, list[str]]]:
        """The candidates of each word that some copy replaces, by the word's number in its text."""
        replaced = [np.flatnonzero(draw.replaced.any(axis=0)).tolist() for draw in draws]
        pairs = list(zip(located, replaced, strict=True))
        refilled = self._refilled(pairs, advance)
        others = [(text, [i for i in words if i not in found]) for (text, words), found in zip(pairs, refilled, strict=True)]
        asked = {text.spelt(i): (text.spelling(i), text.pieces(i)) for text, words in others for i in words}
        near = dict(zip(asked, self.neighbours.of(list(asked.values()), self.candidates), strict=True))
        return [
            {**found, **{i: near[text.spelt(i)] for i in words}} for found, (text, words) in zip(refilled, others, strict=True)
        ]

    def _refilled(
        self, texts: Sequence[tuple[Located, list[int]]], advance: Callable[[int], object]
    ) -> list[dict[int, list[str]]]:
        """What the masked language model would write for those of some words that are single pieces; nothing without one."""
        if self.refiller is None:
            return [{} for _ in texts]
        single = [[i for i in words if text.words[i].is_single] for text, words in texts]
        places = [
            np.array([text.words[i].first_token for i in words], np.int64) for (text, _), words in zip(texts, single, strict=True)
        ]
        refills = self.refiller.refills([text.tokens for text, _ in texts], places, self.candidates, advance)
        spellings = self.refiller.vocabulary.words
        return [
            {i: [spellings[token] for token in tokens] for i, tokens in zip(words, refill.tolist(), strict=True)}
            for words, refill in zip(single, refills, strict=True)
        ]


def written(text: Located, replaced: Array, choice: Array, candidates: Mapping[int, Sequence[str]]) -> str:
    """A copy of a text: its characters, with other words in the places of those that are replaced.

    `replaced` (words,) bool; `choice` (words,) float64 in [0, 1). A replaced word without candidates stays.
    """
    parts, end = [], 0
    for i in np.flatnonzero(replaced).tolist():
        if options := candidates[i]:
            parts += [text.text[end : text.words[i].start], options[int(choice[i] * len(options))]]
            end = text.words[i].stop
    return "".join([*parts, text.text[end:]])


def open_augmenter(folder: Path, max_length: int, settings: AugmentationSettings) -> Augmenter:
    """Load what an entry names, on the best device there is: `folder` is data/teachers/NAME."""
    tokenizer = load_tokenizer(folder)
    vocabulary = whole_words(tokenizer, str(folder))
    refiller = open_refiller(folder, tokenizer, vocabulary, max_length) if refills_masks(folder) else None
    file = local_folder(settings.vectors, None)
    if file is not None:
        near = from_file(file)
    else:
        model = load_body(folder) if refiller is None else refiller.model
        near = from_embeddings(model.get_input_embeddings().weight, vocabulary)
    draws = settings.copies, settings.candidates, settings.probability, settings.seed
    return Augmenter(tokenizer, refiller, near, max_length, *draws)
