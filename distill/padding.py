"""Ragged rows into padded tensors, and into batches of like length."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.prepared import UNLABELLED, PreparedRows

Array = np.ndarray[Any, np.dtype[Any]]
FULL_BATCH = 1024
"""Tokens from which on a batch is worth running on its own: below it, rows of another length join and are padded."""


def length_batches(lengths: Array, batch_tokens: int) -> Iterator[Array]:
    """Positions of rows in batches of like length, the longest first.

    A batch holds rows of one length, up to `batch_tokens` tokens. If they are few (under FULL_BATCH), shorter rows join, padded.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        most = max(1, batch_tokens // longest)
        enough = -(-FULL_BATCH // longest)
        stop = start + 1
        while stop < len(order) and stop - start < most and (lengths[order[stop]] == longest or stop - start < enough):
            stop += 1
        yield order[start:stop]
        start = stop


def pad_batch(rows: PreparedRows, positions: Array) -> dict[str, Tensor]:
    """`input_ids` and, where the rows have them, `token_type_ids`, (batch, seq) int64; `attention_mask` if anything is padded."""
    lengths = rows.lengths[positions]
    longest = int(lengths.max())
    real = np.arange(longest) < lengths[:, None]
    sources = {"input_ids": rows.tokens} | ({} if rows.token_types is None else {"token_type_ids": rows.token_types})
    batch = {}
    for name, source in sources.items():
        padded = np.full(real.shape, rows.pad_token if name == "input_ids" else 0, np.int64)
        padded[real] = np.concatenate([source[rows.offsets[i] : rows.offsets[i + 1]] for i in positions])
        batch[name] = torch.from_numpy(padded)
    if not real.all():
        batch["attention_mask"] = torch.from_numpy(real.astype(np.int64))
    return batch


def pad_labels(rows: PreparedRows, positions: Array) -> Tensor:
    """The labels of a batch: (batch,), (batch, 2), or (batch, seq) where each token has one, −100 at padding."""
    if len(rows.labels) == len(rows):
        return torch.from_numpy(rows.labels[positions])
    lengths = rows.lengths[positions]
    real = np.arange(int(lengths.max())) < lengths[:, None]
    padded = np.full(real.shape, UNLABELLED, np.int64)
    padded[real] = np.concatenate([rows.labels[rows.offsets[i] : rows.offsets[i + 1]] for i in positions])
    return torch.from_numpy(padded)
