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
    texts_pair: list[Any] | None
    """Of sentence embedding None where a row is a single text."""
    labels: Array
    """(rows,): int64 classes, UNLABELLED for transfer rows; float32 scores, NaN for them; or objects, None for them: lists of tag
    numbers, or Answers. Multi-label: (rows, labels) int64, 1 where a label applies, UNLABELLED throughout for transfer rows.
    Zeros for masked LM."""
    numbers: Array
    ids: list[str] | None = None
    groups: Array | None = None
    """Ranking: (rows,) int64, a number for each group of rows that are ranked together."""
    dropped: Mapping[int, str] = field(default_factory=dict)
    """Rows of the raw file that were left out, by their numbers, and why."""
    examples: Array | None = None
    """(rows,) int64: of the texts of pairs that became rows of their own, which pair each is of."""

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
        groups = None if self.groups is None else self.groups[positions]
        return replace(
            self, **{"texts": [], **lists}, labels=self.labels[positions], numbers=self.numbers[positions], groups=groups
        )

    def apart(self) -> "Rows":
        """The texts of pairs as rows of their own, one after the other, each with the pair's label; single texts as they are."""
        if self.texts_pair is None:
            return self
        pairs = np.repeat(np.arange(len(self)), [1 if text is None else 2 for text in self.texts_pair])
        texts = [text for pair in zip(self.texts, self.texts_pair, strict=True) for text in pair if text is not None]
        second = np.diff(pairs, prepend=-1) == 0
        own = self.ids or []
        ids = None if self.ids is None else [own[row] + ("-2" if late else "") for row, late in zip(pairs, second, strict=True)]
        labels, numbers = self.labels[pairs], self.numbers[pairs]
        return replace(self, texts=texts, texts_pair=None, labels=labels, numbers=numbers, ids=ids, examples=pairs)

    def with_transfer(self, more: "Rows") -> "Rows":
        """These rows, and then others without labels."""
        pairs = None if self.texts_pair is None else [*self.texts_pair, *(more.texts_pair or [])]
        ids = None if self.ids is None else [*self.ids, *(more.ids or [])]
        groups = self.groups
        if groups is not None and more.groups is not None:
            groups = np.concatenate([groups, more.groups + groups.max(initial=-1) + 1])
        return replace(
            self,
            texts=[*self.texts, *more.texts],
            texts_pair=pairs,
            labels=np.concatenate([self.labels, self.unlabelled(len(more))]),
            numbers=np.concatenate([self.numbers, more.numbers]),
            ids=ids,
            groups=groups,
        )
