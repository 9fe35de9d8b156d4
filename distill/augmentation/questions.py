"""Copies of questions: the same context, asked something else. Nobody says what is right; the teacher says where it would answer.

Of the copies of a question every third is the question with other words, every third one that was asked of another context, and
every third a sentence of the context in which a few words are blank (cloze: Lewis et al. 2019, arXiv 1906.04980).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.texts import Advance, TextCopies
from distill.core.arrays import Array
from distill.data.columns import Column
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, load_tokenizer
from distill.preparation.windows import encode_questions

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
BLANK = "_"
"""Where a tokenizer has no mask."""
LONGEST_BLANK, AROUND, FEWEST = 3, 12, 4
"""The most words that a blank stands for; the words that stay on each side of it; those that a sentence has at least."""


class QuestionCopies(TextCopies):
    """Contexts are kept as they are; a copy is of the windows of a new question, without a label."""

    def read(self) -> Rows:
        """Questions and their contexts."""
        table = self.dataset.examples("train")
        questions, contexts, ids = (table[name].to_pylist() for name in ("question", "context", "id"))
        self.pool = questions, contexts
        self.drawn_from = hashlib.sha256(json.dumps(self.pool).encode()).hexdigest()
        self.blank = load_tokenizer(self.dataset.folder / "tokenizer").mask_token or BLANK
        return Rows(questions, contexts, Column.nothing(len(ids)), np.arange(len(ids)), ids)

    def keys(self, places: Array) -> list[int]:
        """A number for each of these questions that stays the same wherever it stands."""
        rows = self.rows.take(places)
        pairs = (json.dumps(pair) for pair in zip(rows.texts, rows.texts_pair, strict=True))
        return [int.from_bytes(hashlib.sha256(pair.encode()).digest()[:16]) for pair in pairs]

    def reword(self, rows: Rows, keys: list[int], advance: Advance) -> Rows:
        """The copies of some questions."""
        (made,) = self.chunks.finish(rows, keys, lambda: [self._ask(rows, keys, advance)], self.drawn_from)
        return replace(self.again(rows), texts=made)

    def _ask(self, rows: Rows, keys: list[int], advance: Advance) -> list[str]:
        reworded = self.augmenter.reword(rows.texts.tolist(), keys, 0, advance)
        made: list[str] = []
        for key, own, context in zip(keys, reworded, rows.texts_pair, strict=True):
            rng = np.random.default_rng([self.augmenter.seed, key, 1])
            made += [self._another(copy, context, rng) or question for copy, question in enumerate(own)]
        return made

    def _another(self, copy: int, context: str, rng: np.random.Generator) -> str | None:
        """What a copy asks of a context; None if that is its own question with other words."""
        if copy % 3 == 0:
            return None
        return self._of_another(context, rng) if copy % 3 == 1 else cloze(context, self.blank, rng)

    def _of_another(self, context: str, rng: np.random.Generator) -> str | None:
        """A question that was asked of another context; None if there is no other."""
        questions, contexts = self.pool
        start = int(rng.integers(len(questions)))
        places = chain(range(start, len(questions)), range(start))
        return next((questions[place] for place in places if contexts[place] != context), None)

    def encode(self, tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int) -> Encoded:
        """The windows of some questions."""
        return encode_questions(tokenizer, rows, max_length, self.dataset.stride)

    def columns(self, rows: Rows) -> dict[str, Sequence[Any]]:
        """None: questions and contexts stand beside the windows."""
        return {}


def cloze(context: str, blank: str, rng: np.random.Generator) -> str | None:
    """A sentence of a context, of which a few words are blank, and at most AROUND on each side are left; None if none is long."""
    sentences = [words for sentence in SENTENCE_END.split(context) if len(words := sentence.split()) >= FEWEST]
    if not sentences:
        return None
    words = sentences[int(rng.integers(len(sentences)))]
    length = int(rng.integers(1, LONGEST_BLANK + 1))
    start = int(rng.integers(len(words) - length + 1))
    before, after = words[max(0, start - AROUND) : start], words[start + length : start + length + AROUND]
    return " ".join([*before, blank, *after])
