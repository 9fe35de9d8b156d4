"""Finished units wait in a folder, or at a URL where other processes find them."""

import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.remote import Remote
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.unit_pool import Pool
from tests import tiny
from tests.buckets import killed_download, place, s3, s3_server
from tests.command_line import contents
from tests.stores import assembled, fingerprints, materialize
from tests.target_specs import target_spec

__all__ = ["place", "s3", "s3_server"]
JOB = target_spec(hidden=(1, 2), shard_bytes=3000)


def made_with(pool: Pool, dataset: Dataset) -> Materializer:
    """As another process would make it."""
    return Materializer(Teacher(tiny.bert(layers=2), fingerprints(dataset)), dataset, JOB, pool)


@pytest.mark.parametrize("place", ["memory", "folder", "s3"], indirect=True)
def test_machines_that_share_a_pool_do_each_unit_once_make_the_same_bytes_and_leave_nothing(tmp_path, dataset, place):
    expected = contents(materialize(tiny.bert(layers=2), dataset, tmp_path / "alone", JOB))
    one, other = (made_with(Pool(tmp_path / name, place), dataset) for name in ("one", "other"))
    units = one.missing()
    assert len(units) > 4
    one.run(units[::2])
    rest = other.missing()
    assert [unit.positions.tolist() for unit in rest] == [unit.positions.tolist() for unit in units[1::2]]
    other.run(rest)
    assert not list((tmp_path / "one").iterdir())
    assert one.run().tokens_computed == 0
    assert contents(assembled(one, tmp_path / "set")) == expected
    one.pool.forget()
    assert (one.pool.names(), Remote(place).names(), list((tmp_path / "one").iterdir())) == (set(), [], [])


def test_an_output_that_was_lost_is_done_again_alone(tmp_path, dataset, place):
    made = made_with(Pool(tmp_path / "one", place), dataset)
    made.run()
    lost = next(made.file(unit, "hidden-02").name for unit in made.layout.units if unit.split == "train")
    Remote(place).remove([lost])
    (unit,) = made.missing()
    assert unit.outputs == ("hidden-02",)
    made.run()
    assert made.missing() == []


def test_what_is_fetched_is_whole(tmp_path, place):
    pool = Pool(tmp_path / "one", place)
    (tmp_path / "one/a.arrow").write_bytes(b"whole")
    pool.keep(tmp_path / "one/a.arrow")
    with killed_download():
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
        Pool(tmp_path, "nowhere://x")
