"""data/prepared/NAME/: what was written is read back, and what is damaged is refused."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import PreTrainedTokenizerFast

from distill.errors import UserError
from distill.prepared import EXAMPLES, ID_BYTES, UNLABELLED, Dataset, PreparedRows, example_id, write_split
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


def lists(values: np.ndarray[Any, Any], rows: PreparedRows) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, rows.offsets[1:-1])]


def test_pairs_are_read_back_as_they_were_written(tmp_path: Path):
    rows = written(tmp_path / "train.arrow")
    assert len(rows) == 3
    assert rows.pad_token == 9
    assert lists(rows.tokens, rows) == TOKENS
    assert rows.token_types is not None
    assert lists(rows.token_types, rows) == TYPES
    assert rows.labels.tolist() == LABELS.tolist()
    assert rows.lengths.tolist() == [3, 5, 2]
    assert rows.ids.shape == (3, ID_BYTES)
    assert [bytes(row) for row in rows.ids] == [example_id(*row) for row in zip(TOKENS, TYPES, strict=True)]


def test_single_texts_have_no_token_types(tmp_path: Path):
    rows = written(tmp_path / "train.arrow", {"input_ids": TOKENS}, {"text": TEXTS["text"]})
    assert rows.token_types is None
    assert [bytes(row) for row in rows.ids] == [example_id(row, None) for row in TOKENS]


def test_the_texts_stand_beside_the_tokens_for_other_tools(tmp_path: Path):
    written(tmp_path / "train.arrow")
    table = pa.ipc.open_file(str(tmp_path / "train.arrow")).read_all()
    assert table.select(["text", "text_pair"]).to_pydict() == TEXTS
    assert table.schema.field("example_id").type == pa.binary(ID_BYTES)
    assert table.schema.field("input_ids").type == pa.list_(pa.int32())
    assert table.schema.field("token_type_ids").type == pa.list_(pa.int8())


def test_a_file_of_several_record_batches_is_read_as_one_of_them(tmp_path: Path):
    whole = written(tmp_path / "whole.arrow")
    table = pa.ipc.open_file(str(tmp_path / "whole.arrow")).read_all()
    with pa.OSFile(str(tmp_path / "parts.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    parts = PreparedRows.open(tmp_path / "parts.arrow")
    for name in ("ids", "tokens", "offsets", "token_types", "labels"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_the_fingerprint_of_a_split_depends_on_its_examples_and_their_order(tmp_path: Path):
    def fingerprint(tokens: list[list[int]], texts: list[str]) -> str:
        return write_split(tmp_path / "x.arrow", {"input_ids": tokens}, LABELS, {"text": texts})

    ids = b"".join(example_id(row, None) for row in TOKENS)
    assert (
        fingerprint(TOKENS, ["a", "b", "c"]) == fingerprint(TOKENS, ["other", "texts", "here"]) == hashlib.sha256(ids).hexdigest()
    )
    assert fingerprint(TOKENS, ["a", "b", "c"]) != fingerprint(TOKENS[::-1], ["a", "b", "c"])


def test_an_example_id_depends_on_what_the_teacher_sees_alone():
    assert example_id([2, 4, 3], None) == example_id(np.array([2, 4, 3], np.int64).tolist(), None)
    assert len(example_id([2, 3], None)) == ID_BYTES
    different = [
        example_id([2, 4, 3], None),
        example_id([2, 3, 4], None),
        example_id([2, 4], None),
        example_id([2, 4, 3], [0, 0, 0]),
        example_id([2, 4, 3], [0, 0, 1]),
        example_id([], None),
    ]
    assert len(set(different)) == len(different)


def test_an_example_id_stays_what_it_is_for_stored_targets_are_found_by_it():
    content = b"\x02\x00\x00\x00\x04\x00\x00\x00"
    assert example_id([2, 4], None) == hashlib.sha256(content).digest()[:16]
    assert example_id([2, 4], [0, 1]) == hashlib.sha256(content + b"|\x00\x01").digest()[:16]


def test_a_data_set_says_what_its_rows_mean(prepared: Path, tokenizer: PreTrainedTokenizerFast):
    dataset = Dataset.open(prepared)
    assert dataset.labels == tiny.LABELS
    assert dataset.vocabulary == len(tokenizer)
    assert dataset.pad_token == tokenizer.pad_token_id
    assert [len(dataset.rows(split)) for split in dataset.splits] == [part["rows"] for part in dataset.splits.values()]
    assert dataset.rows("train").lengths.max() <= dataset.max_length


def test_two_runs_write_the_same_bytes(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    folders = [tiny.prepare(tmp_path / name, tokenizer) for name in ("one", "two")]
    contents = [
        {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
        for folder in folders
    ]
    assert {"dataset.json", "train.arrow", "validation.arrow", "test.arrow", "tokenizer/tokenizer.json"} <= set(contents[0])
    assert [name for name in contents[0] if contents[0][name] != contents[1].get(name)] == []
    assert set(contents[0]) == set(contents[1])


def test_a_missing_data_set_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"dataset.json: is missing; expected a prepared data set"):
        Dataset.open(tmp_path / "none")


@pytest.mark.parametrize("content", ["", "{", '{"format": "distill/pre', "\x00"])
def test_a_damaged_description_is_refused(copied: Path, content: str):
    (copied / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"dataset.json: is damaged .*; expected a prepared data set"):
        Dataset.open(copied)


@pytest.mark.parametrize("change", [{"version": 1}, {"version": None}, {"format": "distill/targets"}])
def test_a_description_of_another_version_or_format_is_refused_with_both(copied: Path, change: dict[str, Any]):
    path = copied / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(UserError, match=r"expected distill/prepared version 2; run `dvc repro prepare@tiny`") as caught:
        Dataset.open(copied)
    assert str(next(iter(change.values()))) in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_a_description_that_is_no_mapping_is_refused(copied: Path, content: str):
    (copied / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"dataset.json"):
        Dataset.open(copied)


def test_a_description_that_lacks_a_key_is_refused_with_the_key(copied: Path):
    path = copied / "dataset.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in ("labels", "splits"):
        path.write_text(json.dumps({name: value for name, value in content.items() if name != key}), encoding="utf-8")
        with pytest.raises(UserError, match=rf"dataset.json: .*'{key}'.*run `dvc repro prepare@tiny`"):
            Dataset.open(copied)


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95, 0.999])
def test_truncated_rows_are_refused(copied: Path, kept: float):
    path = copied / "train.arrow"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=r"train.arrow: damaged or missing .*; run `dvc repro prepare@tiny`"):
        Dataset.open(copied).rows("train")


def test_missing_rows_are_refused(copied: Path):
    (copied / "test.arrow").unlink()
    with pytest.raises(UserError, match=r"test.arrow: damaged or missing"):
        Dataset.open(copied).rows("test")


def test_rows_of_another_layout_are_refused(copied: Path):
    table = pa.table({"text": ["a"]})
    with pa.OSFile(str(copied / "train.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match=r"train.arrow: .*run `dvc repro prepare@tiny`"):
        Dataset.open(copied).rows("train")


def test_scores_tags_and_spans_are_read_back_as_they_were_written(tmp_path: Path):
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
    assert read.examples is not None
    assert read.spans is not None
    assert read.examples.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(read.spans, np.concatenate(spans))


def test_the_places_of_masks_are_part_of_what_the_teacher_is_asked():
    ids = {example_id([2, 4, 3], None, None if places is None else np.array(places)) for places in (None, [], [1], [0, 1])}
    assert len(ids) == 4


def test_rows_in_several_record_batches_keep_their_spans(tmp_path: Path):
    folder = tiny.prepare_task(tmp_path / "x", "question-answering")
    whole, table = Dataset.open(folder).rows("test"), pa.ipc.open_file(str(folder / "test.arrow")).read_all()
    with pa.OSFile(str(tmp_path / "parts.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    parts = PreparedRows.open(tmp_path / "parts.arrow")
    for name in ("ids", "tokens", "offsets", "labels", "examples", "spans"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_questions_that_are_missing_are_refused(tmp_path: Path):
    folder = tiny.prepare_task(tmp_path / "x", "question-answering")
    assert Dataset.open(folder).examples("test").schema == EXAMPLES
    (folder / "test.examples.arrow").unlink()
    with pytest.raises(UserError, match=r"test.examples.arrow: damaged or missing .*; run `dvc repro prepare@x`"):
        Dataset.open(folder).examples("test")
