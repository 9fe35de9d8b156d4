"""Rows as they are read from a source, before they are tokenized."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED


@dataclass(frozen=True)
class Answers:
    """The given answers to a question, and the character of the context at which each begins; none if it cannot be answered."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """The rows of one split: texts, lists of words (token classification), or questions with their contexts as pairs.

    `numbers` are row numbers in the raw file, `ids` the ids that it gives.
    """

    texts: list[Any]
    texts_pair: list[str] | None
    labels: Array
    """(rows,): int64 classes, UNLABELLED for transfer rows; float32 scores, NaN for them; or objects, None for them: lists of tag
    numbers, or Answers. Zeros for masked LM."""
    numbers: Array
    ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labelled(self) -> Array:
        """Which rows are no transfer rows, (rows,) bool."""
        match self.labels.dtype.kind:
            case "O":
                return np.array([label is not None for label in self.labels], bool)
            case "f":
                return ~np.isnan(self.labels)
        return np.asarray(self.labels != UNLABELLED)

    def without_empty(self) -> "Rows":
        """The rows whose texts are not empty."""
        pairs = self.texts_pair or self.texts
        return self.take(np.array([i for i, text in enumerate(self.texts) if text.strip() and pairs[i].strip()], np.int64))

    def take(self, positions: Array) -> "Rows":
        """The rows at these positions, in this order."""
        lists = {name: [part[i] for i in positions] for name in ("texts", "texts_pair", "ids") if (part := getattr(self, name))}
        return replace(self, **{"texts": [], **lists}, labels=self.labels[positions], numbers=self.numbers[positions])
