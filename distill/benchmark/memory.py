"""Peak memory of a model, each in a fresh process."""

import multiprocessing
import resource
import sys
from collections.abc import Callable

from distill.benchmark.rounds import Batch
from distill.benchmark.subjects import Subject

CALLS = 3


def peak_memory(subject: Subject, form: str, threads: int, batch: Batch) -> dict[str, int]:
    """Load a model in a process of its own and run it on a batch.

    Returns:
        `process_bytes`, the largest resident size of the process, libraries included, and `model_bytes`, by how much loading and
        running raised it. A fork server has imported the libraries already, the same for all.

    Raises:
        UserError: the model cannot be loaded.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distill.benchmark.subjects"])
    with context.Pool(1) as pool:
        return pool.apply(_load_and_run, (subject, form, threads, batch))


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
