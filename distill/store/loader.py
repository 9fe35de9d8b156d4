"""Batches of a target set for any training loop: shuffled, of like length, padded, gathered by a thread while the step runs.

store = TargetStore.open(Path("data/targets/bbc"))
for batch in TargetLoader(store, "train", ("logits", "hidden-06"), batch_size=32, seed=1):
    batch["input_ids"], batch["attention_mask"]    # (batch, seq) int64, padded
    batch["logits"], batch["hidden-06"]            # (batch, classes), (real tokens of the batch, hidden) float32
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from distill.core.arrays import Array
from distill.data.prefetch import Prefetched
from distill.store.output_names import TOKENS
from distill.store.readers import OutputReaders
from distill.store.target_set import TargetStore

BATCHES_SORTED = 50
"""Batches of shuffled rows that are sorted by length together: enough for little padding, few enough for much chance."""


class LengthBuckets:
    """Row numbers in shuffled batches of like length; every pass has another order, which seed and pass alone decide."""

    def __init__(self, lengths: Array, batch_size: int, *, seed: int, shuffle: bool = True) -> None:
        """`lengths` are the tokens of each row. Without `shuffle`, batches hold the rows in their order."""
        self.lengths, self.batch_size, self.seed, self.shuffle = lengths, batch_size, seed, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of one pass; the last may be smaller."""
        rows = np.arange(len(self.lengths))
        if not self.shuffle:
            yield from (part.tolist() for part in _pieces(rows, self.batch_size))
            return
        rng = np.random.default_rng((self.seed, self.epoch))
        self.epoch += 1
        rng.shuffle(rows)
        pools = _pieces(rows, self.batch_size * BATCHES_SORTED)
        alike = [pool[np.argsort(-self.lengths[pool], kind="stable")] for pool in pools]
        batches = [batch for pool in alike for batch in _pieces(pool, self.batch_size)]
        yield from (batches[i].tolist() for i in rng.permutation(len(batches)))


def _pieces(rows: Array, size: int) -> list[Array]:
    return np.split(rows, np.arange(size, len(rows), size))


class TargetLoader:
    """Batches of a split of a target set. Each pass over it is an epoch with an order of its own.

    A batch is a dict: `rows` (batch,) int64, which rows of `ids` they are; `input_ids`, `attention_mask` and, for pairs,
    `token_type_ids`, (batch, seq) int64; and each output as its reader gathers it. Memory does not grow with the store: shards
    are mapped, only their index (some 60 bytes a row) is held.
    """

    def __init__(
        self,
        store: TargetStore,
        split: str,
        outputs: Sequence[str],
        *,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        prefetch: int = 1,
        workers: int = 0,
        ids: Array | None = None,
    ) -> None:
        """Open the outputs and locate the rows.

        `shuffle` gives batches of like length in an order of `seed`; without it, rows come in the order of `ids`, (n, 16) uint8,
        which are by default all. A thread gathers `prefetch` batches ahead; with `workers`, so many processes do instead.
        """
        readers = store.outputs([TOKENS, *outputs], split)
        tokens = readers[TOKENS]
        ids = tokens.ids if ids is None else ids
        self._gather = _Gather(readers, readers.locate(ids))
        lengths = tokens.lengths[self._gather.positions[TOKENS]]
        self._prefetch = prefetch
        self._batches: DataLoader[Any] = DataLoader(
            range(len(ids)),  # type: ignore[arg-type]
            batch_sampler=LengthBuckets(lengths, batch_size, seed=seed, shuffle=shuffle),
            collate_fn=self._gather,
            num_workers=workers,
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch."""
        if self._batches.num_workers or not self._prefetch:
            yield from self._batches
            return
        ahead = Prefetched(iter(self._batches), self._prefetch)
        try:
            yield from ahead
        finally:
            ahead.close()


class _Gather:
    """Turns row numbers into a batch."""

    def __init__(self, readers: OutputReaders, positions: dict[str, Array]) -> None:
        self.readers, self.positions = readers, positions

    def __call__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        chosen = np.asarray(rows)
        found = self.readers.gather({output: rows[chosen] for output, rows in self.positions.items()})
        lengths = self.readers[TOKENS].lengths[self.positions[TOKENS][chosen]]
        real = torch.from_numpy(np.arange(int(lengths.max())) < lengths[:, None])
        batch = {"rows": torch.from_numpy(chosen), "attention_mask": real.long()}
        for name, column in zip(("input_ids", "token_type_ids"), found.pop(TOKENS).unbind(dim=1), strict=False):
            batch[name] = torch.zeros(real.shape, dtype=torch.int64).masked_scatter_(real, column)
        return batch | found
