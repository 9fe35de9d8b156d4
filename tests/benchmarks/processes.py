"""Two processes that share the work of materializing, each with one thread, against one process with one thread.

Both have loaded the teacher before the clock starts: what is measured is how the work itself divides.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

import torch

from distill.prepared import Dataset
from distill.targets.outputs import Job
from distill.targets.teacher import Teacher
from distill.targets.writer import Materializer
from tests.benchmarks.harness import Figure, interleave, ratio
from tests.benchmarks.materialization import Rows, fingerprints
from tests.benchmarks.models import classifier, random_rows

ROWS, LONGEST, ROUNDS = 2048, 64, 3


class Worker:
    """A process that does its share of the units whenever it is told to."""

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.benchmarks.processes", str(folder), str(rank), str(size)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.wait()

    def start(self) -> None:
        assert self.process.stdin is not None
        print("go", file=self.process.stdin, flush=True)

    def wait(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError("a worker has failed")

    def end(self) -> None:
        self.process.communicate()


def measure(folder: Path) -> dict[str, Figure]:
    """The ratio of docs/store.md's table: 1 is linear."""
    crews = {size: [Worker(folder, rank, size) for rank in range(size)] for size in (1, 2)}

    def run(size: int) -> None:
        for worker in crews[size]:
            worker.start()
        for worker in crews[size]:
            worker.wait()

    seconds = interleave({"one": lambda: run(1), "two": lambda: run(2)}, ROUNDS, "processes")
    for worker in [*crews[1], *crews[2]]:
        worker.end()
    name = "materialization by 2 processes / by 1, a thread each, as a share of linear"
    return {name: Figure(ratio(seconds["one"], seconds["two"]) / 2, ">= 0.9", "ratio of speeds")}


def work(folder: Path, rank: int, size: int) -> None:
    """Do every `size`th unit, from `rank` on, for each line that comes in."""
    torch.manual_seed(0)
    job = Job(hidden=(1, 2, 4, 6), shard_bytes=2**20)
    teacher = Teacher(classifier(layers=6, width=384), fingerprints())
    scratch = Path(tempfile.mkdtemp(dir=folder))
    made = Materializer(teacher, cast(Dataset, Rows(random_rows(ROWS, LONGEST))), job, scratch)
    units = made.missing()[rank::size]
    print("done", flush=True)
    for _ in sys.stdin:
        made.run(units)
        print("done", flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
