"""Batches that are gathered by a thread while the one before is trained on."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Prefetched(Iterator[Any]):
    """An iterator's items, taken by one background thread, up to `ahead` of them before they are asked for.

    The first is taken in the caller's own thread: that is when samplers draw from the global random state. An error of the
    iterator is raised when its item is asked for.
    """

    def __init__(self, items: Iterator[Any], ahead: int) -> None:
        """Nothing is taken yet."""
        self.items, self.ahead = items, ahead
        self._pending: deque[Future[Any]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")

    def __next__(self) -> Any:
        item = self._pending.popleft().result() if self._pending else next(self.items)
        while len(self._pending) < self.ahead:
            self._pending.append(self._thread.submit(next, self.items))
        return item

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)
