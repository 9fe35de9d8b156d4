"""The mean of two sets is a set."""

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.prepared import Dataset
from distill.targets.mean import write_mean
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.verify import check
from tests import tiny
from tests.stores import materialize, teacher_for


def stores(tmp_path, task, **job):
    """Two sets of other teachers, and other shards, of one data set."""
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared", task, sizes=(24, 8, 8)))
    models = [teacher_for(dataset, "bert"), teacher_for(dataset, "electra")]
    folders = [tmp_path / "targets" / name for name in ("first", "second")]
    for model, folder, size in zip(models, folders, (1500, 4000), strict=True):
        materialize(model, dataset, folder, Job(shard_bytes=size, **job), tmp_path / f"scratch-{folder.name}")
    return dataset, *(TargetStore.open(folder) for folder in folders)


@pytest.mark.parametrize("task", ["sequence-classification", "regression", "token-classification", "question-answering"])
def test_logits_are_the_weighted_mean_of_both(tmp_path, task):
    dataset, first, second = stores(tmp_path, task)
    folder = tmp_path / "targets" / "mean"
    write_mean(folder, first, second, 0.25)
    mean = TargetStore.open(folder)
    mean.require(dataset, tuple(dataset.splits))
    assert check(folder).problems == []
    for split in dataset.splits:
        ids = dataset.rows(split).ids[::-1]
        found, *both = (s.output("logits", split).gather(s.output("logits", split).locate(ids)) for s in (mean, first, second))
        torch.testing.assert_close(found, 0.25 * both[0] + 0.75 * both[1])


def test_the_same_sets_and_weight_give_the_same_bytes_and_another_weight_another_teacher(tmp_path):
    _, first, second = stores(tmp_path, "regression")
    for name, weight in (("a", 0.5), ("b", 0.5), ("c", 0.6)):
        write_mean(tmp_path / "targets" / name, first, second, weight)
    files = sorted(p.relative_to(tmp_path / "targets/a") for p in (tmp_path / "targets/a").rglob("*") if p.is_file())
    assert len(files) > 3
    assert all((tmp_path / "targets/a" / file).read_bytes() == (tmp_path / "targets/b" / file).read_bytes() for file in files)
    prints = {TargetStore.open(tmp_path / "targets" / n).manifest("logits").fingerprints.teacher for n in "abc"}
    assert len(prints) == 2
    write_mean(tmp_path / "targets" / "three", TargetStore.open(tmp_path / "targets/a"), second, 2 / 3)
    assert TargetStore.open(tmp_path / "targets/three").output("logits", "test").gather(np.arange(3)).isfinite().all()


def test_sets_of_other_rows_or_labels_have_no_mean(tmp_path):
    _, first, _ = stores(tmp_path / "one", "regression")
    tiny_rows = Dataset.open(tiny.prepare_task(tmp_path / "prepared", "regression", sizes=(25, 8, 8)))
    other = TargetStore.open(materialize(teacher_for(tiny_rows), tiny_rows, tmp_path / "targets" / "other", Job()))
    with pytest.raises(UserError, match=r"no mean of it and another: the rows of train are .{12}, in .*other .{12}; use sets"):
        write_mean(tmp_path / "mean", first, other, 0.5)
    _, tags, _ = stores(tmp_path / "two", "token-classification")
    with pytest.raises(UserError, match=r"labels is .*; per is row, in .*first it is token"):
        write_mean(tmp_path / "mean", first, tags, 0.5)


def test_a_vocabulary_is_too_wide_for_a_mean(tmp_path):
    _, first, second = stores(tmp_path, "masked-lm")
    with pytest.raises(UserError, match="its logits are replayed from transform, no mean of them can be kept"):
        write_mean(tmp_path / "mean", first, second, 0.5)


def test_rows_of_old_that_one_set_still_holds_are_left_out(tmp_path):
    large, small = (
        Dataset.open(tiny.prepare_task(tmp_path / name, "token-classification", sizes=(size, 8, 8)))
        for name, size in (("large", 24), ("small", 14))
    )
    model = teacher_for(small)
    old = TargetStore.open(materialize(model, large, tmp_path / "targets" / "old", Job(shard_bytes=1500)))
    scratch = tmp_path / "scratch"
    grown = TargetStore.open(materialize(model, small, tmp_path / "targets" / "grown", Job(shard_bytes=1500), scratch, old))
    fresh = TargetStore.open(materialize(model, small, tmp_path / "targets" / "fresh", Job()))
    assert len(grown.output("logits", "train")) > len(fresh.output("logits", "train"))
    write_mean(tmp_path / "targets" / "mean", grown, fresh, 0.5)
    mean, rows = TargetStore.open(tmp_path / "targets" / "mean").output("logits", "train"), small.rows("train")
    assert len(mean) == len(fresh.output("logits", "train"))
    exact = fresh.output("logits", "train")
    torch.testing.assert_close(mean.gather(mean.locate(rows.ids)), exact.gather(exact.locate(rows.ids)), atol=1e-5, rtol=1e-5)
    assert check(tmp_path / "targets" / "mean").problems == []
