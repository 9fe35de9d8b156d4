"""`engine: ray`: Ray Data schedules units over actors that load the teacher once; a dead actor is replaced, its unit repeated."""

import logging
import os
from typing import Any

from distill.errors import UserError
from distill.targets.order import Order
from distill.targets.writer import Materializer, progress

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster that is started here: unit numbers are all that goes through it."""


class Worker:
    """An actor: does the units of an order, one a call."""

    def __init__(self, order: Order) -> None:
        """Nothing is loaded before the first unit: what fails then can be told in a line."""
        self._order = order
        self._made: Materializer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Do a unit by its number: the number again, and what went wrong."""
        number = int(batch["item"][0])
        try:
            self._made = self._made or self._order.open()
            self._made.compute(self._order.units[number])
        except (UserError, OSError) as error:
            return {"item": [number], "error": [str(error)]}
        return {"item": [number], "error": [""]}


def run_ray(made: Materializer, order: Order, workers: int | None) -> None:
    """Do the units of an order on the cluster of RAY_ADDRESS, or on one of this machine that ends with the run.

    Args:
        made: Of the process that leads.
        order: What the actors are to do.
        workers: How many actors; by default one for each GPU, or CPU, of the cluster.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, or an actor has met an error.
    """
    if not order.units:
        return
    ray = _connected()
    try:
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
        with progress(sum(map(made.read, order.units))) as bar:
            for batch in done.iter_batches(batch_size=1, prefetch_batches=0):
                if batch["error"][0]:
                    raise UserError(str(batch["error"][0]))
                bar.update(made.read(order.units[int(batch["item"][0])]))
    finally:
        ray.shutdown()


def _connected() -> Any:
    """Ray, quiet and connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("engine: ray: Ray is not installed; `pip install 'distill[ray]'`") from None
    own: dict[str, Any] = (
        {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    )
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise UserError(f"engine: ray: no cluster at {os.environ.get('RAY_ADDRESS', 'this machine')}: {what}") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
