"""Batches are gathered while the step before them is computed."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from transformers import Trainer


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


class PrefetchingTrainer(Trainer):
    """A Trainer whose training batches a thread gathers ahead, unless worker processes do. Close it after training."""

    prefetched: Prefetched | None = None

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """The batches of one optimizer step; those of the next are gathered while it is computed."""
        if self.args.dataloader_num_workers == 0:
            if self.prefetched is None or self.prefetched.items is not epoch_iterator:
                self.close()
                self.prefetched = Prefetched(epoch_iterator, ahead=num_batches)
            epoch_iterator = self.prefetched
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def close(self) -> None:
        """End the thread that gathers batches."""
        if self.prefetched is not None:
            self.prefetched.close()
