"""Rows as they are read from a source, before they are tokenized."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    numbers, or Answers. Multi-label: (rows, labels) int64, 1 where a label applies, UNLABELLED throughout for transfer rows.
    Zeros for masked LM."""
    numbers: Array
    ids: list[str] | None = None
    dropped: Mapping[int, str] = field(default_factory=dict)
    """Rows of the raw file that were left out, by their numbers, and why."""

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
        return np.asarray((self.labels if self.labels.ndim == 1 else self.labels[:, 0]) != UNLABELLED)

    def unlabelled(self, count: int) -> Array:
        """The labels of so many transfer rows, of the kind of these rows'."""
        nothing: Any = {"O": None, "f": np.nan}.get(self.labels.dtype.kind, UNLABELLED)
        return np.full((count, *self.labels.shape[1:]), nothing, self.labels.dtype)

    def without(self, dropped: Mapping[int, str]) -> "Rows":
        """The rows whose numbers are not among those that are dropped."""
        kept = np.array([i for i, number in enumerate(self.numbers.tolist()) if number not in dropped], np.int64)
        return replace(self.take(kept), dropped={**self.dropped, **dropped})

    def take(self, positions: Array) -> "Rows":
        """The rows at these positions, in this order."""
        lists: dict[str, Any] = {
            name: [part[i] for i in positions] for name in ("texts", "texts_pair", "ids") if (part := getattr(self, name))
        }
        return replace(self, **{"texts": [], **lists}, labels=self.labels[positions], numbers=self.numbers[positions])

    def with_transfer(self, more: "Rows") -> "Rows":
        """These rows, and then others without labels."""
        pairs = None if self.texts_pair is None else [*self.texts_pair, *(more.texts_pair or [])]
        ids = None if self.ids is None else [*self.ids, *(more.ids or [])]
        return replace(
            self,
            texts=[*self.texts, *more.texts],
            texts_pair=pairs,
            labels=np.concatenate([self.labels, self.unlabelled(len(more))]),
            numbers=np.concatenate([self.numbers, more.numbers]),
            ids=ids,
        )
