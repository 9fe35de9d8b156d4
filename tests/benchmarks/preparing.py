"""Memory of `prepare`: `python -m tests.benchmarks.preparing 100000 400000` prints what it takes for so many rows.

`python -m tests.benchmarks.preparing --speed 40000` prints rows a second by one process and by one a core, interleaved.
"""

import multiprocessing
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from distill.preparation.columns import read_raw
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny
from tests.benchmarks.harness import interleave, ratio
from tests.command_line import contents

WORDS = np.array([f"word{i}" for i in range(5000)])
BATCH, SMALL, ROUNDS = 20_000, 1000, 5


def main() -> None:
    """One process for each number of rows; of speed, this one."""
    if sys.argv[1] == "--speed":
        with tempfile.TemporaryDirectory() as folder:
            speed(Path(folder), int(sys.argv[2]))
        return
    for rows in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            size, peak = process.submit(measure, Path(folder), rows).result()
        print(f"{rows} rows, {size / 2**20:.0f} MB of text: {peak / 2**20:.0f} MB, {peak / rows:.0f} bytes a row")


def measure(folder: Path, rows: int) -> tuple[int, int]:
    """The size of the texts, and the most anonymous memory beyond what libraries and a small data set take."""
    os.chdir(folder)
    write_raw(Path("small"), SMALL)
    size = write_raw(Path("large"), rows)
    prepare("small")
    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident())

    watching = threading.Thread(target=watch)
    watching.start()
    prepare("large")
    done.set()
    watching.join()
    return size, peak[0] - before


def speed(folder: Path, rows: int) -> None:
    """Print rows a second, medians of ROUNDS; both ways have to write the same bytes."""
    os.chdir(folder)
    write_raw(Path("raw"), rows)
    every = len(os.sched_getaffinity(0))

    def by(processes: int) -> Callable[[], None]:
        def run() -> None:
            os.environ["OMP_NUM_THREADS"] = str(processes)
            shutil.rmtree(f"prepared/{processes}", ignore_errors=True)
            prepare("raw", str(processes))

        return run

    seconds = interleave({str(count): by(count) for count in (1, every)}, ROUNDS, "prepare")
    for count, found in seconds.items():
        print(f"near-duplicates by {count} processes: {rows / statistics.median(found):.0f} rows a second")
    same = contents(Path("prepared/1")) == contents(Path("prepared", str(every)))
    print(f"ratio: {ratio(seconds, '1', str(every), '>= 1', '').value:.2f}; same bytes: {same}")


def prepare(name: str, to: str | None = None) -> None:
    """Two classes, splits cut, 32 tokens."""
    entry, folder = tiny.settings(max_length=32, splits={"validation": 0.1, "test": 0.1}), Path("prepared", to or name)
    folder.mkdir(parents=True)
    rows, names = make_rows(read_raw(Path(name), entry), name, entry)
    write_dataset(folder, rows, names, entry, tiny.tokenizer(WORDS.tolist()))


def write_raw(folder: Path, rows: int) -> int:
    """Texts of 2 to 22 words; their size in bytes."""
    folder.mkdir()
    rng, size = np.random.default_rng(0), 0
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with pa.parquet.ParquetWriter(folder / "train.parquet", schema) as writer:
        for start in range(0, rows, BATCH):
            count = min(BATCH, rows - start)
            texts = [" ".join(rng.choice(WORDS, length)) for length in rng.integers(2, 23, count)]
            writer.write_table(pa.table({"text": texts, "label": ["ab"[i % 2] for i in range(count)]}, schema))
            size += sum(map(len, texts))
    return size


def resident() -> int:
    """Bytes of memory that no file is behind."""
    return int(re.findall(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[0]) * 1024


if __name__ == "__main__":
    main()
