"""TinyBERT's augmentation of one text (Jiao 2020, algorithm 1): words replaced by a masked LM's choices or their neighbours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.fill_mask import Refiller
from distill.augmentation.word_vectors import Neighbours, from_embeddings, from_file
from distill.augmentation.words import Located, locate, require_mask, whole_words
from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.core.locations import local_folder
from distill.data.tokenizers import load_tokenizer
from distill.models.loading import load_model, require_positions, require_vocabulary
from distill.models.packed_linear import fast_inference
from distill.params.augmentations import AugmentationSettings
from distill.tasks.registry import task_of


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
        single = [[i for i in words if text.words[i].is_single] for text, words in pairs]
        places = [
            np.array([text.words[i].first_token for i in words], np.int64) for text, words in zip(located, single, strict=True)
        ]
        refills = self.refiller.refills([text.tokens for text in located], places, self.candidates, advance)
        spellings = self.refiller.vocabulary.words
        several = [(text, [i for i in words if not text.words[i].is_single]) for text, words in pairs]
        near = self.neighbours.of({text.spelling(i): text.pieces(i) for text, words in several for i in words}, self.candidates)
        return [
            {
                **{i: [spellings[token] for token in tokens] for i, tokens in zip(refilled, refill.tolist(), strict=True)},
                **{i: near[text.spelling(i)] for i in words},
            }
            for refilled, refill, (text, words) in zip(single, refills, several, strict=True)
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
    mask = require_mask(tokenizer, str(folder))
    vocabulary = whole_words(tokenizer, str(folder))
    model = load_model(folder, task_of("masked-lm"), (), new_head=False).eval()
    require_vocabulary(model, len(tokenizer), str(folder))
    require_positions(model, max_length, str(folder))
    file = local_folder(settings.vectors, None)
    near = from_embeddings(model.get_input_embeddings().weight, vocabulary) if file is None else from_file(file)
    refiller = Refiller(fast_inference(model.to(best_device())), vocabulary, mask, tokenizer.pad_token_id)
    draws = settings.copies, settings.candidates, settings.probability, settings.seed
    return Augmenter(tokenizer, refiller, near, max_length, *draws)
