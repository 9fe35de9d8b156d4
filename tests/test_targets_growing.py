"""What a target set has already is never read through the teacher again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.prepared import Dataset
from distill.targets.base import remember, remembered
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from tests import tiny
from tests.stores import materialize, materializer

JOB = Job(hidden=(1, -1), shard_bytes=3000)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def prepared_of(folder: Path, tokenizer, texts: list[str], labels: list[str]) -> Dataset:
    return Dataset.open(tiny.prepare_rows(folder, tokenizer, texts, labels))


@pytest.fixture
def model():
    return tiny.bert(layers=3)


@pytest.fixture
def first(tmp_path, tokenizer, model):
    """A set of 60 training rows, remembered as the base of the next."""
    dataset = prepared_of(tmp_path / "first", tokenizer, *tiny.rows(60, 0))
    folder = materialize(model, dataset, tmp_path / "one", JOB, tmp_path / "scratch")
    remember(folder, tmp_path / "scratch")
    return folder


def grow(tmp_path: Path, model, dataset: Dataset, job: Job = JOB):
    """The next version of the set, and how many tokens the teacher read for it."""
    made = materializer(model, dataset, job, tmp_path / "scratch", remembered(tmp_path / "scratch"))
    work = made.run()
    folder = tmp_path / "two"
    folder.mkdir()
    made.assemble(folder)
    return folder, work.tokens_computed


def says_what_the_teacher_says(folder: Path, dataset: Dataset, model, outputs: tuple[str, ...], close: float = 0.05) -> None:
    rows, store = dataset.rows("train"), TargetStore.open(folder)
    store.require(dataset, ["train", "validation", "test"])
    for row in range(len(rows)):
        tokens = torch.from_numpy(rows.tokens[rows.offsets[row] : rows.offsets[row + 1]].astype(np.int64))[None]
        with torch.no_grad():
            said = model(tokens, output_hidden_states=True)
        for output in outputs:
            reader = store.output(output, "train")
            exact = said.logits if output == "logits" else said.hidden_states[int(output[-2:])][0]
            torch.testing.assert_close(reader.gather(reader.locate(rows.ids[[row]])), exact, atol=close, rtol=0)


def test_nothing_is_read_for_rows_in_another_order(tmp_path, tokenizer, model, first):
    texts, labels = tiny.rows(60, 0)
    turned = prepared_of(tmp_path / "elsewhere" / "rebuilt", tokenizer, texts[::-1], labels[::-1])
    folder, tokens = grow(tmp_path, model, turned)
    assert tokens == 0
    says_what_the_teacher_says(folder, turned, model, ("logits", "hidden-01"))
    before, after = contents(first), contents(folder)
    assert {name for name in before if name.endswith(".arrow")} == {name for name in after if name.endswith(".arrow")}
    assert all(before[name] == after[name] for name in before if name.endswith(".arrow"))


def test_new_rows_alone_are_read_and_old_shards_stay(tmp_path, tokenizer, model, first):
    old, new = tiny.rows(60, 0), tiny.rows(25, 77)
    grown = prepared_of(tmp_path / "grown", tokenizer, [*old[0], *new[0]], [*old[1], *new[1]])
    folder, tokens = grow(tmp_path, model, grown)
    rows = grown.rows("train")
    fresh = {bytes(rows.ids[i]): int(rows.lengths[i]) for i in range(len(rows))}
    for i in range(60):
        fresh.pop(bytes(rows.ids[i]), None)
    assert tokens == sum(fresh.values())
    says_what_the_teacher_says(folder, grown, model, ("logits", "hidden-01", "hidden-03"))
    assert set(contents(first / "hidden-01" / "train").values()) <= set(contents(folder / "hidden-01" / "train").values())


def test_rows_that_are_gone_leave_no_shard_that_holds_little_else(tmp_path, tokenizer, model, first):
    texts, labels = tiny.rows(60, 0)
    fewer = prepared_of(tmp_path / "fewer", tokenizer, texts[:10], labels[:10])
    folder, tokens = grow(tmp_path, model, fewer)
    assert tokens == 0
    says_what_the_teacher_says(folder, fewer, model, ("logits", "hidden-01", "hidden-03"))
    assert len(TargetStore.open(folder).output("hidden-01", "train")) < 25


def test_a_new_layer_is_read_for_its_own_sake_alone(tmp_path, tokenizer, model, first):
    dataset = Dataset.open(tmp_path / "first")
    folder, tokens = grow(tmp_path, model, dataset, Job(hidden=(1, 2, -1), shard_bytes=3000))
    assert tokens == sum(
        int(dataset.rows("train").lengths[i]) for i in np.unique(dataset.rows("train").ids, axis=0, return_index=True)[1]
    )
    before, after = contents(first), contents(folder)
    assert before.items() <= after.items()
    says_what_the_teacher_says(folder, dataset, model, ("logits", "hidden-01", "hidden-02", "hidden-03"))


def test_new_rows_and_a_new_layer_are_read_in_one_pass_a_row(tmp_path, tokenizer, model, first):
    old, new = tiny.rows(60, 0), tiny.rows(25, 77)
    grown = prepared_of(tmp_path / "grown", tokenizer, [*old[0], *new[0]], [*old[1], *new[1]])
    folder, tokens = grow(tmp_path, model, grown, Job(hidden=(1, 2, -1), shard_bytes=3000))
    rows = grown.rows("train")
    assert tokens == sum(int(rows.lengths[i]) for i in np.unique(rows.ids, axis=0, return_index=True)[1])
    says_what_the_teacher_says(folder, grown, model, ("logits", "hidden-01", "hidden-02", "hidden-03"))


@pytest.mark.parametrize(("before", "after", "read"), [("fp32", "int8", False), ("fp32", "bf16", False), ("int8", "fp16", True)])
def test_a_second_codec_asks_the_teacher_only_if_the_first_had_lost_something(tmp_path, tokenizer, model, before, after, read):
    dataset = prepared_of(tmp_path / "first", tokenizer, *tiny.rows(60, 0))
    job = {"hidden": (2,), "shard_bytes": 3000}
    folder = materialize(model, dataset, tmp_path / "one", Job(codec=before, **job), tmp_path / "scratch")
    remember(folder, tmp_path / "scratch")
    folder, tokens = grow(tmp_path, model, dataset, Job(codec=after, **job))
    assert (tokens > 0) == read
    says_what_the_teacher_says(folder, dataset, model, ("logits", "hidden-02"))
    if not read:
        direct = materialize(model, dataset, tmp_path / "direct", Job(codec=after, **job))
        assert {*contents(folder / "hidden-02")} == {*contents(direct / "hidden-02")}


def test_another_teachers_set_is_no_base(tmp_path, tokenizer, model, first):
    dataset = Dataset.open(tmp_path / "first")
    other = tiny.bert(layers=3, seed=9)
    made = materializer(other, dataset, JOB, tmp_path / "scratch", remembered(tmp_path / "scratch"), teacher="o" * 64)
    assert made.run().tokens_computed == made.tokens


def test_a_damaged_shard_of_the_base_is_computed_again_to_the_same_bytes(tmp_path, model, first, capsys):
    dataset = Dataset.open(tmp_path / "first")
    whole = contents(first)
    shard = tmp_path / "scratch/base/hidden-01/train/part-00002.arrow"
    damaged = bytearray(shard.read_bytes())
    damaged[200] ^= 4
    shard.unlink()
    shard.write_bytes(damaged)
    folder, tokens = grow(tmp_path, model, dataset)
    assert 0 < tokens < 200
    assert "its rows are computed again" in capsys.readouterr().err
    assert contents(folder) == whole
