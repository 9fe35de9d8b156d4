"""data/prepared/NAME/: what was written is read back, and what is damaged is refused."""

import hashlib
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.core.files import write_text
from distill.data import arrow_files
from distill.data.dataset import EXAMPLES, ID_BYTES, UNLABELLED, Dataset, PreparedRows, example_id
from distill.data.writing import SplitWriter
from tests import tiny

TOKENS = [[2, 4, 3], [2, 5, 6, 7, 3], [2, 3]]
TYPES = [[0, 0, 1], [0, 0, 0, 1, 1], [0, 1]]
LABELS = np.array([1, UNLABELLED, 0])
TEXTS = {"text": ["a", "b c", "ä"], "text_pair": ["x", "y", "z"]}


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    """A prepared data set to be damaged."""
    return Path(shutil.copytree(prepared, tmp_path / "tiny"))


def written(path: Path, columns: dict[str, Any] | None = None, texts: dict[str, list[str]] = TEXTS) -> PreparedRows:
    write_split(path, columns or {"input_ids": TOKENS, "token_type_ids": TYPES}, LABELS, texts)
    return PreparedRows.open(path, pad_token=9)


def write_split(path: Path, encoded: Any, labels: Any, texts: Any) -> str:
    """All rows in one part; returns their fingerprint."""
    with closing(SplitWriter(path)) as file:
        file.add(encoded, labels, texts)
        return file.finish()


def lists(values: np.ndarray[Any, Any], rows: PreparedRows) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, rows.offsets[1:-1])]


def test_pairs_are_read_back_as_they_were_written_with_their_texts_beside_them_for_other_tools(tmp_path):
    rows = written(tmp_path / "train.arrow")
    assert (len(rows), rows.pad_token, rows.lengths.tolist(), rows.labels.tolist()) == (3, 9, [3, 5, 2], LABELS.tolist())
    assert (lists(rows.tokens, rows), lists(rows.token_types, rows)) == (TOKENS, TYPES)
    assert rows.ids.shape == (3, ID_BYTES)
    assert [bytes(row) for row in rows.ids] == [example_id(*row) for row in zip(TOKENS, TYPES, strict=True)]
    table = pa.ipc.open_file(str(tmp_path / "train.arrow")).read_all()
    assert table.select(["text", "text_pair"]).to_pydict() == TEXTS
    types = {"example_id": pa.binary(ID_BYTES), "input_ids": pa.list_(pa.int32()), "token_type_ids": pa.list_(pa.int8())}
    assert {name: table.schema.field(name).type for name in types} == types
    single = written(tmp_path / "single.arrow", {"input_ids": TOKENS}, {"text": TEXTS["text"]})
    assert single.token_types is None
    assert [bytes(row) for row in single.ids] == [example_id(row, None) for row in TOKENS]


def test_columns_of_more_values_than_32_bits_count_have_offsets_of_64_and_are_read_alike(tmp_path, monkeypatch):
    small = written(tmp_path / "small.arrow")
    monkeypatch.setattr(arrow_files, "LARGEST", 6)
    large = written(tmp_path / "large.arrow")
    table = pa.ipc.open_file(str(tmp_path / "large.arrow")).read_all()
    types = {"input_ids": pa.large_list(pa.int32()), "token_type_ids": pa.large_list(pa.int8()), "text": pa.string()}
    assert {name: table.schema.field(name).type for name in types} == types
    for name in ("ids", "tokens", "offsets", "token_types", "labels"):
        np.testing.assert_array_equal(getattr(large, name), getattr(small, name))
    monkeypatch.setattr(arrow_files, "LARGEST", 2)
    written(tmp_path / "texts.arrow", {"input_ids": TOKENS}, {"words": [["a"], ["b", "c"], ["ä"]]})
    words = pa.ipc.open_file(str(tmp_path / "texts.arrow")).read_all().column("words")
    assert (words.type, words.to_pylist()) == (pa.large_list(pa.large_string()), [["a"], ["b", "c"], ["ä"]])


def test_rows_that_are_written_in_parts_are_those_that_are_written_at_once(tmp_path):
    whole, columns = tmp_path / "whole.arrow", {"input_ids": TOKENS, "token_type_ids": TYPES}
    fingerprint = write_split(whole, columns, LABELS, TEXTS)
    with closing(SplitWriter(tmp_path / "parts.arrow")) as file:
        for part in (slice(0, 1), slice(1, 3)):
            lists = {name: values[part] for name, values in columns.items()}
            file.add(lists, LABELS[part], {name: values[part] for name, values in TEXTS.items()})
        assert file.finish() == fingerprint
    assert (tmp_path / "parts.arrow").read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.arrow", "whole.arrow"]


def test_the_fingerprint_of_a_split_depends_on_its_examples_and_their_order(tmp_path):
    def fingerprint(tokens: list[list[int]], texts: str) -> str:
        return write_split(tmp_path / "x.arrow", {"input_ids": tokens}, LABELS, {"text": list(texts)})

    ids = b"".join(example_id(row, None) for row in TOKENS)
    assert fingerprint(TOKENS, "abc") == fingerprint(TOKENS, "xyz") == hashlib.sha256(ids).hexdigest()
    assert fingerprint(TOKENS, "abc") != fingerprint(TOKENS[::-1], "abc")


