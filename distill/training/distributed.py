"""Several processes that train one model, as `torchrun` and `accelerate launch` start them: the first of them writes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from torch import distributed

from distill.core.files import atomic_folder
from distill.core.processes import is_main_process


@contextlib.contextmanager
def written_once(path: Path) -> Iterator[Path | None]:
    """`atomic_folder` on rank 0; None in the other processes. Afterwards their connections are closed."""
    with atomic_folder(path) if is_main_process() else contextlib.nullcontext() as folder:
        yield folder
    if distributed.is_initialized():
        distributed.destroy_process_group()
