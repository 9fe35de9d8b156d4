"""Target sets at a URL."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.remote import Remote, publish
from distill.store.target_set import TargetStore
from tests import tiny
from tests.buckets import killed_download, place, s3, s3_server
from tests.damage import flip
from tests.stores import materialize
from tests.target_specs import target_spec

__all__ = ["place", "s3", "s3_server"]
JOB = target_spec(hidden=(0, 1), attention=(2,), shard_bytes=3000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A target set: read only."""
    return materialize(tiny.bert(layers=2), dataset, tmp_path_factory.mktemp("targets") / "tiny", JOB)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are fetched, as they are fetched."""
    seen, get = list[str](), Remote.get
    monkeypatch.setattr(Remote, "get", lambda self, name, file: (seen.append(name), get(self, name, file))[1])
    return seen


def files(seen: list[str]) -> list[str]:
    return [name for name in seen if not name.endswith("manifest.json")]


@pytest.mark.parametrize("place", ["memory", "file", "s3"], indirect=True)
def test_a_published_set_or_output_reads_as_the_one_that_it_was_made_from(made, place, dataset, tmp_path):
    publish(made, place)
    here, there = TargetStore.open(made), TargetStore.open(place, cache=tmp_path / "cache")
    there.require(dataset, ["train"])
    assert there.manifests == here.manifests
    rows = np.arange(len(dataset.rows("train")))[::-3]
    for output in here.manifests:
        one, other = here.output(output, "train"), there.output(output, "train")
        assert torch.equal(one.gather(rows), other.gather(rows))
    alone = TargetStore.open(f"{place}/logits", cache=tmp_path / "cache")
    assert list(alone.manifests) == ["logits"]
    assert len(alone.output("logits", "train")) == len(here.output("logits", "train"))


@pytest.mark.parametrize("place", ["memory", "file", "s3"], indirect=True)
def test_files_are_fetched_when_an_output_is_opened_and_again_only_if_damaged(made, place, downloads, tmp_path):
    publish(made, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    assert files(downloads) == []
    store.output("logits", "train")
    assert set(files(downloads)) == {f"logits/{shard.file}" for shard in store.manifests["logits"].splits["train"].shards}
    downloads.clear()
    TargetStore.open(place, cache=tmp_path / "cache").output("logits", "train")
    assert files(downloads) == []
    store.output("logits", "test")
    (damaged,) = (tmp_path / "cache/files").glob(f"{store.manifests['logits'].splits['test'].shards[0].sha256}*")
    damaged.write_bytes(damaged.read_bytes()[::-1])
    downloads.clear()
    TargetStore.open(place, cache=tmp_path / "cache").output("logits", "test")
    assert files(downloads) == ["logits/test/part-00000.arrow"]


def test_what_is_published_anew_is_read_anew(made, place, dataset, tmp_path):
    publish(made, place)
    TargetStore.open(place, cache=tmp_path / "cache").output("hidden-01", "train")
    other = materialize(tiny.bert(layers=2, seed=1), dataset, tmp_path / "other", target_spec(hidden=(2,), shard_bytes=3000))
    publish(other, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    assert set(store.manifests) == {"logits", "tokens", "hidden-02"}
    rows = np.arange(10)
    expected = TargetStore.open(other).output("logits", "train").gather(rows)
    assert torch.equal(store.output("logits", "train").gather(rows), expected)


def test_a_damaged_file_there_is_refused_and_leaves_nothing_in_the_cache(made, place, tmp_path):
    publish(made, place)
    name = "logits/train/part-00000.arrow"
    shutil.copyfile(made / name, tmp_path / "damaged")
    flip(tmp_path / "damaged")
    Remote(place).put(tmp_path / "damaged", name)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    with pytest.raises(UserError, match=f"{place}/{name}: its content is not that of its checksum"):
        store.output("logits", "train")
    digest = store.manifests["logits"].splits["train"].shards[0].sha256
    assert not list((tmp_path / "cache/files").glob(f"*{digest}*"))


def test_a_killed_download_leaves_no_file(made, place, tmp_path):
    publish(made, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    with killed_download():
        store.output("logits", "test")
    assert not list((tmp_path / "cache/files").iterdir())
    store.output("logits", "test")


def test_manifests_are_published_last_and_a_damaged_set_not_at_all(made, place, monkeypatch, tmp_path):
    order: list[str] = []
    monkeypatch.setattr(Remote, "put", lambda self, file, name: order.append(name))
    publish(made, place)
    manifests = [name for name in order if name.endswith("manifest.json")]
    assert (len(manifests), order[-len(manifests) :]) == (5, manifests)
    order.clear()
    copy = shutil.copytree(made, tmp_path / "copy")
    (copy / "tokens/test/part-00000.arrow").write_bytes(b"")
    with pytest.raises(UserError, match="is missing or damaged"):
        publish(copy, place)
    assert "tokens/manifest.json" not in order


def test_nothing_to_publish_and_nothing_there(place, tmp_path):
    with pytest.raises(UserError, match="no target set; run `dvc repro"):
        publish(tmp_path, place)
    with pytest.raises(UserError, match=f"{place}: no target set; publish one there"):
        TargetStore.open(place, cache=tmp_path / "cache")


def test_the_cache_is_where_the_environment_says(made, place, monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "own"))
    publish(made, place)
    TargetStore.open(place).output("logits", "test")
    assert len(list((tmp_path / "own/files").iterdir())) == 1
