"""Rows and their targets, joined into batches."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distill.padding import pad_batch, pad_labels
from distill.prepared import PreparedRows

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class Targets(Protocol):
    """Where a batch's targets are gathered from: the store's readers, or anything like them."""

    def locate(self, ids: Array) -> Array:
        """(n, 16) uint8 example ids → (n,) positions."""

    def gather(self, rows: Array) -> Tensor:
        """(n,) positions → what is kept of them, float32."""


class RowNumbers(torch.utils.data.Dataset[int]):
    """A data set of row numbers: the collator fetches a whole batch at once."""

    def __init__(self, size: int) -> None:
        """Numbers from 0 to size − 1."""
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, indices: list[int]) -> list[int]:
        """A batch of row numbers, as they are."""
        return indices


class Collator:
    """Turns row numbers into a batch: the padded inputs, `labels`, the teacher's `targets` of these rows, and their `weights`.

    `targets` maps `logits` to (batch, classes), `hidden-NN` to (real tokens of the batch, hidden), `cls-NN` to
    (batch, hidden) and `attention-NN` to (batch, heads, seq, seq), all fp32.
    """

    def __init__(self, rows: PreparedRows, targets: Mapping[str, Targets] | None = None, weights: Array | None = None) -> None:
        """Locate every row's targets once. `weights`, (rows,) float32, are those of the labels, by default there are none.

        Raises:
            UserError: the store lacks a row.
        """
        self.rows, self.weights = rows, weights
        self.targets = dict(targets or {})
        self.positions = {name: reader.locate(rows.ids) for name, reader in self.targets.items()}

    def __call__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Gather a batch."""
        chosen = np.asarray(indices)
        batch: dict[str, Any] = dict(pad_batch(self.rows, chosen))
        batch["labels"] = pad_labels(self.rows, chosen)
        if self.targets:
            batch["targets"] = {name: reader.gather(self.positions[name][chosen]) for name, reader in self.targets.items()}
        if self.weights is not None:
            batch["weights"] = torch.from_numpy(self.weights[chosen])
        return batch
