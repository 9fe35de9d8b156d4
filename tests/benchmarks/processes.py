"""Two processes that share the work of materializing, each with one thread, against one process with one thread.

Both have loaded the teacher before the clock starts: what is measured is how the work itself divides.
"""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import torch

from tests.benchmarks.harness import Figure, interleave, random_rows, ratio
from tests.benchmarks.materialization import LAYERS, LONGEST, ROWS, materializer
from tests.target_specs import target_spec

ROUNDS = 3


def measure(folder: Path) -> dict[str, Figure]:
    """The ratio of docs/store.md's table: 1 is linear."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        groups = {
            size: [
                stack.enter_context(ProcessPoolExecutor(1, context, initializer=prepare, initargs=(folder, rank, size)))
                for rank in range(size)
            ]
            for size in (1, 2)
        }

        def run(size: int) -> None:
            for done in [worker.submit(work) for worker in groups[size]]:
                done.result()

        seconds = interleave({"one": lambda: run(1), "two": lambda: run(2)}, ROUNDS, "processes")
    name = "materialization by 2 processes / by 1, a thread each, as a share of linear"
    return {name: ratio(seconds, "one", "two", ">= 0.9", "ratio of speeds", divisor=2)}


def prepare(folder: Path, rank: int, size: int) -> None:
    """Make this process ready to do every `size`th unit, from `rank` on."""
    global made, units  # noqa: PLW0603
    torch.set_num_threads(1)
    torch.manual_seed(0)
    job = target_spec(hidden=LAYERS, shard_bytes=2**20)
    made = materializer(random_rows(ROWS, LONGEST), job, Path(tempfile.mkdtemp(dir=folder)))
    units = made.missing()[rank::size]


def work() -> None:
    """Do this process's units."""
    made.run(units)
