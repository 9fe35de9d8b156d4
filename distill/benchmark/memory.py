"""Peak memory of a model, each in a fresh process."""

import multiprocessing
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from distill.benchmark.runners import Subject
from distill.benchmark.timing import Batch
from distill.core import progress
from distill.core.errors import UserError

CALLS = 3
Job = tuple[Subject, str, int, Batch]
"""A model, its format, how many threads it may use, and what it is run on."""
AT_ONCE = 2
"""Models measured side by side: nothing is timed, and each has a process of its own."""


def peak_memories(jobs: Sequence[Job]) -> list[dict[str, int]]:
    """`peak_memory` of each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda job: peak_memory(*job), jobs)
        return list(progress.bar(found, total=len(jobs), title="memory", unit="model"))


def peak_memory(subject: Subject, form: str, threads: int, batch: Batch) -> dict[str, int]:
    """Load a model in a process of its own, whose libraries a fork server has imported already, and run it on a batch.

    `process_bytes` is the largest resident size, libraries included; `model_bytes`, by how much loading and running raised it.

    Raises:
        UserError: the system has ended that process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distill.benchmark.runners"])
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_load_and_run, subject, form, threads, batch).result()
        except BrokenProcessPool:
            raise UserError(
                f"{subject.folder}: the process that measured the memory of its {form} was ended by the system, as it does when "
                "memory runs out; end other programs, or take more memory, and run again"
            ) from None


def resident(run: Callable[[], object]) -> dict[str, int]:
    """The largest resident size after `run`, and how much larger it is than before."""
    before = _largest()
    run()
    return {"process_bytes": _largest(), "model_bytes": _largest() - before}


def _load_and_run(subject: Subject, form: str, threads: int, batch: Batch) -> dict[str, int]:
    import torch

    torch.set_num_threads(threads)

    def run() -> None:
        runner = subject.runner(form, threads)
        for _ in range(CALLS):
            runner(batch)

    return resident(run)


def _largest() -> int:
    """Bytes; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
