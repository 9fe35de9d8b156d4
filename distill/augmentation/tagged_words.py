"""Copies of tagged words: each word by one word, so that tags stay where they are.

A word of an entity, or of a class of words, gives way to another word that has the same tag in the training rows (label-wise
token replacement, Dai & Adel 2020, arXiv 2010.11683, section 3); a word outside of all entities to a word of the masked language
model, or a neighbour, that is part of no entity in the training rows. So copies keep the tags of their rows.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.texts import Advance, TextCopies
from distill.augmentation.words import Located, locate
from distill.data.columns import Column
from distill.data.dataset import OUTSIDE, UNLABELLED
from distill.data.rows import Rows
from distill.data.text_spans import first_tokens
from distill.data.tokenizers import Encoded, load_tokenizer, tokenize_truncated
from distill.preparation.word_labels import encode_words

OF_THE_TAG = 1
"""The part of a row whose draws are those of words with a tag; 0 is that of words outside."""


class WordCopies(TextCopies):
    """Copies have the tags of their rows; those of transfer rows have none, and all their words are as words outside."""

    def read(self) -> Rows:
        """Words and the tag of each, UNLABELLED where a word became no token."""
        words = self.dataset.texts("train")["words"]
        tags = self._tags(words)
        outside = self.dataset.labels.index(OUTSIDE) if OUTSIDE in self.dataset.labels else UNLABELLED
        found: dict[int, set[str]] = {}
        for row, own in zip(words, tags, strict=True):
            for word, tag in zip(row, own or (), strict=False):
                if tag not in (outside, UNLABELLED):
                    found.setdefault(tag, set()).add(word)
        self.words_of = {tag: sorted(own) for tag, own in sorted(found.items())}
        self.inside = {word.lower() for own in found.values() for word in own}
        self.drawn_from = hashlib.sha256(json.dumps([words, tags, list(self.words_of.items())]).encode()).hexdigest()
        ids = self.dataset.own_ids("train")
        return Rows(words, None, np.fromiter(tags, object, len(tags)), np.arange(len(tags)), ids)

    def _tags(self, words: Sequence[list[str]]) -> list[list[int] | None]:
        """The tag of each word, by row; None for transfer rows."""
        rows, tokenizer = self.dataset.rows("train"), load_tokenizer(self.dataset.folder / "tokenizer")
        encodings, _ = tokenize_truncated(tokenizer, [" ".join(row) for row in words], None, self.dataset.max_length)
        found: list[list[int] | None] = []
        for row, (own, encoding) in enumerate(zip(words, encodings, strict=True)):
            labels = rows.labels[rows.tokens_of(row)]
            numbers, positions = first_tokens(own, np.array(encoding.offsets).reshape(-1, 2))
            tags = np.full(len(own), UNLABELLED)
            tags[numbers] = labels[positions]
            found.append(tags.tolist() if (labels != UNLABELLED).any() else None)
        return found

    def reword(self, rows: Rows, keys: list[int], advance: Advance) -> Rows:
        """The copies of some rows."""
        made = self.chunks.finish(rows, keys, lambda: self._reword(rows, keys, advance), self.drawn_from)
        return replace(self.again(rows), texts=made)

    def _reword(self, rows: Rows, keys: list[int], advance: Advance) -> list[list[str]]:
        located = locate(self.augmenter.tokenizer, [" ".join(words) for words in rows.texts], self.augmenter.max_length)
        given = list(zip(rows.texts, rows.labels, strict=True))
        numbers = [self._outside(words, tags, text) for (words, tags), text in zip(given, located, strict=True)]
        open_to_all = [
            replace(text, words=tuple(text.words[place] for place in own.values()))
            for text, own in zip(located, numbers, strict=True)
        ]
        drawn = self.augmenter.candidates_of(open_to_all, keys, 0, advance)
        made: list[list[str]] = []
        for (words, tags), key, own, (draws, candidates) in zip(given, keys, numbers, drawn, strict=True):
            outside = [[word for word in candidates.get(i, ()) if self._may_stand_outside(word, tags)] for i in range(len(own))]
            inside = {i: tag for i, tag in enumerate(tags or ()) if tag in self.words_of}
            of_tags = self.augmenter.draw(key, OF_THE_TAG, len(inside))
            for copy in range(self.augmenter.copies):
                new = list(words)
                for i, place in enumerate(own):
                    if draws.replaced[copy, i] and outside[i]:
                        new[place] = outside[i][int(draws.choice[copy, i] * len(outside[i]))]
                for i, (place, tag) in enumerate(inside.items()):
                    if of_tags.replaced[copy, i]:
                        new[place] = another(self.words_of[tag], new[place], of_tags.choice[copy, i])
                made.append(new)
        return made

    def _outside(self, words: list[str], tags: list[int] | None, text: Located) -> dict[int, int]:
        """The words in no entity that are words of the masked language model's tokenizer too, with their numbers there."""
        starts = [0, *accumulate(len(word) + 1 for word in words)]
        outside = [i for i in range(len(words)) if tags is None or tags[i] not in self.words_of]
        whole = {(word.start, word.stop): number for number, word in enumerate(text.words)}
        found = {i: whole.get((starts[i], starts[i] + len(words[i]))) for i in outside}
        return {i: number for i, number in found.items() if number is not None}

    def _may_stand_outside(self, word: str, tags: list[int] | None) -> bool:
        return tags is None or word.lower() not in self.inside

    def encode(self, tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int) -> Encoded:
        """Some rows' tokens, and their tags."""
        return encode_words(tokenizer, rows, max_length)

    def columns(self, rows: Rows) -> dict[str, Sequence[Any]]:
        """The words."""
        words: Column = rows.texts
        return {"words": words.tolist()}


def another(words: Sequence[str], word: str, choice: float) -> str:
    """One of some words, by a number in [0, 1), that is not this one, unless it is the only one."""
    place = int(choice * len(words))
    return words[place] if words[place] != word else words[(place + 1) % len(words)]
