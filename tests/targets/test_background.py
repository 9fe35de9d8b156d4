"""What the teacher has read is encoded and written while it reads on: in order, and an error there ends the run."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.codecs.vectors import VectorCodec
from distill.targets.materialization import materialize
from distill.targets.materialization.background import BackgroundCalls
from tests import tiny
from tests.stores import materializer
from tests.target_specs import target_spec


def fail(*_: object) -> None:
    raise UserError("no space left")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("encode", "write"))]


def test_calls_are_made_in_order_by_another_thread_and_one_waits_at_most():
    done, begun, free = [], threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        free.wait()
        done.append(threading.current_thread() is threading.main_thread())

    with BackgroundCalls("encode") as calls:
        calls(first)
        assert begun.wait(600)
        calls(done.append, 1)
        later = threading.Timer(0.05, lambda: (done.append("waited"), free.set()))
        later.start()
        calls(done.append, 2)
        assert done[0] == "waited"
    assert done == ["waited", False, 1, 2]
    assert not threads()


@pytest.mark.parametrize("more", [0, 3])
def test_after_an_error_no_call_is_made_and_it_reaches_the_caller(more):
    done: list[int] = []

    def work() -> None:
        with BackgroundCalls("write") as calls:
            calls(fail)
            for number in range(more):
                calls(done.append, number)

    with pytest.raises(UserError, match="no space left"):
        work()
    assert done == []
    assert not threads()


def test_where_the_caller_fails_what_waits_is_not_done(monkeypatch):
    """The call that is being made ends once the thread is waited for."""
    done, free, shutdown = [], threading.Event(), ThreadPoolExecutor.shutdown
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", lambda *how, **more: (free.set(), shutdown(*how, **more)))

    def work() -> None:
        with BackgroundCalls("write") as calls:
            calls(free.wait)
            calls(done.append, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []


@pytest.mark.parametrize("which", ["encode", "write"])
def test_an_error_in_a_thread_ends_the_run_and_what_was_whole_before_stays(tmp_path, prepared, which):
    dataset, job = Dataset.open(prepared), target_spec(hidden=(1,), shard_bytes=2000)
    made, told = materializer(tiny.bert(layers=2), dataset, job, tmp_path), []
    units = made.missing()
    assert len(units) > 6  # two that are written calls the third, and one that is encoded

    def third() -> None:
        told.append(len(told))
        if len(told) == 3:
            broken.setattr(*{"encode": (VectorCodec, "encode", fail), "write": (materialize, "write_shard", fail)}[which])

    with pytest.MonkeyPatch.context() as broken, pytest.raises(UserError, match="no space left"):
        made.run(after_unit=third)
    assert not threads()
    rest = made.missing()
    assert 0 < len(rest) <= len(units) - 3
    assert [unit.positions.tolist() for unit in rest] == [unit.positions.tolist() for unit in units[-len(rest) :]]
    assert made.run().tokens_computed == sum(map(made.read, rest))
    assert made.missing() == []
