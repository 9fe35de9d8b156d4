"""Resident memory of a process that reads, in shuffled batches, a store of eight times the memory that it may allocate."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import torch

from distill.prepared import ID_BYTES
from distill.targets.codec import calibrate, vector_codec
from distill.targets.gather import StoredOutput
from distill.targets.shards import Column, map_shard, write_shard
from tests.benchmarks.harness import Figure

LIMIT, TIMES, WIDTH, LENGTH, BATCH = 640 * 2**20, 8, 768, 32, 32
ROWS_A_SHARD = 2048


def measure(folder: Path) -> dict[str, Figure]:
    """The ratio of docs/store.md's table: the largest resident size of the last 7/8 of an epoch to that of the first 1/8."""
    codec = calibrate("int8", torch.randn(1000, WIDTH))
    lengths = np.full(ROWS_A_SHARD, LENGTH)
    planes = codec.encode(torch.randn(ROWS_A_SHARD * LENGTH, WIDTH), lengths)
    starts = np.arange(ROWS_A_SHARD + 1) * LENGTH
    columns = {name: Column(plane.numpy(), starts) for name, plane in planes.items()}
    dice, written, number = np.random.default_rng(0), 0, 0
    while written < TIMES * LIMIT:
        path = folder / "set" / "hidden-03" / "train" / f"part-{number:05d}.arrow"
        ids = dice.integers(0, 256, (ROWS_A_SHARD, ID_BYTES), np.uint8)
        write_shard(path, "hidden-03", ids, columns, codec.name, codec.statistics)
        written, number = written + path.stat().st_size, number + 1
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(path.parent)]
    early, late = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    name = f"resident memory, one epoch over a store of {TIMES} × the process's limit: last 7/8 / first 1/8"
    return {name: Figure(late / early, "<= 1.05", "ratio of bytes")}


def read(folder: Path) -> tuple[int, int]:
    """Read every row once, allocating no more than LIMIT; the largest resident size before and after 1/8."""
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*read(Path(sys.argv[1])))
