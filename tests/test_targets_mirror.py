"""Target sets at a URL."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.prepared import Dataset
from distill.remote import Remote
from distill.targets.mirror import publish
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from tests import tiny
from tests.buckets import BUCKET, s3, s3_server
from tests.stores import materialize

__all__ = ["s3", "s3_server"]
JOB = Job(hidden=(0, 1), attention=(2,), shard_bytes=3000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A target set: read only."""
    return materialize(tiny.bert(layers=2), dataset, tmp_path_factory.mktemp("targets") / "tiny", JOB)


@pytest.fixture(params=["memory", "file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a set of its own can be published."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/{tmp_path.name}/tiny"
    return f"{request.param}://{tmp_path}/there/tiny"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are fetched, as they are fetched."""
    seen: list[str] = []
    get = Remote.get
    monkeypatch.setattr(Remote, "get", lambda self, name, file: (seen.append(name), get(self, name, file))[1])
    return seen


def files(seen: list[str]) -> list[str]:
    return [name for name in seen if not name.endswith("manifest.json")]


def test_a_published_set_reads_as_the_one_that_it_was_made_from(made, place, dataset, tmp_path):
    publish(made, place)
    here, there = TargetStore.open(made), TargetStore.open(place, cache=tmp_path / "cache")
    there.require(dataset, ["train"])
    assert there.manifests == here.manifests
    rows = np.arange(len(dataset.rows("train")))[::-3]
    for output in here.manifests:
        one, other = here.output(output, "train"), there.output(output, "train")
        assert torch.equal(one.gather(rows), other.gather(rows))


def test_files_are_fetched_when_an_output_is_opened_and_only_once(made, place, downloads, tmp_path):
    publish(made, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    assert files(downloads) == []
    store.output("logits", "train")
    assert set(files(downloads)) == {f"logits/{shard.file}" for shard in store.manifests["logits"].splits["train"].shards}
    downloads.clear()
    TargetStore.open(place, cache=tmp_path / "cache").output("logits", "train")
    assert files(downloads) == []


def test_one_output_by_its_url(made, place, tmp_path):
    publish(made, place)
    store = TargetStore.open(f"{place}/logits", cache=tmp_path / "cache")
    assert list(store.manifests) == ["logits"]
    assert len(store.output("logits", "train")) == len(TargetStore.open(made).output("logits", "train"))


def test_what_is_published_anew_is_read_anew(made, place, dataset, tmp_path):
    publish(made, place)
    TargetStore.open(place, cache=tmp_path / "cache").output("hidden-01", "train")
    other = materialize(tiny.bert(layers=2, seed=1), dataset, tmp_path / "other", Job(hidden=(2,), shard_bytes=3000))
    Remote(place).remove(Remote(place).names())
    publish(other, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    assert set(store.manifests) == {"logits", "tokens", "hidden-02"}
    rows = np.arange(10)
    expected = TargetStore.open(other).output("logits", "train").gather(rows)
    assert torch.equal(store.output("logits", "train").gather(rows), expected)


def test_a_damaged_file_there_is_refused_and_leaves_nothing_in_the_cache(made, place, tmp_path):
    publish(made, place)
    name = "logits/train/part-00000.arrow"
    content = bytearray((made / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    Remote(place).put(tmp_path / "damaged", name)
    store = TargetStore.open(place, cache=tmp_path / "cache")
    with pytest.raises(UserError, match=f"{place}/{name}: its content is not that of its checksum"):
        store.output("logits", "train")
    digest = store.manifests["logits"].splits["train"].shards[0].sha256
    assert not list((tmp_path / "cache/files").glob(f"*{digest}*"))


def test_a_damaged_file_of_the_cache_is_fetched_again(made, place, downloads, tmp_path):
    publish(made, place)
    TargetStore.open(place, cache=tmp_path / "cache").output("logits", "test")
    (file,) = (tmp_path / "cache/files").iterdir()
    file.write_bytes(file.read_bytes()[::-1])
    downloads.clear()
    TargetStore.open(place, cache=tmp_path / "cache").output("logits", "test")
    assert files(downloads) == ["logits/test/part-00000.arrow"]


def test_a_killed_download_leaves_no_file(made, place, monkeypatch, tmp_path):
    publish(made, place)
    store = TargetStore.open(place, cache=tmp_path / "cache")

    def killed(self, name, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "get", killed)
        with pytest.raises(KeyboardInterrupt):
            store.output("logits", "test")
    assert not list((tmp_path / "cache/files").iterdir())
    store.output("logits", "test")


def test_manifests_are_published_last_and_a_damaged_set_not_at_all(made, monkeypatch, tmp_path):
    order: list[str] = []
    monkeypatch.setattr(Remote, "put", lambda self, file, name: order.append(name))
    publish(made, f"memory://{tmp_path}/x")
    manifests = [name for name in order if name.endswith("manifest.json")]
    assert len(manifests) == 5
    assert order[-len(manifests) :] == manifests
    order.clear()
    copy = shutil.copytree(made, tmp_path / "copy")
    (copy / "tokens/test/part-00000.arrow").write_bytes(b"")
    with pytest.raises(UserError, match="is missing or damaged"):
        publish(copy, f"memory://{tmp_path}/x")
    assert "tokens/manifest.json" not in order


def test_nothing_to_publish_and_nothing_there(tmp_path):
    with pytest.raises(UserError, match="no target set; run `dvc repro"):
        publish(tmp_path, f"memory://{tmp_path}/x")
    with pytest.raises(UserError, match=f"memory://{tmp_path}/x: no target set; publish one there"):
        TargetStore.open(f"memory://{tmp_path}/x", cache=tmp_path / "cache")


def test_the_cache_is_where_the_environment_says(made, monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "own"))
    publish(made, f"memory://{tmp_path}/x")
    TargetStore.open(f"memory://{tmp_path}/x").output("logits", "test")
    assert len(list((tmp_path / "own/files").iterdir())) == 1