def test_an_example_id_depends_on_what_the_teacher_sees_alone_and_stays_what_it_is_for_stored_targets_are_found_by_it():
    places = [np.array(each) for each in ([], [1], [0, 1])]
    asked = [
        ([2, 4, 3], None),
        ([2, 3, 4], None),
        ([2, 4], None),
        ([2, 4, 3], [0, 0, 0]),
        ([2, 4, 3], [0, 0, 1]),
        ([], None),
        *(([2, 4, 3], None, each) for each in places),
    ]
    assert len({example_id(*each) for each in asked}) == len(asked)
    assert {len(example_id(*each)) for each in asked} == {ID_BYTES}
    assert example_id([2, 4, 3], None) == example_id(np.array([2, 4, 3], np.int64).tolist(), None)
    content = b"\x02\x00\x00\x00\x04\x00\x00\x00"
    assert example_id([2, 4], None) == hashlib.sha256(content).digest()[:16]
    assert example_id([2, 4], [0, 1]) == hashlib.sha256(content + b"|\x00\x01").digest()[:16]


def test_a_data_set_says_what_its_rows_mean(prepared, tokenizer):
    dataset = Dataset.open(prepared)
    assert dataset.labels == tiny.LABELS
    assert dataset.vocabulary == len(tokenizer)
    assert dataset.pad_token == tokenizer.pad_token_id
    assert [len(dataset.rows(split)) for split in dataset.splits] == [part["rows"] for part in dataset.splits.values()]
    assert dataset.rows("train").lengths.max() <= dataset.max_length


def test_scores_tags_and_spans_are_read_back_as_they_were_written(tmp_path):
    path, columns, texts = tmp_path / "train.arrow", {"input_ids": TOKENS}, {"text": TEXTS["text"]}
    write_split(path, columns, np.array([0.5, np.nan, -2], np.float32), texts)
    np.testing.assert_array_equal(PreparedRows.open(path).labels, np.array([0.5, np.nan, -2], np.float32))
    tags = [[UNLABELLED, 1, 0], [2] * 5, [UNLABELLED] * 2]
    write_split(path, columns, tags, {"words": [["a"], ["b", "c"], ["ä"]]})
    read = PreparedRows.open(path)
    assert (lists(read.labels, read), read.labels.dtype, len(read)) == (tags, np.int64, 3)
    assert pa.ipc.open_file(str(path)).read_all().column("words").to_pylist() == [["a"], ["b", "c"], ["ä"]]
    spans = [np.arange(2 * len(row)).reshape(-1, 2) for row in TOKENS]
    places = np.array([[1, 2], [0, 0], [UNLABELLED, UNLABELLED]])
    write_split(path, {**columns, "example": [0, 0, 1], "spans": spans}, places, {})
    read = PreparedRows.open(path)
    np.testing.assert_array_equal(read.labels, places)
    assert read.examples.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(read.spans, np.concatenate(spans))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "dataset.json: is missing; expected a prepared data set"),
        *((text, r"dataset.json: is damaged .*; expected a prepared data set") for text in ("", "{", '{"format": "dist', "\x00")),
        *((text, "dataset.json: is None version None, expected distill/prepared") for text in ("[]", "3", "null")),
        ({"version": 1}, "is distill/prepared version 1, expected distill/prepared version 3; run `dvc repro prepare@tiny`"),
        ({"version": None}, "is distill/prepared version None, expected distill/prepared version 3"),
        ({"format": "distill/targets"}, "is distill/targets version 3, expected distill/prepared version 3"),
        ({"labels": ...}, "dataset.json: lacks 'labels'; run `dvc repro prepare@tiny`"),
        ({"splits": ...}, "dataset.json: lacks 'splits'; run `dvc repro prepare@tiny`"),
    ],
)
def test_a_description_that_is_damaged_or_of_another_version_is_refused(copied, content, complaint):
    path = copied / "dataset.json"
    if isinstance(content, dict):
        changed = {**json.loads(path.read_text(encoding="utf-8")), **content}
        content = json.dumps({name: value for name, value in changed.items() if value is not ...})
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        Dataset.open(copied)


def rewrite(path: Path, table: pa.Table, rows_a_batch: int | None = None) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_a_batch)


def test_missing_or_truncated_rows_and_those_of_another_layout_are_refused(copied):
    path = copied / "train.arrow"
    content = path.read_bytes()
    for kept in (None, 0.0, 0.02, 0.5, 0.95, 0.999):
        path.unlink() if kept is None else path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(UserError, match=r"train.arrow: damaged or missing .*; run `dvc repro prepare@tiny`"):
            Dataset.open(copied).rows("train")
    rewrite(path, pa.table({"text": ["a"]}))
    with pytest.raises(UserError, match=r"train.arrow: has the columns .*; run `dvc repro prepare@tiny`"):
        Dataset.open(copied).rows("train")


def test_damaged_rows_of_an_augmentation_are_made_again_by_its_own_stage(prepared, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "prepared" / "more")
    write_text(tmp_path / "jobs" / "entries" / "augmentations" / "more.json", "{}")
    (folder / "train.arrow").unlink()
    with pytest.raises(UserError, match=r"train.arrow: damaged or missing .*; run `dvc repro augment@more`"):
        Dataset.open(folder).rows("train")
    write_text(folder / "dataset.json", "{}")
    with pytest.raises(UserError, match="run `dvc repro augment@more`"):
        Dataset.open(folder)


def test_questions_are_read_from_several_record_batches_and_refused_where_they_are_missing(tmp_path):
    folder = tiny.prepare_task(tmp_path / "x", "question-answering")
    whole = Dataset.open(folder).rows("test")
    rewrite(tmp_path / "parts.arrow", pa.ipc.open_file(str(folder / "test.arrow")).read_all(), 3)
    parts = PreparedRows.open(tmp_path / "parts.arrow")
    for name in ("ids", "tokens", "offsets", "token_types", "labels", "examples", "spans"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert Dataset.open(folder).examples("test").schema == EXAMPLES
    (folder / "test.examples.arrow").unlink()
    with pytest.raises(UserError, match=r"test.examples.arrow: damaged or missing .*; run `dvc repro prepare@x`"):
        Dataset.open(folder).examples("test")
