import os
import signal
from contextlib import closing

import pytest

from distill.core.errors import UserError
from distill.core.processes import Processes, cores


def doubled(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def ended(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 2])
def test_pieces_come_back_in_order_and_few_are_taken_ahead(count):
    taken = []

    def pieces():
        for number in range(12):
            taken.append(number)
            yield number

    with closing(Processes(count, __name__)) as processes:
        found = processes.map(doubled, pieces())
        first, (made, where) = next(found)
        assert (first, made, len(taken)) == (0, 0, 1 if count == 1 else 2 * count + 1)
        assert (where == os.getpid()) == (count == 1)
        assert [(piece, made) for piece, (made, _) in found] == [(number, 2 * number) for number in range(1, 12)]


def test_a_process_that_ends_while_pieces_are_handed_out_is_told():
    from tests.projects import wait_for  # which loads much that the fork server can do without

    def pieces():
        yield 1
        wait_for("its end", lambda: processes._pool._broken)
        yield 2

    with closing(Processes(2, __name__)) as processes, pytest.raises(UserError, match="was ended by the system"):
        list(processes.map(ended, pieces()))


def test_a_process_that_the_system_ends_is_told_and_one_process_does_the_same_work(monkeypatch):
    with closing(Processes(2, __name__)) as processes, pytest.raises(UserError, match="set OMP_NUM_THREADS=1") as told:
        list(processes.map(ended, [1]))
    assert "memory" in str(told.value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with closing(Processes(cores(), __name__)) as processes:
        assert list(processes.map(doubled, [1])) == [(1, (2, os.getpid()))]


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("", None), ("0", None), ("many", None)])
def test_cores_are_those_that_are_given(monkeypatch, given, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert cores() == (expected or len(os.sched_getaffinity(0)))
