"""An Arrow file of one record batch, so that readers map each column whole, written part by part: memory holds one part."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from distill.data.columns import mapped

LARGEST = 2**31 - 1
"""Largest 32-bit offset: columns with more values in their lists, or bytes in their texts, have 64-bit ones."""

LARGE = pa.ipc.IpcWriteOptions(allow_64bit=True)
"""Without it Arrow writes no column of more than LARGEST values. Bytes are the same."""

AT_ONCE = 1 << 20
"""Offsets that are rewritten together."""


class ArrowWriter:
    """Takes tables of the same columns, none of which has nulls; to be closed."""

    def __init__(self, path: Path) -> None:
        """What is waiting lies beside `path`, in files without a name."""
        self.path, self.columns, self.files = path, dict[str, _Waiting](), contextlib.ExitStack()

    def add(self, table: pa.Table) -> None:
        """The next rows."""
        for field in table.schema:
            if field.name not in self.columns:
                self.columns[field.name] = _Waiting(field.type, self._open)
            for chunk in table.column(field.name).chunks:
                self.columns[field.name].add(chunk)

    def finish(self) -> None:
        """Write the file."""
        table = pa.table({name: column.array() for name, column in self.columns.items()})
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=LARGE) as writer:
            writer.write_table(table, max_chunksize=LARGEST)

    def close(self) -> None:
        """Let go of what was waiting."""
        self.files.close()

    def _open(self) -> IO[bytes]:
        return self.files.enter_context(tempfile.TemporaryFile(dir=self.path.parent))


class _Waiting:
    """A column as Arrow has it: values of a fixed width; or ends of lists or texts, and what is in them."""

    def __init__(self, kind: pa.DataType, new_file: Callable[[], IO[bytes]]) -> None:
        self.kind, self.new_file, self.length = kind, new_file, 0
        self.inner: _Waiting | None = None
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            self.inner = _Waiting(kind.value_type, new_file)
        elif pa.types.is_string(kind):
            self.inner = _Waiting(pa.uint8(), new_file)
        self.ragged = pa.types.is_list(kind) or pa.types.is_string(kind)
        self.file = new_file()
        if self.ragged:
            self.file.write(bytes(8))

    def add(self, array: pa.Array) -> None:
        if array.null_count:
            raise ValueError(f"{array.null_count} nulls")
        if len(array) and self.ragged:
            offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array) + 1].astype(np.int64)
            content = array.values if pa.types.is_list(self.kind) else _bytes(array.buffers()[2])
            self.file.write(offsets[1:] + (self._inside.length - offsets[0]))
            self._inside.add(content.slice(offsets[0], offsets[-1] - offsets[0]))
        elif len(array) and self.inner is not None:
            self._inside.add(array.flatten())
        elif len(array):
            width = self.kind.bit_width // 8
            self.file.write(array.buffers()[1].slice(array.offset * width, len(array) * width))
        self.length += len(array)

    def array(self) -> pa.Array:
        """All values, mapped from disk."""
        if not self.ragged:
            if self.inner is not None:
                return pa.FixedSizeListArray.from_arrays(self.inner.array(), self.kind.list_size)
            return pa.Array.from_buffers(self.kind, self.length, [None, mapped(self.file)], null_count=0)
        large = self._inside.length > LARGEST
        offsets = pa.Array.from_buffers(
            pa.int64() if large else pa.int32(), self.length + 1, [None, mapped(self.file if large else self._narrow())]
        )
        content = self._inside.array()
        if pa.types.is_list(self.kind):
            return (pa.LargeListArray if large else pa.ListArray).from_arrays(offsets, content)
        buffers = [None, offsets.buffers()[1], content.buffers()[1]]
        return pa.Array.from_buffers(pa.large_string() if large else pa.string(), self.length, buffers, null_count=0)

    @property
    def _inside(self) -> "_Waiting":
        assert self.inner is not None
        return self.inner

    def _narrow(self) -> IO[bytes]:
        """The offsets as int32."""
        whole: Any = np.frombuffer(mapped(self.file), np.int64)
        file = self.new_file()
        for start in range(0, len(whole), AT_ONCE):
            file.write(whole[start : start + AT_ONCE].astype(np.int32))
        return file


def _bytes(buffer: pa.Buffer | None) -> pa.Array:
    size = 0 if buffer is None else buffer.size
    return pa.Array.from_buffers(pa.uint8(), size, [None, buffer])
