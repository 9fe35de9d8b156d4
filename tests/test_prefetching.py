import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from distill.errors import UserError
from distill.prefetching import Prefetched


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


def test_no_more_than_is_asked_for_is_taken_ahead_and_the_first_by_the_caller():
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            taken.append(threading.current_thread() is threading.main_thread())
            yield number

    items = Prefetched(numbers(), 2)
    assert taken == []
    assert next(items) == 0
    wait(items._pending)
    assert taken == [True, False, False]
    assert next(items) == 1
    wait(items._pending)
    assert taken == [True, False, False, False]
    items.close()


def test_an_error_is_raised_in_its_place():
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise UserError("the shard is gone")

    items = Prefetched(numbers(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match="the shard is gone"):
        next(items)
    items.close()


def test_closing_early_leaves_no_thread_and_takes_no_more():
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(99):
            taken.append(number)
            yield number

    items = Prefetched(numbers(), 3)
    next(items)
    items.close()
    assert not threads()
    assert len(taken) <= 4
