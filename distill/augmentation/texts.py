"""Copies of texts, and of pairs of texts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.augmenter import Augmenter
from distill.augmentation.chunks import Chunks
from distill.core.arrays import Array
from distill.data.dataset import Dataset
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, encode

CHUNK = 2048
"""Rows reworded at once, so that memory stays flat; what is finished is kept, so that a run that was stopped goes on."""
Advance = Callable[[int], object]
"""Is told the number of words that the model has refilled."""


class TextCopies:
    """Both texts of a pair are reworded, each by itself, and stay together. Copies have no label."""

    def __init__(self, dataset: Dataset, augmenter: Augmenter, chunks: Chunks) -> None:
        """Read the training rows; `chunks` has what an earlier run has finished."""
        self.dataset, self.augmenter, self.chunks = dataset, augmenter, chunks
        self.rows = self.read()

    def read(self) -> Rows:
        """What is copied."""
        texts, labels = self.dataset.texts("train"), self.dataset.rows("train").labels
        return Rows(texts["text"], texts.get("text_pair"), labels, np.arange(len(labels)), self.dataset.own_ids("train"))

    def keys(self, places: Array) -> list[int]:
        """A number for each of these rows that stays the same wherever it stands."""
        ids = self.dataset.rows("train").ids
        return [int.from_bytes(ids[place].tobytes()) for place in places]

    def of(self, chosen: Array, advance: Advance) -> Iterator[Rows]:
        """The copies of these rows, those of one row beside one another, some rows at a time."""
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            yield self.reword(self.rows.take(part), self.keys(part), advance)

    def reword(self, rows: Rows, keys: list[int], advance: Advance) -> Rows:
        """The copies of some rows."""

        def reword() -> list[list[str]]:
            columns = enumerate(self.columns(rows).values())
            return [list(chain(*self.augmenter.reword(texts, keys, part, advance))) for part, texts in columns]

        made = self.chunks.finish(rows, keys, reword)
        return self.without_labels(replace(self.again(rows), texts=made[0], texts_pair=made[1] if len(made) > 1 else None))

    def again(self, rows: Rows) -> Rows:
        """Each row as often as it has copies, whose ids end in their numbers."""
        copies = range(1, self.augmenter.copies + 1)
        made = rows.take(np.repeat(np.arange(len(rows)), len(copies)))
        return made if rows.ids is None else replace(made, ids=[f"{own}-{copy}" for own in rows.ids for copy in copies])

    def without_labels(self, rows: Rows) -> Rows:
        """These rows as transfer rows."""
        return replace(rows, labels=rows.unlabelled(len(rows)))

    def encode(self, tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int) -> Encoded:
        """Some rows' tokens."""
        return encode(tokenizer, rows.texts, rows.texts_pair, max_length)

    def columns(self, rows: Rows) -> dict[str, Sequence[Any]]:
        """The columns of text that a prepared row keeps."""
        columns = {"text": rows.texts, "text_pair": rows.texts_pair}
        return {name: column.tolist() for name, column in columns.items() if column is not None}
