"""Rows as they are read from a source, before they are tokenized."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.data.columns import Column
from distill.data.dataset import UNLABELLED
from distill.data.long_arrays import filled, joined, places, repeated, taken

LISTS, ARRAYS = ("texts", "texts_pair", "ids"), ("groups", "examples", "keys")


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

    texts: Any
    """A column, and so are `texts_pair` and `ids`, unless there are none; a list that is given becomes one."""
    texts_pair: Any
    """Of sentence embedding None where a row is a single text."""
    labels: Array | Column
    """(rows,): int64 classes, UNLABELLED for transfer rows; float32 scores, NaN for them; or a column, None for them: lists of
    tag numbers, or Answers. Multi-label: (rows, labels) int8, 1 where a label applies, UNLABELLED throughout for transfer rows.
    Zeros for masked LM."""
    numbers: Array
    ids: Any = None
    groups: Array | None = None
    """Ranking: (rows,) int64, a number for each group of rows that are ranked together."""
    dropped: Mapping[int, str] = field(default_factory=dict)
    """Rows of the raw file that were left out, by their numbers, and why."""
    examples: Array | None = None
    """(rows,) int64: of the texts of pairs that became rows of their own, which pair each is of."""
    keys: Array | None = None
    """(rows, 16) uint8, once they are made: hashes of what duplicates are found by, normalized."""

    def __post_init__(self) -> None:
        lists = {name: values for name in LISTS if (values := getattr(self, name)) is not None}
        if isinstance(self.labels, np.ndarray) and self.labels.dtype.kind == "O":
            lists["labels"] = self.labels.tolist()
        for name, values in lists.items():
            if not isinstance(values, Column):
                object.__setattr__(self, name, Column.of(values))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labelled(self) -> Array:
        """Which rows are no transfer rows, (rows,) bool."""
        if isinstance(self.labels, Column):
            return self.labels.present
        if self.labels.dtype.kind == "f":
            return np.asarray(~np.isnan(self.labels))
        return np.asarray((self.labels if self.labels.ndim == 1 else self.labels[:, 0]) != UNLABELLED)

    @property
    def strata(self) -> Array:
        """What a sample keeps the share of: each row's class, or whether it is labelled, (rows,); or labels, (rows, labels)."""
        return self.labels if isinstance(self.labels, np.ndarray) and self.labels.dtype.kind == "i" else self.labelled

    def unlabelled(self, count: int) -> Array | Column:
        """The labels of so many transfer rows, of the kind of these rows'."""
        if isinstance(self.labels, Column):
            return Column.nothing(count)
        nothing: Any = np.nan if self.labels.dtype.kind == "f" else UNLABELLED
        shape, kind = self.labels.shape[1:], self.labels.dtype
        return filled(count, lambda part: np.full((part.stop - part.start, *shape), nothing, kind))

    def labelled_at(self, positions: Array) -> "Rows":
        """The same rows, of which only those at these positions keep their labels."""
        lost = np.ones(len(self), bool)
        lost[positions] = False
        if isinstance(self.labels, Column):
            return replace(self, labels=self.labels.where(~lost))
        given, none = self.labels, self.unlabelled(1)
        beside = (1,) * (given.ndim - 1)
        return replace(self, labels=filled(len(self), lambda part: np.where(lost[part].reshape(-1, *beside), none, given[part])))

    def without(self, dropped: Mapping[int, str]) -> "Rows":
        """The rows whose numbers are not among those that are dropped."""
        if not dropped:
            return self
        left_out = np.fromiter(dropped, np.int64, len(dropped))
        kept = filled(len(self), lambda part: ~np.isin(self.numbers[part], left_out))
        return replace(self.take(places(kept)), dropped={**self.dropped, **dropped})

    def take(self, positions: Array) -> "Rows":
        """The rows at these positions, in this order."""
        columns: dict[str, Any] = {name: part.take(positions) for name in LISTS if (part := getattr(self, name)) is not None}
        labels = self.labels.take(positions) if isinstance(self.labels, Column) else taken(self.labels, positions)
        given = {name: getattr(self, name) for name in ARRAYS}
        arrays: dict[str, Any] = {name: None if part is None else taken(part, positions) for name, part in given.items()}
        return replace(self, **columns, **arrays, labels=labels, numbers=taken(self.numbers, positions))

    def parts(self) -> Iterator[slice]:
        """All rows in slices that are small enough to be in memory."""
        parts: Iterator[slice] = self.texts.parts()
        return parts

    def part(self, places: slice) -> "Rows":
        """Some rows that follow one another, in memory."""
        lists: dict[str, Any] = {name: values[places] for name in LISTS if (values := getattr(self, name)) is not None}
        labels = Column.of(self.labels[places]) if isinstance(self.labels, Column) else self.labels[places]
        arrays: dict[str, Any] = {name: None if (part := getattr(self, name)) is None else part[places] for name in ARRAYS}
        return replace(self, **lists, **arrays, labels=labels, numbers=self.numbers[places])

    def apart(self) -> "Rows":
        """The texts of pairs as rows of their own, one after the other, each with the pair's label; single texts as they are."""
        if self.texts_pair is None:
            return self
        pairs = repeated(self.texts_pair.present.astype(np.int8) + 1)

        def place(part: slice) -> Array:
            before = int(pairs[part.start - 1]) if part.start else -1
            return np.asarray(pairs[part] + (np.diff(pairs[part], prepend=before) == 0) * len(self))

        from_both = filled(len(pairs), place)
        texts = (self.texts + self.texts_pair).take(from_both)
        ids = None if self.ids is None else (self.ids + self.ids.map(lambda own: f"{own}-2")).take(from_both)
        return replace(self.take(pairs), texts=texts, texts_pair=None, ids=ids, examples=pairs, keys=None)

    def with_transfer(self, more: "Rows") -> "Rows":
        """These rows, and then others without labels."""
        columns: dict[str, Any] = {
            name: part + getattr(more, name) for name in LISTS if (part := getattr(self, name)) is not None
        }
        labels: Any = self.unlabelled(len(more))
        labels = self.labels + labels if isinstance(self.labels, Column) else joined([self.labels, labels])
        groups = self.groups
        if groups is not None and more.groups is not None:
            groups = np.concatenate([groups, more.groups + groups.max(initial=-1) + 1])
        numbers = joined([self.numbers, more.numbers])
        return replace(self, **columns, labels=labels, numbers=numbers, groups=groups, keys=None)
