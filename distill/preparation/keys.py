"""Rows by the hashes of their texts: which are the same, of as many rows as there may be."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distill.core.arrays import Array
from distill.data.columns import Column
from distill.data.rows import Rows
from distill.preparation.normalization import normalized

KEY_BYTES = 16


def with_keys(rows: Rows, compared: Column) -> Rows:
    """The same rows with the hashes of their normalized texts, if they have none yet."""
    return rows if rows.keys is not None else replace(rows, keys=keys_of(map(normalized, compared), len(rows)))


def keys_of(texts: Iterable[str], count: int) -> Array:
    """Hashes of so many texts, (texts, 16) uint8."""
    keys = bytearray(count * KEY_BYTES)
    for row, text in enumerate(texts):
        keys[row * KEY_BYTES : (row + 1) * KEY_BYTES] = hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()
    return np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES)


def group_numbers(keys: Array) -> Array:
    """(rows, 16) uint8 → (rows,) numbers, the same where keys are, in the order in which keys come first."""
    return np.asarray(_as_arrow(keys).dictionary_encode().indices.to_numpy(), np.int64)


def stand_in(keys: Array, others: Array) -> Array:
    """Which rows have a key that others have, (rows,) bool."""
    return np.asarray(pc.is_in(_as_arrow(keys), _as_arrow(others)).to_numpy(zero_copy_only=False))


def first_places(keys: Array, others: Array) -> Array:
    """Of each of the others the first row with its key, (others,) int64; −1 if none has it."""
    groups = group_numbers(np.concatenate([keys, others]))
    places = np.full(groups.max(initial=-1) + 1, -1)
    places[groups[: len(keys)][::-1]] = np.arange(len(keys))[::-1]
    return np.asarray(places[groups[len(keys) :]])


def _as_arrow(keys: Array) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(keys), [None, pa.py_buffer(np.ascontiguousarray(keys))])
