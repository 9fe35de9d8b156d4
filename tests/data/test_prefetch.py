import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from distill.core.errors import UserError
from distill.data.prefetch import Prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_items_come_in_order_and_the_thread_ends(size, ahead):
    items = Prefetched(iter(range(size)), ahead)
    assert list(items) == list(range(size))
    with pytest.raises(StopIteration):
        next(items)
    items.close()
    assert not threads()


def test_no_more_than_is_asked_for_is_taken_ahead_the_first_by_the_caller_and_none_after_closing():
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            taken.append(threading.current_thread() is threading.main_thread())
            yield number

    items = Prefetched(numbers(), 2)
    assert taken == []
    for i in range(2):
        assert next(items) == i
        wait(items._pending)
        assert taken == [True] + [False] * (i + 2)
    items.close()
    assert not threads()
    assert len(taken) == 4


def test_an_error_is_raised_in_its_place():
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise UserError("the shard is gone")

    items = Prefetched(numbers(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match="the shard is gone"):
        next(items)
    items.close()
