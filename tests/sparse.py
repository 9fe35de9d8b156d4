"""Arrow files of many gigabytes that take little disk: what is long is zeros, which are not written."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

LONG, ENDS = 1 << 30, 1 << 16
"""Bytes from which on a buffer is written as a hole, but for its ends."""


class SparseFile(io.FileIO):
    """A file for Arrow to write to."""

    def __init__(self, path: str, _: str) -> None:
        super().__init__(path, "w")

    def write(self, content: Any) -> int:
        """Skip what lies between the ends of a long buffer."""
        view = memoryview(content)
        if len(view) < LONG:
            return super().write(view)
        super().write(view[:ENDS])
        self.seek(len(view) - 2 * ENDS, io.SEEK_CUR)
        super().write(view[-ENDS:])
        return len(view)


@contextmanager
def sparse_files(module: Any) -> Iterator[None]:
    """What a module writes with `pa.OSFile` is sparse."""

    class Sparse:
        def __getattr__(self, name: str) -> Any:
            return getattr(pa, name)

        def OSFile(self, path: str, mode: str) -> Any:  # noqa: N802
            return pa.PythonFile(SparseFile(path, mode), mode="w")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pa", Sparse())
        yield


def on_disk(path: Path) -> int:
    """Bytes that a file takes."""
    return path.stat().st_blocks * 512
