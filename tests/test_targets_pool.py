"""Finished units wait in a folder, or at a URL where other processes find them."""

from pathlib import Path

import pytest

from distill.errors import UserError
from distill.prepared import Dataset
from distill.remote import Remote
from distill.targets.outputs import Job
from distill.targets.pool import Pool, open_pool
from distill.targets.teacher import Teacher
from distill.targets.writer import Materializer
from tests import tiny
from tests.buckets import BUCKET, s3, s3_server
from tests.commands import contents
from tests.stores import fingerprints, materialize

__all__ = ["s3", "s3_server"]
JOB = Job(hidden=(1, 2), shard_bytes=3000)


@pytest.fixture(params=["memory", "folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/{tmp_path.name}"
    return f"memory://{tmp_path}" if request.param == "memory" else f"{tmp_path}/shared"


def made_with(pool: Pool, dataset: Dataset) -> Materializer:
    """As another process would make it."""
    return Materializer(Teacher(tiny.bert(layers=2), fingerprints(dataset)), dataset, JOB, pool)


def test_machines_that_share_a_pool_do_each_unit_once_and_end_with_the_same_bytes(tmp_path, dataset, url):
    expected = contents(materialize(tiny.bert(layers=2), dataset, tmp_path / "alone", JOB))
    one, other = (made_with(open_pool(tmp_path / name, url), dataset) for name in ("one", "other"))
    units = one.missing()
    assert len(units) > 4
    one.run(units[::2])
    rest = other.missing()
    assert [unit.positions.tolist() for unit in rest] == [unit.positions.tolist() for unit in units[1::2]]
    other.run(rest)
    assert not list((tmp_path / "one").iterdir())
    assert one.run().tokens_computed == 0
    (tmp_path / "set").mkdir()
    one.assemble(tmp_path / "set")
    assert contents(tmp_path / "set") == expected


def test_a_set_that_is_whole_leaves_nothing(tmp_path, dataset, url):
    pool = open_pool(tmp_path / "one", url)
    made = made_with(pool, dataset)
    made.run()
    (tmp_path / "set").mkdir()
    made.assemble(tmp_path / "set")
    pool.forget()
    assert pool.names() == set()
    assert Remote(url).names() == []
    assert list((tmp_path / "one").iterdir()) == []


def test_an_output_that_was_lost_is_done_again_alone(tmp_path, dataset, url):
    made = made_with(open_pool(tmp_path / "one", url), dataset)
    made.run()
    lost = next(made.file(unit, "hidden-02").name for unit in made.layout.units if unit.split == "train")
    Remote(url).remove([lost])
    (unit,) = made.missing()
    assert unit.outputs == ("hidden-02",)
    made.run()
    assert made.missing() == []


def test_what_is_fetched_is_whole(tmp_path, url, monkeypatch):
    pool = open_pool(tmp_path / "one", url)
    (tmp_path / "one/a.arrow").write_bytes(b"whole")
    pool.keep(tmp_path / "one/a.arrow")

    def killed(self, name, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "get", killed)
        with pytest.raises(KeyboardInterrupt):
            pool.fetch(["a.arrow"])
    assert not list((tmp_path / "one").iterdir())
    pool.fetch(["a.arrow"])
    assert (tmp_path / "one/a.arrow").read_bytes() == b"whole"


def test_statistics_of_another_process_are_taken_as_they_are(tmp_path, dataset):
    made = made_with(Pool(tmp_path), dataset)
    assert set(made.statistics) == {"hidden-01", "hidden-02"}
    other = Materializer(made.teacher, dataset, JOB, Pool(tmp_path), statistics=made.statistics)
    unit = made.layout.units[0]
    assert other.file(unit, "hidden-01") == made.file(unit, "hidden-01")
    foreign = {output: {name: tensor + 1 for name, tensor in found.items()} for output, found in made.statistics.items()}
    other = Materializer(made.teacher, dataset, JOB, Pool(tmp_path), statistics=foreign)
    assert other.file(unit, "hidden-01") != made.file(unit, "hidden-01")


def test_a_url_that_nothing_can_read_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match="nowhere://x"):
        open_pool(tmp_path, "nowhere://x")
