"""Materializing is resumable: killed anywhere, it ends with the bytes of an undisturbed run."""

import contextlib
import random
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.dataset import Dataset
from distill.params.layers import resolve_layers
from distill.targets.materialization.outputs import resolve
from distill.targets.materialization.units import cut
from tests import tiny
from tests.command_line import contents
from tests.stores import FORKS, assembled, materialize, materializer
from tests.target_specs import target_spec

MOST = 3
"""Units that a process which is to be killed does at most: then it waits for that."""


def compute(prepared: Path, scratch: Path, out: Path, units: Connection, killed: bool) -> None:
    """In another process: materialize a set, and tell of each unit."""
    torch.set_num_threads(1)
    made = materializer(tiny.bert(layers=3), Dataset.open(prepared), target_spec(hidden=(1, -1), shard_bytes=1500), scratch)
    units.send("ready")
    done = []

    def unit() -> None:
        units.send("unit")
        done.append("unit")
        time.sleep(0.02 if not killed or len(done) < MOST else 3600)

    made.run(after_unit=unit)
    assembled(made, out)


def run(prepared: Path, scratch: Path, out: Path, after: tuple[int, float] | None = None) -> int:
    """Let it run to its end, or kill it some seconds after so many units; how many units it has computed."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=compute, args=(prepared, scratch, out, theirs, after is not None))
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    units = 0
    if after is not None:
        while units < after[0]:
            assert ours.recv() == "unit"
            units += 1
        time.sleep(after[1])
        process.kill()
    with contextlib.suppress(EOFError):
        while ours.recv() == "unit":
            units += 1
    process.join()
    assert process.exitcode == (0 if after is None else -signal.SIGKILL)
    return units


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes_and_repeats_at_most_a_unit_a_kill(tmp_path, tokenizer):
    prepared = tiny.prepare(tmp_path / "prepared", tokenizer, (400, 40, 40))
    units = run(prepared, tmp_path / "a", tmp_path / "undisturbed")
    assert units > 10 * MOST
    rng = random.Random(7)
    moments = [(rng.randrange(MOST), rng.uniform(0.0, 0.06)) for _ in range(10)]
    ran = sum(run(prepared, tmp_path / "b", tmp_path / "killed", moment) for moment in moments)
    assert not (tmp_path / "killed").exists()
    assert 0 < ran < units + 10
    ran += run(prepared, tmp_path / "b", tmp_path / "killed")
    assert ran <= units + 10
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_a_second_run_reads_nothing_through_the_teacher(tmp_path, prepared):
    dataset, job = Dataset.open(prepared), target_spec(hidden=(1,), shard_bytes=2000)
    work, again = (materializer(tiny.bert(layers=2), dataset, job, tmp_path).run() for _ in range(2))
    assert (work.tokens_computed, again.tokens_computed) == (work.tokens, 0)
    splits = [dataset.rows(split) for split in dataset.splits]
    assert again.tokens == sum(int(rows.lengths[rows.firsts()].sum()) for rows in splits)


@pytest.mark.parametrize("change", ["teacher", "codec", "rows"])
def test_what_the_bytes_depend_on_is_computed_again(tmp_path, prepared, tokenizer, change):
    dataset, job = Dataset.open(prepared), target_spec(hidden=(1,), codec="fp32")
    materializer(tiny.bert(), dataset, job, tmp_path).run()
    changed = {"teacher": "x" * 64} if change == "teacher" else {}
    job = target_spec(hidden=(1,), codec="fp16") if change == "codec" else job
    if change == "rows":
        dataset = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, *tiny.rows(60, 9)))
    assert materializer(tiny.bert(), dataset, job, tmp_path, **changed).run().tokens_computed > 0


def test_adding_a_layer_leaves_the_other_shards_as_they_are(tmp_path, prepared):
    dataset, scratch = Dataset.open(prepared), tmp_path / "scratch"
    model = tiny.bert(layers=3)
    one = materialize(model, dataset, tmp_path / "one", target_spec(hidden=(1,)), scratch)
    two = materialize(model, dataset, tmp_path / "two", target_spec(hidden=(1, 2)), scratch)
    before, after = contents(one), contents(two)
    assert before.items() <= after.items()
    assert any(name.startswith("hidden-02/") for name in after)


@pytest.mark.parametrize("size", [1, 300, 10**6])
def test_units_hold_every_row_once_and_a_part_is_cut_as_the_whole_was(prepared, size):
    rows = Dataset.open(prepared).rows("train")
    positions = rows.firsts()
    lengths = rows.lengths[positions]
    units = list(cut(positions, 10 * lengths, size, lengths, None))
    np.testing.assert_array_equal(np.concatenate(units), positions)
    assert all(10 * rows.lengths[unit].sum() >= size for unit in units[:-1])
    for number in range(len(units)):
        rest = np.concatenate(units[number:])
        again = list(cut(rest, 10 * rows.lengths[rest], size, rows.lengths[rest], None))
        assert [unit.tolist() for unit in again] == [unit.tolist() for unit in units[number:]]


def test_layers_may_be_counted_from_the_end_and_attention_brings_the_states_that_it_is_replayed_from():
    assert resolve_layers("hidden", (-1, 0, 2), 0, 6) == (0, 2, 6)
    outputs = resolve(target_spec(hidden=(-1,), attention=(1, 3, -1), replays_embeddings=True), 6, "sequence-classification")
    states = dict.fromkeys(("hidden-02", "hidden-05", "hidden-06"), "int8")
    assert outputs.stored == {"logits": "fp32", "tokens": "tokens", **states}
    sources = {"attention-01": "hidden-00", "attention-03": "hidden-02", "attention-06": "hidden-05", "hidden-00": "tokens"}
    assert outputs.replayed == sources
