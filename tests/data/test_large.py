"""A prepared split of more than 2³¹ tokens, of which one row of zeros has most, is written and read with offsets of 64 bits."""

import os
from contextlib import closing

import numpy as np
import pyarrow as pa

from distill.data import arrow_files
from distill.data.arrow_files import _Waiting
from distill.data.batching import pad_batch
from distill.data.dataset import PreparedRows
from distill.data.writing import SplitWriter
from distill.targets.materialization.units import cut
from tests.sparse import on_disk, sparse_files

ZEROS = 2**31 + 5
FIRST, LAST = [[1, 2, 3]], [[7, 8], [9, 10, 11, 12]]


def add_zeros(column: _Waiting, count: int) -> None:
    """A row of so many zeros at the end of a column of lists, as a hole in the file where its values wait."""
    inner = column.inner
    assert inner is not None
    inner.file.seek(count * inner.kind.bit_width // 8, os.SEEK_CUR)
    inner.length += count
    column.file.write(np.int64(inner.length))
    column.length += 1


def test_rows_behind_two_to_the_31_tokens_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "train.arrow"
    with closing(SplitWriter(path)) as file, sparse_files(arrow_files):
        for rows in (FIRST, LAST):
            types = [[0] * len(row) for row in rows]
            file.add({"input_ids": rows, "token_type_ids": types}, np.arange(len(rows)), {"text": ["a"] * len(rows)})
            if rows is FIRST:
                columns = file.file.columns
                for name in ("input_ids", "token_type_ids"):
                    add_zeros(columns[name], ZEROS)
                fixed = {"example_id": pa.array([bytes(16)], pa.binary(16)), "label": pa.array([0])}
                for name, values in {**fixed, "text": pa.array(["zeros"])}.items():
                    columns[name].add(values)
        file.finish()
    assert path.stat().st_size > 4 * ZEROS
    assert on_disk(path) < 2**21
    rows = PreparedRows.open(path)
    assert rows.offsets.dtype == np.int64
    assert rows.lengths.tolist() == [3, ZEROS, 2, 4]
    assert [rows.tokens[rows.offsets[i] : rows.offsets[i + 1]].tolist() for i in (0, 2, 3)] == FIRST + LAST
    assert rows.inputs(np.array([3, 0]))[:, 0].tolist() == LAST[1] + FIRST[0]
    assert rows.take(np.array([2])).tokens.tolist() == LAST[0]
    assert pad_batch(rows, np.array([2, 3]))["input_ids"].tolist() == [[*LAST[0], 0, 0], LAST[1]]
    positions = rows.firsts()
    assert sorted(positions.tolist()) == [0, 1, 2, 3]
    sizes = 770 * rows.lengths[positions]
    assert sum(map(len, cut(positions, sizes, 2**25, rows.lengths[positions], None))) == 4
