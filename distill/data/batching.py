"""Batches of rows of similar length, padded to the longest of each, with the teacher's targets beside them.

Where rows come in groups (the passages of a query), groups are batched: a loss that compares rows of a group sees it whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.data.averaging import KINDS, counts, expected_labels, expected_targets, labels_a_row
from distill.data.dataset import UNLABELLED, PreparedRows
from distill.data.groups import groups_of

ROWS_AT_ONCE = 1024
"""Rows that are looked at together."""


@runtime_checkable
class Targets(Protocol):
    """Where a batch's targets are gathered from: the store's readers, or anything like them."""

    def __iter__(self) -> Iterator[str]:
        """The names of the outputs."""

    def find(self, ids: Array) -> dict[str, Array]:
        """(n, 16) uint8 example ids → (n,) positions in each output, −1 where a set that was given lacks a row."""

    @property
    def lacking(self) -> bool:
        """Whether rows are lacking, or vectors of rows are NaN."""

    def gather(self, rows: Mapping[str, Array]) -> dict[str, Tensor]:
        """(n,) positions in each output → what is kept of them, float32."""


class Collator:
    """Turns numbers of the rows, or groups of rows, that are trained on into a batch.

    It holds the padded inputs, `labels`, the teacher's `targets` of these rows, their `weights`, the `groups` that they are of
    (numbered from 0), and the `counts` and `divisors` of distill/data/averaging.py.

    `targets` maps `logits` to (batch, classes), `hidden-NN` to (real tokens of the batch, hidden),
    `cls-NN` to (batch, hidden) and `attention-NN` to (batch, heads, seq, seq), all fp32. Where targets are lacking, they are NaN,
    and the batch has `gaps`.
    """

    def __init__(
        self,
        rows: PreparedRows,
        targets: Targets | None = None,
        weights: Array | None = None,
        *,
        labelled_only: bool = False,
        reads_labels: bool = True,
        hardest_of: int = 1,
    ) -> None:
        """Locate every row's targets once. `weights`, (rows,) float32, are those of the labels, by default there are none.

        `labelled_only` leaves out rows without a label, or of weight 0: for a loss that reads nothing but labels. Of rows that
        lack targets, those with a label stay if the loss `reads_labels`. `hardest_of`: a step looks at so many times as many rows
        as it learns from; batches then have the `places` of their rows, by which those that are chosen are gathered again.
        """
        self.rows, self.weights, self.hardest_of = rows, weights, hardest_of
        self.targets: Targets | tuple[()] = targets or ()
        self.positions = targets.find(rows.ids) if targets else {}
        self.per_token = len(rows.labels) != len(rows)
        self.lines = rows.lengths if self.per_token else np.ones(len(rows), np.int64)
        self.taught = self._taught_lines(targets) if targets and targets.lacking else None
        labels = labels_a_row(rows)
        self.held = labels.astype(np.float64) * (1 if weights is None else weights)
        self.chosen = np.flatnonzero(self.held) if labelled_only else np.arange(len(rows))
        if self.taught is not None:
            self.chosen = np.flatnonzero((self.taught > 0) | ((self.held > 0) & reads_labels))
            self.expected_targets = expected_targets(self.taught, self.lines, self.chosen)
        self.expected = expected_labels(rows, labels, self.held, self.chosen)
        self.groups = None if rows.groups is None else [self.chosen[part] for part in groups_of(rows.groups[self.chosen])]
        if self.taught is not None and self.groups is not None:
            self.taught_groups = np.array([self.taught[part].any() for part in self.groups], np.float64)

    def __len__(self) -> int:
        """How many rows, or groups of them, are trained on."""
        return len(self.chosen if self.groups is None else self.groups)

    @property
    def lengths(self) -> Array:
        """Tokens of each row, or group, that is trained on, int64."""
        if self.groups is None:
            return self.rows.lengths[self.chosen]
        return np.array([self.rows.lengths[part].sum() for part in self.groups], np.int64)

    def __call__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Gather a batch."""
        parts = None if self.groups is None else [self.groups[place] for place in indices]
        chosen = self.chosen[np.asarray(indices)] if parts is None else np.concatenate(parts)
        batch: dict[str, Any] = dict(pad_batch(self.rows, chosen))
        batch["labels"] = pad_labels(self.rows, chosen)
        if self.hardest_of > 1:
            batch["places"] = torch.tensor(list(indices))
        if parts is not None:
            batch["groups"] = torch.from_numpy(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))
        lengths, labels = self.rows.lengths[chosen], (self.held[chosen], self.expected[chosen])
        batch["counts"], batch["divisors"] = counts(lengths, *labels, groups=len(indices))
        if self.targets:
            batch["targets"] = self._targets(self.targets, chosen)
        if self.taught is not None:
            kind, batch["gaps"] = KINDS.index("tokens" if self.per_token else "rows"), torch.ones(len(chosen), dtype=torch.bool)
            batch["counts"][kind] = float(self.taught[chosen].sum())
            batch["divisors"][kind] = float(self.expected_targets[chosen].sum())
            if self.groups is not None:
                batch["counts"][KINDS.index("groups")] = float(self.taught_groups[np.asarray(indices)].sum())
                batch["divisors"][KINDS.index("groups")] = len(indices) * float(self.taught_groups.mean())
        if self.weights is not None:
            batch["weights"] = torch.from_numpy(self.weights[chosen])
        return batch

    def _targets(self, targets: Targets, chosen: Array) -> dict[str, Tensor]:
        """What is kept of these rows; NaN for those that are lacking."""
        places = {name: rows[chosen] for name, rows in self.positions.items()}
        if self.taught is None:
            return targets.gather(places)
        known = np.stack(list(places.values())).min(axis=0) >= 0
        there = torch.from_numpy(np.repeat(known, self.lines[chosen]))
        found = targets.gather({name: rows[known] for name, rows in places.items()})
        return {name: spread(vectors, there) for name, vectors in found.items()}

    def _taught_lines(self, targets: Targets) -> Array:
        """How many lines of targets each row has, (rows,) int64: rows may be lacking, and tokens of rows."""
        known = np.stack(list(self.positions.values())).min(axis=0) >= 0
        lines = np.where(known, self.lines, 0)
        for part in np.array_split(np.flatnonzero(known), max(1, len(known) // ROWS_AT_ONCE)) if self.per_token else ():
            found = targets.gather({name: rows[part] for name, rows in self.positions.items()})
            finite = np.stack([vectors.isfinite().all(dim=1).numpy() for vectors in found.values()]).all(axis=0).astype(np.int64)
            lines[part] = np.add.reduceat(finite, np.cumsum(self.lines[part]) - self.lines[part]) if len(part) else 0
        return lines


def spread(vectors: Tensor, there: Tensor) -> Tensor:
    """Vectors, (known, width), at the lines where `there` says so, NaN at all others: (lines, width)."""
    lines = vectors.new_full((len(there), vectors.shape[1]), torch.nan)
    lines[there] = vectors
    return lines


def pad_batch(rows: PreparedRows, positions: Array) -> dict[str, Tensor]:
    """`input_ids` and, where the rows have them, `token_type_ids`, (batch, seq) int64; `attention_mask` if anything is padded."""
    batch = {"input_ids": _padded(rows, rows.tokens, positions, rows.pad_token)}
    if rows.token_types is not None:
        batch["token_type_ids"] = _padded(rows, rows.token_types, positions, 0)
    real = _real(rows, positions)
    if not real.all():
        batch["attention_mask"] = torch.from_numpy(real.astype(np.int64))
    return batch


def pad_labels(rows: PreparedRows, positions: Array) -> Tensor:
    """The labels of a batch: (batch,), (batch, 2), (batch, labels), or (batch, seq) where each token has one, −100 at padding."""
    if not rows.labels_per_token:
        return torch.from_numpy(rows.labels[positions])
    return _padded(rows, rows.labels, positions, UNLABELLED)


def _padded(rows: PreparedRows, values: Array, positions: Array, padding: int) -> Tensor:
    """The values of a batch's tokens, (batch, seq) int64."""
    real = _real(rows, positions)
    padded = np.full(real.shape, padding, np.int64)
    padded[real] = np.concatenate([values[rows.offsets[i] : rows.offsets[i + 1]] for i in positions])
    return torch.from_numpy(padded)


def _real(rows: PreparedRows, positions: Array) -> Array:
    """Where a batch is no padding, (batch, seq) bool."""
    lengths = rows.lengths[positions]
    return np.asarray(np.arange(int(lengths.max())) < lengths[:, None])
