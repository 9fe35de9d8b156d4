"""Several processes that train one model, as `torchrun` and `accelerate launch` start them: the first of them writes."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from torch import distributed

from distill.files import whole_folder


def leads() -> bool:
    """Whether this process is the first, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def written_once(path: Path) -> Iterator[Path | None]:
    """`whole_folder` in the process that leads; None in the others. Afterwards their connections are closed.

    Raises:
        UserError: another run is writing the same path.
    """
    with whole_folder(path) if leads() else contextlib.nullcontext() as folder:
        yield folder
    if distributed.is_initialized():
        distributed.destroy_process_group()
