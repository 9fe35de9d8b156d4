"""Who runs the teacher: this process, the processes of `torchrun` and `accelerate launch`, or actors on a Ray cluster.

Rank 0 measures the codecs' statistics, cuts the units, and assembles the set. It sends the others a `WorkOrder` of what is to be
done; each of them loads the teacher once and puts what it has done into the pool. A unit's file depends on the order alone, so
that every engine makes the same bytes (with the same threads a process, on the same kind of device).
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from distill.core.errors import UserError
from distill.core.ray_cluster import ray_cluster
from distill.data.dataset import Dataset
from distill.targets.materialization.codec_statistics import Statistics
from distill.targets.materialization.forward import open_teacher
from distill.targets.materialization.materialize import Materializer, Work
from distill.targets.materialization.outputs import MaterializeSpec
from distill.targets.materialization.unit_pool import Pool
from distill.targets.materialization.units import Unit, token_bar

FOREVER = timedelta(days=365)
"""How long processes wait for the slowest of them; one that fails ends them all at once."""


@dataclass(frozen=True)
class WorkOrder:
    """All that another process needs to do its share. Paths have to lead to the same files wherever it runs."""

    teacher: Path
    folds: Path | None
    dataset: Path
    job: MaterializeSpec
    scratch: Path
    pool: str | None
    statistics: Statistics
    units: tuple[Unit, ...]

    @classmethod
    def from_materializer(
        cls, made: Materializer, teacher: Path, dataset: Path, pool: str | None, folds: Path | None = None
    ) -> "WorkOrder":
        """What is missing of a set that the teacher has to be asked for."""
        units = tuple(replace(unit, copy=()) for unit in made.missing() if made.read(unit))
        pool = pool if pool is None or "://" in pool else str(Path(pool).absolute())
        scratch = made.pool.folder.absolute()
        folds = None if folds is None else folds.absolute()
        return cls(teacher.absolute(), folds, dataset.absolute(), made.job, scratch, pool, made.statistics, units)

    def open(self) -> Materializer:
        """Load the teacher and the rows."""
        dataset = Dataset.open(self.dataset)
        pool = Pool(self.scratch, self.pool)
        return Materializer(open_teacher(self.teacher, dataset, self.folds), dataset, self.job, pool, statistics=self.statistics)


class ProcessGroup:
    """The processes that `torchrun` or `accelerate launch` has started."""

    def __init__(self) -> None:
        """Connect to the others."""
        from accelerate import PartialState

        self._state: Any = PartialState(cpu=not torch.cuda.is_available(), timeout=FOREVER)

    @property
    def is_main_process(self) -> bool:
        """Whether this is rank 0, which measures, writes and reports."""
        return bool(self._state.is_main_process)

    def work(self, made: Materializer | None = None, order: WorkOrder | None = None) -> None:
        """Do this process's share of an order, which rank 0 gives and the others receive; wait for all of them."""
        from accelerate.utils import broadcast_object_list

        with _silent_if_another_failed():
            received: Any = broadcast_object_list([order])[0]
        units = received.units[self._state.process_index :: self._state.num_processes]
        if made is not None:  # rank 0 shows its progress
            made.run(units)
        else:
            received.open().compute(units)
        with _silent_if_another_failed():
            self._state.wait_for_everyone()

    def close(self) -> None:
        """Close the connections."""
        self._state.destroy_process_group()


@contextlib.contextmanager
def process_group() -> Iterator[ProcessGroup | None]:
    """The processes to which this one belongs; None if it runs alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None
        return
    group = ProcessGroup()
    yield group
    group.close()


@contextlib.contextmanager
def _silent_if_another_failed() -> Iterator[None]:
    """End without a message where another process has failed: it has printed why."""
    try:
        yield
    except RuntimeError:
        raise SystemExit(1) from None


def run(made: Materializer, order: WorkOrder, engine: str, workers: int | None, others: ProcessGroup | None) -> Work:
    """Do all that is missing, by `local` processes (this one, and `others` if any), or by so many `ray` workers."""
    computed = sum(map(made.read, made.missing()))
    if engine == "ray":
        if others is not None:
            raise UserError("engine: ray has workers of its own; run it with python, not with torchrun or accelerate launch")
        run_ray(made, order, workers)
    elif others is not None:
        others.work(made, order)
    lost = [unit for unit in made.missing() if made.read(unit)]
    if lost and (engine == "ray" or others is not None):
        raise UserError(
            f"{len(lost)} of {len(order.units)} units that others have computed are not in {order.pool or order.scratch}; "
            "all machines need a `pool` that they reach, the same package versions and the same kind of device"
        )
    made.run()
    return Work(computed, made.tokens)


class Worker:
    """A Ray actor: does the units of an order, one a call. One that dies is replaced by Ray Data, its unit repeated."""

    def __init__(self, order: WorkOrder) -> None:
        """Nothing is loaded before the first unit, so that an error there can be reported in a line."""
        self._order = order
        self._made: Materializer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Do a unit by its number: the number again, and what went wrong."""
        number = int(batch["item"][0])
        try:
            self._made = self._made or self._order.open()
            self._made.compute([self._order.units[number]])
        except (UserError, OSError) as error:
            return {"item": [number], "error": [str(error)]}
        return {"item": [number], "error": [""]}


def run_ray(made: Materializer, order: WorkOrder, workers: int | None) -> None:
    """Do the units of an order on the cluster of RAY_ADDRESS, or on one of this machine that ends with the run.

    By default there is a worker for each GPU, or CPU, of the cluster.
    """
    if not order.units:
        return
    with ray_cluster("ray.data", "engine: ray") as ray:
        ray.data.DataContext.get_current().enable_progress_bars = False
        resource = "GPU" if ray.cluster_resources().get("GPU") else "CPU"
        size = min(workers or int(ray.cluster_resources()[resource]), len(order.units))
        units = ray.data.from_items(list(range(len(order.units))), override_num_blocks=len(order.units))
        done = units.map_batches(
            Worker,
            batch_size=1,
            fn_constructor_args=(order,),
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=1,
            num_gpus=int(resource == "GPU"),
        )
        with token_bar(sum(map(made.read, order.units))) as bar:
            for batch in done.iter_batches(batch_size=1, prefetch_batches=0):
                if batch["error"][0]:
                    raise UserError(str(batch["error"][0]))
                bar.update(made.read(order.units[int(batch["item"][0])]))
