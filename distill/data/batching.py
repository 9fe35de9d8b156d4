"""Batches of rows of similar length, padded to the longest of each, with the teacher's targets beside them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.data.averaging import counts, expected_labels, labels_a_row
from distill.data.dataset import UNLABELLED, PreparedRows


@runtime_checkable
class Targets(Protocol):
    """Where a batch's targets are gathered from: the store's readers, or anything like them."""

    def __iter__(self) -> Iterator[str]:
        """The names of the outputs."""

    def locate(self, ids: Array) -> dict[str, Array]:
        """(n, 16) uint8 example ids → (n,) positions in each output."""

    def gather(self, rows: Mapping[str, Array]) -> dict[str, Tensor]:
        """(n,) positions in each output → what is kept of them, float32."""


class Collator:
    """Turns numbers of the rows that are trained on into a batch.

    It holds the padded inputs, `labels`, the teacher's `targets` of these rows, their `weights`, and the `counts` and `divisors`
    of distill/data/averaging.py. `targets` maps `logits` to (batch, classes), `hidden-NN` to (real tokens of the batch, hidden),
    `cls-NN` to (batch, hidden) and `attention-NN` to (batch, heads, seq, seq), all fp32.
    """

    def __init__(
        self, rows: PreparedRows, targets: Targets | None = None, weights: Array | None = None, *, labelled_only: bool = False
    ) -> None:
        """Locate every row's targets once. `weights`, (rows,) float32, are those of the labels, by default there are none.

        `labelled_only` leaves out rows without a label, or of weight 0: for a loss that reads nothing but labels.
        """
        self.rows, self.weights = rows, weights
        self.targets: Targets | tuple[()] = targets or ()
        self.positions = targets.locate(rows.ids) if targets else {}
        labels = labels_a_row(rows)
        self.held = labels.astype(np.float64) * (1 if weights is None else weights)
        self.chosen = np.flatnonzero(self.held) if labelled_only else np.arange(len(rows))
        self.expected = expected_labels(rows, labels, self.held, self.chosen)

    def __len__(self) -> int:
        """How many rows are trained on."""
        return len(self.chosen)

    @property
    def lengths(self) -> Array:
        """Tokens of each row that is trained on, int64."""
        return self.rows.lengths[self.chosen]

    def __call__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Gather a batch."""
        chosen = self.chosen[np.asarray(indices)]
        batch: dict[str, Any] = dict(pad_batch(self.rows, chosen))
        batch["labels"] = pad_labels(self.rows, chosen)
        lengths, labels = self.rows.lengths[chosen], (self.held[chosen], self.expected[chosen])
        batch["counts"], batch["divisors"] = counts(lengths, *labels)
        if self.targets:
            batch["targets"] = self.targets.gather({name: rows[chosen] for name, rows in self.positions.items()})
        if self.weights is not None:
            batch["weights"] = torch.from_numpy(self.weights[chosen])
        return batch


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
