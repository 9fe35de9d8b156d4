"""Memory while data are prepared: files are many times what the process may allocate."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from distill.data import columns, long_arrays
from distill.data.dataset import Dataset
from distill.preparation import duplicates, keys
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny
from tests.command_line import contents, environment

LIMIT, TIMES, LETTERS = 3 * 2**20, 10, 8000
"""Bytes that may be allocated beyond what the libraries and small data sets take; how many times that a file is; of a row."""

SHORT = 25_000
"""Rows of a few words: 126 bytes each are more than LIMIT."""

CHILD = """
import gc, re, resource, sys
from pathlib import Path
import pyarrow
from distill.data import columns, long_arrays, splitters
from distill.preparation import keys
from distill.preparation.columns import read_raw
from distill.preparation.prepare import make_rows, write_dataset
from distill.sources import parquet
from tests import tiny
columns.ROWS, columns.BYTES, parquet.SIZE, splitters.MOST_ROWS = 16, 1 << 16, 1 << 17, 100
long_arrays.SMALL, long_arrays.STEP, keys.BUCKET = 1 << 12, 1 << 10, 1 << 11
pyarrow.set_cpu_count(1), pyarrow.set_io_thread_count(1)
limit, tasks = int(sys.argv[1]), sys.argv[2:]
def prepare(size, task):
    columns = {"id": "id"} | ({"text_pair": "text_pair"} if task == "sequence-classification" else {})
    entry = tiny.settings(task, splits={"validation": 0.1, "test": 0.1}, columns=columns)
    folder = Path(size, task)
    folder.mkdir(parents=True)
    rows, names = make_rows(read_raw(Path("raw") / folder, entry), "raw", entry)
    write_dataset(folder, rows, names, entry, tiny.masking_tokenizer())
for task in tasks:
    prepare("small", task)
for task in tasks:
    print(task, flush=True)
    gc.collect()
    used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + limit, resource.RLIM_INFINITY))
    prepare("large", task)
"""


def long(row: int) -> str:
    return f"w{row % 40} {row}x" + "ab" * (LETTERS // 2)


MAKERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "sequence-classification": lambda row: {"text": f"w{row % 40}", "text_pair": long(row), "label": "ab"[row % 2]},
    "token-classification": lambda row: {"tokens": long(row).split(), "tags": ["O", ["B-x", "O"][row % 2]]},
    "regression": lambda row: {"text": f"w{row % 40} {row}", "label": row % 7 / 7},
}


def write_raw(path: Path, task: str, rows: int) -> None:
    path.parent.mkdir(parents=True)
    made = [{"id": row, **MAKERS[task](row)} for row in range(rows)]
    group = 16 if rows < SHORT else 1000
    pa.parquet.write_table(pa.Table.from_pylist(made), path, row_group_size=group, compression="none", use_dictionary=False)


@pytest.mark.slow
def test_files_of_many_times_the_memory_and_many_rows_are_prepared(tmp_path):
    rows = dict.fromkeys(MAKERS, TIMES * LIMIT // LETTERS) | {"regression": SHORT}
    for task in MAKERS:
        for size, count in {"small": 64, "large": rows[task]}.items():
            write_raw(tmp_path / "raw" / size / task / "train.parquet", task, count)
        assert rows[task] == SHORT or (tmp_path / "raw" / "large" / task / "train.parquet").stat().st_size > TIMES * LIMIT
    single = {"ARROW_DEFAULT_MEMORY_POOL": "system", "TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "1"}
    arguments = [sys.executable, "-c", CHILD, str(LIMIT), *MAKERS]
    done = subprocess.run(arguments, env=environment(**single), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-3000:]}"
    for task in MAKERS:
        assert sum(part["rows"] for part in Dataset.open(tmp_path / "large" / task).splits.values()) == rows[task]


@pytest.mark.parametrize("task", tiny.TASKS)
def test_rows_are_the_same_however_few_are_looked_at_together(tmp_path, tokenizer, task, monkeypatch):
    raw = {"train": pa.concat_tables([tiny.raw(task, 20, seed) for seed in range(3)])}
    entry, made = tiny.settings(task, splits={"validation": 0.2, "test": 0.2}), []
    monkeypatch.chdir(tmp_path)
    for rows in (columns.ROWS, 3):
        if rows == 3:
            few = ((columns, "ROWS"), (long_arrays, "STEP"), (long_arrays, "SMALL"), (keys, "BUCKET"))
            for number, (module, name) in enumerate(few, start=rows):
                monkeypatch.setattr(module, name, number)
        folder = tmp_path / str(rows)
        folder.mkdir()
        write_dataset(folder, *make_rows(raw, "here", entry), entry, tiny.masking_tokenizer())
        made.append(contents(folder))
    assert made[0] == made[1]


def test_rows_are_the_same_however_many_processes_prepare_them(tmp_path, tokenizer, monkeypatch):
    texts = [f"w{row % 30} w{row % 7} w{row % 11} and some w{row // 9}" for row in range(90)]
    raw = {"train": pa.table({"text": texts, "label": ["ab"[row % 2] for row in range(90)]})}
    entry, made = tiny.settings(splits={"validation": 0.2, "test": 0.2}, near_duplicate=0.6), []
    monkeypatch.setattr(columns, "ROWS", 7)
    monkeypatch.setattr(duplicates, "ROWS_WORTH_PROCESSES", 0)
    for processes in (1, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(processes))
        folder = tmp_path / str(processes)
        folder.mkdir()
        told = write_dataset(folder, *make_rows(raw, "here", entry), entry, tokenizer)
        made.append(contents(folder))
    assert made[0] == made[1] == made[2]
    assert all(pair["near"] for pair in told["duplicates"].values())
