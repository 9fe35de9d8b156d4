"""Who runs the teacher: this process, the processes of `torchrun` and `accelerate launch`, or actors on a Ray cluster.

One process leads: it measures the codecs' statistics, cuts the units, and assembles the set. It tells the others in an `Order`
which units are to be done; each of them loads the teacher once and puts what it has done into the pool. What a unit's file holds
depends on nothing but the order, so that every engine makes the same bytes (with the same threads a process, on the same kind of
device).
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch

from distill.errors import UserError
from distill.targets.layout import Unit
from distill.targets.order import Order
from distill.targets.writer import Materializer, Work

FOREVER = timedelta(days=365)
"""How long processes wait for the slowest of them; one that fails ends them all at once."""


class Crew:
    """The processes that `torchrun` or `accelerate launch` has started; the first of them leads."""

    def __init__(self) -> None:
        """Meet the others."""
        from accelerate import PartialState

        self._state: Any = PartialState(cpu=not torch.cuda.is_available(), timeout=FOREVER)

    @property
    def leads(self) -> bool:
        """Whether this is the process that measures, writes and reports."""
        return bool(self._state.is_main_process)

    def follow(self) -> None:
        """Do this process's share of what the leader orders.

        Raises:
            UserError: teacher or data set are not here, or do not fit.
        """
        order: Order = self._shared(None)
        made = order.open()
        for unit in self._own(order):
            made.compute(unit)
        self._meet()

    def run(self, made: Materializer, order: Order) -> None:
        """Lead: give the order, do the leader's share of it, and wait for the others."""
        self._shared(order)
        made.run(self._own(order))
        self._meet()

    def disband(self) -> None:
        """Close the connections."""
        self._state.destroy_process_group()

    def _own(self, order: Order) -> tuple[Unit, ...]:
        return order.units[self._state.process_index :: self._state.num_processes]

    def _shared(self, order: Order | None) -> Any:
        from accelerate.utils import broadcast_object_list

        with _ended_with_the_others():
            return broadcast_object_list([order])[0]

    def _meet(self) -> None:
        with _ended_with_the_others():
            self._state.wait_for_everyone()


@contextlib.contextmanager
def crew() -> Iterator[Crew | None]:
    """The processes that this one belongs to; None if it runs alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None
        return
    found = Crew()
    yield found
    found.disband()


@contextlib.contextmanager
def _ended_with_the_others() -> Iterator[None]:
    """End without a word where another process has failed, which has said why."""
    try:
        yield
    except RuntimeError:
        raise SystemExit(1) from None


def run(made: Materializer, order: Order, engine: str, workers: int | None, others: Crew | None) -> Work:
    """Do all that is missing.

    Args:
        made: Of the process that leads.
        order: What others are to do.
        engine: `local` or `ray`.
        workers: Ray actors.
        others: The processes that share the work.

    Raises:
        UserError: Ray is not installed, or units that others have done cannot be found.
    """
    computed = sum(map(made.read, made.missing()))
    if engine == "ray":
        from distill.targets.ray_engine import run_ray

        if others is not None:
            raise UserError("engine: ray has workers of its own; run it with python, not with torchrun or accelerate launch")
        run_ray(made, order, workers)
    elif others is not None:
        others.run(made, order)
    lost = [unit for unit in made.missing() if made.read(unit)]
    if lost and (engine == "ray" or others is not None):
        raise UserError(
            f"{len(lost)} of {len(order.units)} units that others have computed are not in {order.pool or order.scratch}; "
            "all machines need a `pool` that they reach, the same package versions and the same kind of device"
        )
    made.run()
    return Work(computed, made.tokens)
