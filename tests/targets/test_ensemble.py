"""The mean of two sets is a set."""

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.target_set import TargetStore
from distill.targets.ensemble import write_mean
from distill.targets.verification.integrity import check
from tests import tiny
from tests.command_line import contents
from tests.stores import gathered, stored, teacher_for
from tests.target_specs import target_spec


def stores(tmp_path, task):
    """Two sets of other teachers, and other shards, of one data set."""
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared", task, sizes=(24, 8, 8)))
    made = (
        stored(teacher_for(dataset, family), dataset, tmp_path / "targets" / name, target_spec(shard_bytes=size))
        for family, name, size in (("bert", "first", 1500), ("electra", "second", 4000))
    )
    return dataset, *made


@pytest.mark.parametrize(
    "task", ["sequence-classification", "multi-label", "regression", "token-classification", "question-answering"]
)
def test_logits_are_the_weighted_mean_of_both(tmp_path, task):
    dataset, first, second = stores(tmp_path, task)
    folder = tmp_path / "targets" / "mean"
    write_mean(folder, first, second, 0.25)
    mean = TargetStore.open(folder)
    mean.require(dataset, tuple(dataset.splits))
    assert check(folder).problems == []
    for split in dataset.splits:
        ids = dataset.rows(split).ids[::-1]
        found, *both = (gathered(store, "logits", split, ids) for store in (mean, first, second))
        torch.testing.assert_close(found, 0.25 * both[0] + 0.75 * both[1])


def test_the_same_sets_and_weight_give_the_same_bytes_and_another_weight_another_teacher(tmp_path):
    _, first, second = stores(tmp_path, "regression")
    for name, weight in (("a", 0.5), ("b", 0.5), ("c", 0.6)):
        write_mean(tmp_path / "targets" / name, first, second, weight)
    assert len(contents(tmp_path / "targets/a")) > 3
    assert contents(tmp_path / "targets/a") == contents(tmp_path / "targets/b")
    prints = {TargetStore.open(tmp_path / "targets" / n).manifest("logits").fingerprints.teacher for n in "abc"}
    assert len(prints) == 2
    write_mean(tmp_path / "targets" / "three", TargetStore.open(tmp_path / "targets/a"), second, 2 / 3)
    assert TargetStore.open(tmp_path / "targets/three").output("logits", "test").gather(np.arange(3)).isfinite().all()


def test_sets_of_other_rows_or_labels_have_no_mean(tmp_path):
    _, first, _ = stores(tmp_path / "one", "regression")
    tiny_rows = Dataset.open(tiny.prepare_task(tmp_path / "prepared", "regression", sizes=(25, 8, 8)))
    other = stored(teacher_for(tiny_rows), tiny_rows, tmp_path / "targets" / "other", target_spec())
    with pytest.raises(UserError, match=r"no mean of it and another: the rows of train are .{12}, in .*other .{12}; use sets"):
        write_mean(tmp_path / "mean", first, other, 0.5)
    _, tags, _ = stores(tmp_path / "two", "token-classification")
    with pytest.raises(UserError, match=r"labels is .*; per is row, in .*first it is token"):
        write_mean(tmp_path / "mean", first, tags, 0.5)


def test_a_vocabulary_is_too_wide_for_a_mean(tmp_path):
    _, first, second = stores(tmp_path, "masked-lm")
    with pytest.raises(UserError, match="its logits are replayed from transform, no mean of them can be kept"):
        write_mean(tmp_path / "mean", first, second, 0.5)


def test_a_set_that_has_shrunk_gives_the_mean_of_the_rows_that_are_left(tmp_path):
    large, small = (
        Dataset.open(tiny.prepare_task(tmp_path / name, "token-classification", sizes=(size, 8, 8)))
        for name, size in (("large", 24), ("small", 14))
    )
    model = teacher_for(small)
    targets, job = tmp_path / "targets", target_spec(shard_bytes=1500)
    old = stored(model, large, targets / "old", job)
    grown = stored(model, small, targets / "grown", job, tmp_path / "scratch", old)
    fresh = stored(model, small, targets / "fresh", target_spec())
    assert len(grown.output("logits", "train")) == len(fresh.output("logits", "train"))
    write_mean(targets / "mean", grown, fresh, 0.5)
    mean, ids = TargetStore.open(targets / "mean"), small.rows("train").ids
    assert len(mean.output("logits", "train")) == len(fresh.output("logits", "train"))
    found, exact = (gathered(store, "logits", "train", ids) for store in (mean, fresh))
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)
    assert check(targets / "mean").problems == []
