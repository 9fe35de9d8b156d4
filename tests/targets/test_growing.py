"""What a target set has already is never read through the teacher again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.core.files import to_json
from distill.data.dataset import Dataset
from distill.store.loader import TargetLoader
from distill.store.target_set import TargetStore
from distill.targets.materialization.outputs import MaterializeSpec
from distill.targets.materialization.previous import RECORD, open_remembered, remember, total_cost
from distill.targets.verification.integrity import check
from tests import tiny
from tests.command_line import contents
from tests.damage import flip
from tests.stores import assembled, gathered, live_outputs, materialize, materializer
from tests.target_specs import target_spec

JOB = target_spec(hidden=(1, -1), shard_bytes=3000)
WIDER = target_spec(hidden=(1, 2, -1), shard_bytes=3000)


def prepared_of(folder: Path, tokenizer, texts: list[str], labels: list[str]) -> Dataset:
    return Dataset.open(tiny.prepare_rows(folder, tokenizer, texts, labels))


@pytest.fixture(scope="module")
def model():
    return tiny.bert(layers=3)


@pytest.fixture(scope="module")
def origin(tmp_path_factory, tokenizer, model):
    """A set of 60 training rows, remembered as the base of the next: read only."""
    folder = tmp_path_factory.mktemp("origin")
    dataset = prepared_of(folder / "first", tokenizer, *tiny.rows(60, 0))
    remember(materialize(model, dataset, folder / "one", JOB, folder / "scratch"), folder / "scratch")
    return folder


@pytest.fixture
def first(tmp_path, origin):
    """A copy of it."""
    return shutil.copytree(origin, tmp_path, dirs_exist_ok=True) / "one"


def grow(tmp_path: Path, model, dataset: Dataset, job: MaterializeSpec = JOB):
    """The next version of the set, and how many tokens the teacher read for it."""
    made = materializer(model, dataset, job, tmp_path / "scratch", open_remembered(tmp_path / "scratch"))
    work = made.run()
    return assembled(made, tmp_path / "two"), work.tokens_computed


def assert_equals_live_teacher(folder: Path, dataset: Dataset, model, outputs: tuple[str, ...]) -> None:
    rows, store = dataset.rows("train"), TargetStore.open(folder)
    store.require(dataset, ["train", "validation", "test"])
    logits, hidden = live_outputs(model, rows, np.arange(len(rows)))
    for output in outputs:
        exact = logits if output == "logits" else hidden[int(output[-2:])]
        torch.testing.assert_close(gathered(store, output, "train", rows.ids), exact, atol=0.05, rtol=0)


def test_nothing_is_read_for_rows_in_another_order(tmp_path, tokenizer, model, first):
    texts, labels = tiny.rows(60, 0)
    reordered = prepared_of(tmp_path / "elsewhere" / "rebuilt", tokenizer, texts[::-1], labels[::-1])
    folder, tokens = grow(tmp_path, model, reordered)
    assert tokens == 0
    assert_equals_live_teacher(folder, reordered, model, ("logits", "hidden-01"))
    before, after = ({name: file for name, file in contents(each).items() if name.endswith(".arrow")} for each in (first, folder))
    assert before == after


@pytest.mark.parametrize(("count", "job"), [(25, JOB), (0, WIDER), (25, WIDER)], ids=["rows", "layer", "both"])
def test_new_rows_and_layers_alone_are_read_in_one_pass_and_old_shards_stay(tmp_path, tokenizer, model, first, count, job):
    old, new = tiny.rows(60, 0), tiny.rows(count, 77)
    grown = prepared_of(tmp_path / "grown", tokenizer, [*old[0], *new[0]], [*old[1], *new[1]])
    folder, tokens = grow(tmp_path, model, grown, job)
    rows = grown.rows("train")
    read = {bytes(rows.ids[i]): int(rows.lengths[i]) for i in range(len(rows))}
    for i in range(60 if job == JOB else 0):
        read.pop(bytes(rows.ids[i]), None)
    assert tokens == sum(read.values())
    assert_equals_live_teacher(folder, grown, model, ("logits", *(f"hidden-{layer:02d}" for layer in (1, 3, *job.hidden[1:-1]))))
    assert set(contents(first / "hidden-01" / "train").values()) <= set(contents(folder / "hidden-01" / "train").values())
    if count == 0:
        assert contents(first).items() <= contents(folder).items()


@pytest.mark.parametrize("count", [10, 45, 59])
def test_rows_that_are_gone_are_in_no_shard_nor_in_a_batch_and_nothing_is_read_for_it(tmp_path, tokenizer, model, first, count):
    texts, labels = tiny.rows(60, 0)
    fewer = prepared_of(tmp_path / "fewer", tokenizer, texts[:count], labels[:count])
    folder, tokens = grow(tmp_path, model, fewer)
    assert tokens == 0
    assert_equals_live_teacher(folder, fewer, model, ("logits", "hidden-01", "hidden-03"))
    store, expected = TargetStore.open(folder), {bytes(identity) for identity in fewer.rows("train").ids}
    for output in store.manifests:
        assert {bytes(identity) for identity in store.output(output, "train").ids} == expected
    batches = TargetLoader(store, "train", ("logits",), batch_size=4)
    assert sum(len(batch["rows"]) for batch in batches) == len(expected)
    assert check(folder, {fewer.splits["train"]["fingerprint"]: fewer.rows("train").ids}).problems == []


@pytest.mark.parametrize(("before", "after", "read"), [("fp32", "int8", False), ("fp32", "bf16", False), ("int8", "fp16", True)])
def test_a_second_codec_asks_the_teacher_only_if_the_first_had_lost_something(tmp_path, tokenizer, model, before, after, read):
    dataset = prepared_of(tmp_path / "first", tokenizer, *tiny.rows(60, 0))
    job = {"hidden": (2,), "shard_bytes": 3000}
    folder = materialize(model, dataset, tmp_path / "one", target_spec(codec=before, **job), tmp_path / "scratch")
    remember(folder, tmp_path / "scratch")
    folder, tokens = grow(tmp_path, model, dataset, target_spec(codec=after, **job))
    assert (tokens > 0) == read
    assert_equals_live_teacher(folder, dataset, model, ("logits", "hidden-02"))
    if not read:
        direct = materialize(model, dataset, tmp_path / "direct", target_spec(codec=after, **job))
        assert {*contents(folder / "hidden-02")} == {*contents(direct / "hidden-02")}


@pytest.mark.parametrize(
    ("computed", "tokens", "expected"),
    [
        (0, 1000, (10.0, 800)),  # nothing new: the record stays
        (0, 400, (5.0, 400)),  # rows are gone
        (300, 1100, (13.0, 1100)),  # rows are new
        (900, 1000, (4.25, 1000)),  # most rows are read again, for another output
        (1000, 1000, (3.0, 1000)),  # all are
    ],
)
def test_the_cost_is_that_of_the_tokens_in_the_set(tmp_path, computed, tokens, expected):
    assert total_cost(tmp_path, 3.0, computed, tokens) == (3.0, computed)
    (tmp_path / RECORD).write_text(to_json({"seconds": 10.0, "tokens_computed": 800, "tokens": 1000}))
    assert total_cost(tmp_path, 3.0, computed, tokens) == expected


def test_another_teachers_set_is_no_base(tmp_path, tokenizer, model, first):
    dataset = Dataset.open(tmp_path / "first")
    other = tiny.bert(layers=3, seed=9)
    (tmp_path / RECORD).write_text("{}")
    materializer(model, dataset, JOB, tmp_path / "same", open_remembered(tmp_path / "scratch")).base.forget_cost(tmp_path)
    assert (tmp_path / RECORD).exists()
    made = materializer(other, dataset, JOB, tmp_path / "scratch", open_remembered(tmp_path / "scratch"), teacher="o" * 64)
    made.base.forget_cost(tmp_path)
    assert not (tmp_path / RECORD).exists()
    assert made.run().tokens_computed == made.tokens


def test_a_damaged_shard_of_the_base_is_computed_again_to_the_same_bytes(tmp_path, model, first, capsys):
    dataset = Dataset.open(tmp_path / "first")
    whole = contents(first)
    shard = tmp_path / "scratch/base/hidden-01/train/part-00002.arrow"
    flip(shard)
    folder, tokens = grow(tmp_path, model, dataset)
    assert 0 < tokens < 200
    assert "its rows are computed again" in capsys.readouterr().err
    assert contents(folder) == whole
