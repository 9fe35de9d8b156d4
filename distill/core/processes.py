"""Work that several processes share, a piece each at a time; the pieces come back in their order."""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from distill.core.errors import UserError

Piece = TypeVar("Piece")
Made = TypeVar("Made")


def cores() -> int:
    """How many this process may use: OMP_NUM_THREADS, if it is set, or those that the system gives it."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has no affinity


def is_main_process() -> bool:
    """Whether this process is rank 0 of those that train one model, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


class Processes:
    """So many processes, which a fork server starts when the first piece comes; to be closed. One is this process itself."""

    def __init__(self, count: int, module: str) -> None:
        """The fork server imports `module`, whose functions are to be called."""
        self.count, self._pool = count, None if count == 1 else ProcessPoolExecutor(count, _context(module))

    def map(self, function: Callable[[Piece], Made], pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Made]]:
        """Each piece, and what the function makes of it; two pieces a process are taken ahead.

        Raises:
            UserError: the system has ended a process.
        """
        if self._pool is None:
            yield from ((piece, function(piece)) for piece in pieces)
            return
        pending: deque[tuple[Piece, Future[Made]]] = deque()
        for piece in pieces:
            with _explained():
                pending.append((piece, self._pool.submit(function, piece)))
            if len(pending) > 2 * self.count:
                yield _done(*pending.popleft())
        while pending:
            yield _done(*pending.popleft())

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _done(piece: Piece, future: "Future[Made]") -> tuple[Piece, Made]:
    with _explained():
        return piece, future.result()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Of a process that has ended, both who waits for it and who hands out more work are told."""
    try:
        yield
    except BrokenProcessPool:
        raise UserError(
            "a process was ended by the system, as it does when memory runs out; end other programs, or set OMP_NUM_THREADS=1, "
            "and run again: one process takes less"
        ) from None


def _context(module: str) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context
