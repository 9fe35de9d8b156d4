"""Parquet and the hub: each column as the plainest type that holds its values."""

import datetime
import decimal
import re
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from distill.core.errors import UserError
from distill.preparation.columns import map_texts, read_raw
from distill.sources.files import read_local
from distill.sources.streams import class_names, write_splits
from tests import tiny
from tests.sources.reading import read, write, write_parquet

WORDS = pa.array(["a", None, "b"])


@pytest.mark.parametrize(
    ("values", "read_as"),
    [
        (WORDS.dictionary_encode(), ["a", None, "b"]),
        (WORDS.cast(pa.large_string()), ["a", None, "b"]),
        (WORDS.cast(pa.string_view()), ["a", None, "b"]),
        (pa.array([["a"], None], pa.large_list(pa.dictionary(pa.int8(), pa.string()))), [["a"], None]),
        (pa.array([["a"], ["b"]], pa.list_(pa.string(), 1)), [["a"], ["b"]]),
        (pa.array([[1, 2], []], pa.list_(pa.uint8())), [[1, 2], []]),
        (pa.array([decimal.Decimal("1.10"), None]), ["1.10", None]),
        (pa.array([datetime.date(2024, 1, 5)]), ["2024-01-05"]),
        (pa.array([datetime.datetime(2024, 1, 5, 3)], pa.timestamp("s")), ["2024-01-05 03:00:00.000"]),
        (pa.array([1.5, None], pa.float32()), [1.5, None]),
        (pa.array([1.1, None, float("inf")], pa.float32()), [1.1, None, float("inf")]),
        (pa.array([np.float16(1.1), None], pa.float16()), [1.1, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([{"text": ["a"], "answer_start": [3]}]), [{"text": ["a"], "answer_start": [3]}]),
        (pa.nulls(2), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_values_of_any_type_are_read_as_they_are(tmp_path, values, read_as):
    assert read(write_parquet(tmp_path / "a.parquet", {"x": values}))["train"] == {"x": read_as}


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing more"])
def test_a_broken_file_is_refused_with_its_name(tmp_path, content):
    path = write(tmp_path / "a.parquet", content)
    with pytest.raises(UserError, match=rf"^{path}: broken parquet file: .*\Z"):
        read(path)


def test_columns_that_no_task_reads_are_not_decoded(tmp_path):
    path = write_parquet(tmp_path / "train.parquet", {"text": ["a"], "label": ["x"], "image": [b"pixels" * 99]})
    where = pa.parquet.ParquetFile(path).metadata.row_group(0).column(2).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[where : where + 16] = b"\xff" * 16
    path.write_bytes(content)
    with pytest.raises(UserError, match="broken parquet file"):
        read(path)
    settings = tiny.settings()
    assert map_texts(read_raw(tmp_path, settings)["train"], "here", settings).labels.tolist() == ["x"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_column_whose_shards_number_their_classes_differently_is_left_out_and_read_as_the_advice_says(tmp_path, nested, capsys):
    def encoded(names: list[str] | None) -> datasets.Features:
        kind = datasets.Value("string") if names is None else datasets.ClassLabel(names=names)
        return datasets.Features({"text": datasets.Value("string"), "label": datasets.List(kind) if nested else kind})

    def write_shard(shard: int, labels: list[str], features: datasets.Features) -> None:
        rows = {"text": labels, "label": [[label] for label in labels] if nested else labels}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"train-{shard}.parquet")

    write_shard(0, ["a", "b"], encoded(["a", "b"]))
    write_shard(1, ["b", "c"], encoded(["b", "c"]))
    told = "has numbers that mean a, b in one file and b, c in another (write the names instead)"
    found = read_local(tmp_path)["train"]
    assert (found.schema.names, found.left_out) == (["text"], {"label": told})
    assert f"train-0.parquet and 1 more: 'label' is left out: it {told}" in capsys.readouterr().err
    (tmp_path / "raw").mkdir()
    write_splits({"train": found}, tmp_path / "raw")
    table, settings = pa.parquet.read_table(tmp_path / "raw/train.parquet"), tiny.settings()
    with pytest.raises(UserError, match=re.escape(f"no column 'label' for columns.label: it was left out, for 'label' {told}")):
        map_texts(table, "raw", settings)
    shutil.rmtree(tmp_path / "raw")
    write_shard(1, ["b", "a"], encoded(["a", "b"]))
    assert class_names(read_local(tmp_path)["train"], "label") == ("a", "b")
    for shard, labels in enumerate((["a", "b"], ["b", "c"])):
        write_shard(shard, labels, encoded(None))
    found = read(tmp_path)["train"]
    assert found["text"] == [label[0] for label in found["label"]] == ["a", "b", "b", "c"]
