"""A Ray cluster to hand work to: the one at RAY_ADDRESS, or one of this machine that ends with the run."""

import contextlib
import importlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from distill.core.errors import UserError, first_line

OBJECT_STORE_BYTES = 100 * 2**20
"""Size of the object store of a cluster that is started here: only numbers and names pass through it."""


@contextlib.contextmanager
def ray_cluster(library: str, who: str) -> Iterator[Any]:
    """Yield Ray, connected, with one of its libraries imported; `who` stands before errors."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module(library)
    except ImportError:
        raise UserError(f"{who}: Ray is not installed; `pip install -e '.[ray]'`") from None
    address = os.environ.get("RAY_ADDRESS")
    started: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **started)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = first_line(error)
        raise UserError(f"{who}: no cluster at {address or 'this machine'}: {what}") from None
    logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()
