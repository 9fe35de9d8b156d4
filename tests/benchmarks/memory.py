"""Resident memory of a process that reads, in shuffled batches, a store of eight times the memory that it may allocate."""

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch

from distill.data.dataset import ID_BYTES
from distill.store.codecs.vectors import calibrate, vector_codec
from distill.store.readers import StoredOutput
from distill.store.shards import map_shard, write_shard
from tests.benchmarks.harness import Figure
from tests.benchmarks.stores import ROWS_A_SHARD, columns_of, part

LIMIT, TIMES, WIDTH, LENGTH, BATCH = 640 * 2**20, 8, 768, 32, 32


def measure(folder: Path) -> dict[str, Figure]:
    """The ratio of docs/store.md's table: the largest resident size of the last 7/8 of an epoch to that of the first 1/8."""
    codec, rng = calibrate("int8", torch.randn(1000, WIDTH)), np.random.default_rng(0)
    columns = columns_of(codec, torch.randn(ROWS_A_SHARD * LENGTH, WIDTH), np.full(ROWS_A_SHARD, LENGTH))
    written, number = 0, 0
    while written < TIMES * LIMIT:
        path, ids = part(folder, "hidden-03", number), rng.integers(0, 256, (ROWS_A_SHARD, ID_BYTES), np.uint8)
        write_shard(path, "hidden-03", ids, columns, codec.name, codec.statistics)
        written, number = written + path.stat().st_size, number + 1
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        early, late = process.submit(read, path.parent).result()
    name = f"resident memory, one epoch over a store of {TIMES} × the process's limit: last 7/8 / first 1/8"
    return {name: Figure(late / early, "<= 1.05", "ratio of bytes")}


def read(folder: Path) -> tuple[int, int]:
    """Read every row once, allocating no more than LIMIT; the largest resident size before and after 1/8."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    shards = [map_shard(path) for path in sorted(folder.iterdir())]
    reader = StoredOutput(shards, vector_codec("int8", shards[0].statistics), "bench")
    order = np.random.default_rng(0).permutation(len(reader))
    largest, process = [0, 0], psutil.Process()
    for start in range(0, len(order), BATCH):
        reader.gather(order[start : start + BATCH])
        late = start >= len(order) // TIMES
        if start % (16 * BATCH) == 0:
            largest[late] = max(largest[late], process.memory_info().rss)
    return largest[0], largest[1]
