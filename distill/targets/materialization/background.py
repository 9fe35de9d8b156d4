"""Work that a thread does behind the caller's, in order: it encodes and writes what the teacher has computed before."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundCalls:
    """Calls that a thread makes one after the other, one of them waiting at most: memory holds no more.

    An error of a call is raised when a later one is asked for, or at the end; none is made after it, nor once the block failed.
    """

    def __init__(self, name: str) -> None:
        """Name the thread."""
        self._thread, self._pending, self._failed = ThreadPoolExecutor(1, thread_name_prefix=name), deque[Future[None]](), False

    def __call__(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a call made, once the one before has begun."""
        self._wait(most=1)
        self._pending.append(self._thread.submit(self._call, function, arguments))

    def __enter__(self) -> "BackgroundCalls":
        """Nothing is done yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for all calls; where the block has failed, for the one that is being made."""
        self._failed = self._failed or kind is not None
        try:
            if kind is None:
                self._wait(most=0)
        finally:
            self._thread.shutdown()

    def _wait(self, most: int) -> None:
        while len(self._pending) > most:
            self._pending.popleft().result()

    def _call(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if self._failed:
            return
        try:
            function(*arguments)
        except BaseException:
            self._failed = True
            raise
