"""Rows by the hashes of their texts: which are the same, of as many rows as there may be."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.data.columns import Column
from distill.data.long_arrays import filled, joined, new_array, steps, taken
from distill.data.rows import Rows
from distill.preparation.normalization import normalized

KEY_BYTES = 16

BUCKET = 1 << 18
"""Rows whose keys are compared together: Arrow's table of them takes some 100 bytes a row."""


def with_keys(rows: Rows, compared: Column) -> Rows:
    """The same rows with the hashes of their normalized texts, if they have none yet."""
    return rows if rows.keys is not None else replace(rows, keys=keys_of(map(normalized, compared), len(rows)))


def keys_of(texts: Iterable[str], count: int) -> Array:
    """Hashes of so many texts, (texts, 16) uint8."""
    keys, texts = new_array((count, KEY_BYTES), np.uint8), iter(texts)
    for part in steps(count):
        made = bytearray()
        for text in islice(texts, part.stop - part.start):
            made += hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()
        keys[part] = np.frombuffer(made, np.uint8).reshape(-1, KEY_BYTES)
    return keys


def group_numbers(keys: Array) -> Array:
    """(rows, 16) uint8 → (rows,) numbers, the same where keys are, in the order in which keys come first."""
    first = first_rows(keys)
    numbers, count = new_array(len(keys), np.int64), 0
    for part in steps(len(keys)):
        numbers[part] = count - 1 + np.cumsum(first[part] == np.arange(part.start, part.stop))
        count = int(numbers[part.stop - 1]) + 1
    return taken(numbers, first)


def stand_in(keys: Array, others: Array) -> Array:
    """Which rows have a key that others have, (rows,) bool."""
    return np.asarray(first_rows(joined([others, keys]))[len(others) :] < len(others))


def first_places(keys: Array, others: Array) -> Array:
    """Of each of the others the first row with its key, (others,) int64; −1 if none has it."""
    first = first_rows(joined([keys, others]))[len(keys) :]
    return filled(len(others), lambda part: np.where(first[part] < len(keys), first[part], -1))


def first_rows(keys: Array) -> Array:
    """Of each row the first with its key, (rows,) int64; keys are (rows, bytes) uint8, hashes of a width of 4 bytes or more.

    Rows with one key are in one bucket, by the first bytes of it, and one bucket after the other is looked at: the memory that
    this takes does not grow with the rows, unless most have one key.
    """
    buckets = -(-len(keys) // BUCKET)
    first = new_array(len(keys), np.int64)
    bucket = filled(len(keys), lambda part: (keys[part, :4].copy().view("<u4")[:, 0] % max(1, buckets)).astype(np.uint16))
    for number in range(buckets):
        rows = np.flatnonzero(bucket == number)
        found = _as_arrow(keys[rows]).dictionary_encode().indices.to_numpy()
        new = np.flatnonzero(np.diff(np.maximum.accumulate(found), prepend=-1))
        first[rows] = rows[new][found]
    return first


def _as_arrow(keys: Array) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(keys.shape[1]), len(keys), [None, pa.py_buffer(keys)])
