"""A shard of more than 2³¹ values, of which one row of zeros has most, is written and read with offsets of 64 bits."""

import mmap
import tempfile

import numpy as np
import torch

from distill.store import shards
from distill.store.codecs.vectors import vector_codec
from distill.store.readers import StoredOutput
from distill.store.shards import Column, map_shard, write_shard
from tests.sparse import on_disk, sparse_files

WIDTH, ZEROS = 4, 2**29 + 3
"""Numbers of a vector; vectors of zeros: 2³¹ + 12 numbers."""


def test_vectors_behind_two_to_the_31_numbers_are_read_as_they_were_written(tmp_path):
    lengths = np.array([2, ZEROS, 1, 3])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.truncate(WIDTH * int(starts[-1]))
        values = np.frombuffer(mmap.mmap(file.fileno(), 0), np.int8).reshape(-1, WIDTH)
    values[:2], values[starts[2] :] = 5, np.arange(16).reshape(4, WIDTH)
    statistics = {"mean": torch.zeros(WIDTH), "deviation": torch.ones(WIDTH)}
    ids, path = np.arange(64, dtype=np.uint8).reshape(4, 16), tmp_path / "set/hidden-01/train/part-00000.arrow"
    scales = np.broadcast_to(np.ones((1, 1), np.float16), (int(starts[-1]), 1))
    with sparse_files(shards):
        write_shard(
            path, "hidden-01", ids, {"values": Column(values, starts), "scales": Column(scales, starts)}, "int8", statistics
        )
    assert path.stat().st_size > 2**31
    assert on_disk(path) < 2**21
    reader = StoredOutput([map_shard(path)], vector_codec("int8", statistics), "hidden-01")
    assert reader.lengths.tolist() == lengths.tolist()
    found = reader.gather(reader.locate(ids[[3, 0]]))
    assert found.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [5] * 4, [5] * 4]
