"""Materializing is resumable: killed anywhere, it ends with the bytes of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from distill.layers import resolve_layers
from distill.prepared import Dataset
from distill.targets.layout import cut, unique_rows
from distill.targets.outputs import Job, resolve
from tests import tiny
from tests.stores import materialize, materializer

ROOT = Path(__file__).parent.parent
RUN = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from distill.prepared import Dataset
from distill.targets.outputs import Job
from tests import tiny
from tests.stores import materializer
prepared, scratch, out = map(Path, sys.argv[1:])
dataset = Dataset.open(prepared)
made = materializer(tiny.bert(layers=3), dataset, Job(hidden=(1, -1), shard_bytes=1500), scratch)
print("ready", flush=True)
def unit():
    print("unit", flush=True)
    time.sleep(0.02)
work = made.run(after_unit=unit)
out.mkdir()
made.assemble(out)
print("done", work.tokens_computed, flush=True)
"""


def start(prepared: Path, scratch: Path, out: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", RUN, str(prepared), str(scratch), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for a run to end well; how many units it computed."""
    lines = process.communicate()[0].split()
    assert process.returncode == 0
    return lines.count("unit")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes_and_repeats_at_most_a_unit_a_kill(tmp_path, tokenizer):
    prepared = tiny.prepare(tmp_path / "prepared", tokenizer, (400, 40, 40))
    units = finish(start(prepared, tmp_path / "a", tmp_path / "undisturbed"))
    assert units > 30
    dice = random.Random(7)
    ran = 0
    for _ in range(10):
        with start(prepared, tmp_path / "b", tmp_path / "killed") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(dice.uniform(0.0, 0.12))
            process.send_signal(signal.SIGKILL)
            ran += process.stdout.read().split().count("unit")
    assert not (tmp_path / "killed").exists()
    assert 0 < ran < units + 10
    ran += finish(start(prepared, tmp_path / "b", tmp_path / "killed"))
    assert ran <= units + 10
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_a_second_run_reads_nothing_through_the_teacher(tmp_path, prepared):
    dataset, job = Dataset.open(prepared), Job(hidden=(1,), shard_bytes=2000)
    work = materializer(tiny.bert(layers=2), dataset, job, tmp_path).run()
    assert work.tokens_computed == work.tokens
    again = materializer(tiny.bert(layers=2), dataset, job, tmp_path).run()
    assert again.tokens_computed == 0
    assert again.tokens == sum(
        int(dataset.rows(split).lengths[unique_rows(dataset.rows(split))].sum()) for split in dataset.splits
    )


@pytest.mark.parametrize("change", ["teacher", "codec", "rows"])
def test_what_the_bytes_depend_on_is_computed_again(tmp_path, prepared, tokenizer, change):
    dataset, job = Dataset.open(prepared), Job(hidden=(1,), codec="fp32")
    materializer(tiny.bert(layers=2), dataset, job, tmp_path).run()
    changed = {"teacher": "x" * 64} if change == "teacher" else {}
    if change == "codec":
        job = Job(hidden=(1,), codec="fp16")
    if change == "rows":
        dataset = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, *tiny.rows(60, 9)))
    assert materializer(tiny.bert(layers=2), dataset, job, tmp_path, **changed).run().tokens_computed > 0


def test_adding_a_layer_leaves_the_other_shards_as_they_are(tmp_path, prepared):
    dataset, scratch = Dataset.open(prepared), tmp_path / "scratch"
    model = tiny.bert(layers=3)
    one = materialize(model, dataset, tmp_path / "one", Job(hidden=(1,)), scratch)
    two = materialize(model, dataset, tmp_path / "two", Job(hidden=(1, 2)), scratch)
    before, after = contents(one), contents(two)
    assert before.items() <= after.items()
    assert any(name.startswith("hidden-02/") for name in after)


@pytest.mark.parametrize("size", [1, 300, 10**6])
def test_units_hold_every_row_once_and_a_part_is_cut_as_the_whole_was(prepared, size):
    rows = Dataset.open(prepared).rows("train")
    positions = unique_rows(rows)
    lengths = rows.lengths[positions]
    units = list(cut(positions, 10 * lengths, size, lengths, None))
    np.testing.assert_array_equal(np.concatenate(units), positions)
    assert all(10 * rows.lengths[unit].sum() >= size for unit in units[:-1])
    for number in range(len(units)):
        rest = np.concatenate(units[number:])
        again = list(cut(rest, 10 * rows.lengths[rest], size, rows.lengths[rest], None))
        assert [unit.tolist() for unit in again] == [unit.tolist() for unit in units[number:]]


def test_layers_may_be_counted_from_the_end():
    assert resolve_layers("hidden", (-1, 0, 2), 0, 6) == (0, 2, 6)


def test_attention_brings_the_states_that_it_is_replayed_from():
    outputs = resolve(Job(hidden=(-1,), attention=(1, 3, -1)), 6, "sequence-classification")
    assert outputs.stored == {"logits": "fp32", "tokens": "tokens", "hidden-02": "int8", "hidden-05": "int8", "hidden-06": "int8"}
    assert outputs.replayed == {
        "attention-01": "hidden-00",
        "attention-03": "hidden-02",
        "attention-06": "hidden-05",
        "hidden-00": "tokens",
    }
