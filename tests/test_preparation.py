"""From raw tables to a prepared data set, in memory and on disk, with counts that can be checked by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import PreTrainedTokenizerFast

from distill.data import Rows
from distill.encoders import load_tokenizer
from distill.errors import UserError
from distill.files import read_json
from distill.preparation import make_rows, write_dataset
from distill.prepared import UNLABELLED, Dataset
from tests import tiny

COLUMNS = {"text": "text", "text_pair": None, "label": "label", "id": None}
OWN = {"train": "train", "validation": None, "test": None}
NO_LIMITS = {"train": None, "validation": None, "test": None}


def tables(**splits: tuple[list[str], list[Any]]) -> dict[str, pa.Table]:
    return {split: pa.table({"text": texts, "label": labels}) for split, (texts, labels) in splits.items()}


def make(raw: dict[str, pa.Table], **changes: Any) -> tuple[dict[str, Rows], tuple[str, ...]]:
    settings = {"columns": COLUMNS, "labels": None, "splits": OWN, "limits": NO_LIMITS, "seed": 1, **changes}
    return make_rows(raw, "data/raw/x", **settings)


def write(folder: Path, rows: dict[str, Rows], names: tuple[str, ...], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return write_dataset(
        folder, rows, names, tokenizer, task="sequence-classification", metric="mcc", max_length=6, near_duplicate=0.8
    )


THREE = tables(
    train=(["w1 w2 w3 w4 w5 w6", "w2", "w3", "w7 w8 w9 w1"], ["b", "a", None, "a"]),
    validation=(["w1 w2", "w2"], ["a", "b"]),
    test=(["W7, w8 w9 w1!"], ["a"]),
)


def test_the_sources_splits_become_numbered_rows():
    rows, names = make(THREE)
    assert names == ("a", "b")
    assert rows["train"].labels.tolist() == [1, 0, UNLABELLED, 0]
    assert rows["validation"].labels.tolist() == [0, 1]
    assert rows["test"].texts == ["W7, w8 w9 w1!"]


def test_splits_that_nothing_names_are_not_looked_at():
    broken = tables(unsupervised=(["", ""], ["?", "?"]))
    rows, names = make(THREE | broken)
    assert set(rows) == {"train", "validation", "test"}
    assert names == ("a", "b")


def test_pairs_are_made_of_two_columns(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    raw = {
        split: pa.table({"q": ["w1", "w2 w3"], "a": ["w4 w5", "w6"], "gold": ["n", "y"]})
        for split in ("train", "validation", "test")
    }
    rows, names = make(raw, columns={"text": "q", "text_pair": "a", "label": "gold", "id": None})
    description = write(tmp_path, rows, names, tokenizer)
    read = Dataset.open(tmp_path).rows("train")
    assert read.tokens.tolist() == [2, 5, 3, 8, 9, 3, 2, 6, 7, 3, 10, 3]
    assert read.token_types is not None
    assert read.token_types.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    assert description["duplicates"]["train-test"]["exact"] == 2


def test_pairs_that_share_one_text_alone_are_no_duplicates(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    raw = {
        split: pa.table({"text": ["w1", "w2"], "other": [f"w{i}", f"w{i + 1}"], "label": [0, 1]})
        for i, split in enumerate(("train", "validation", "test"), start=3)
    }
    rows, names = make(raw, columns={**COLUMNS, "text_pair": "other"})
    assert write(tmp_path, rows, names, tokenizer)["duplicates"]["train-validation"]["exact"] == 0


def test_what_is_counted_is_right_and_stands_in_dataset_json(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    description = write(tmp_path, *make(THREE), tokenizer)
    train = description["splits"]["train"]
    assert {key: train[key] for key in train if key != "fingerprint"} == {
        "rows": 4,
        "transfer_rows": 1,
        "rows_a_label": {"a": 2, "b": 1},
        "tokens": 6 + 3 + 3 + 6,
        "truncated_rows": 1,
        "truncated_tokens": 2,
        "counts": {},
    }
    assert description["duplicates"]["train-validation"]["exact"] == 1
    assert description["duplicates"]["train-test"] == {"exact": 1, "near": 0, "examples": [{"train": 3, "test": 0}]}
    written = read_json(tmp_path / "dataset.json", "a prepared data set")
    assert {key: written[key] for key in description} == description


def test_what_is_written_is_read_back(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    write(tmp_path, *make(THREE), tokenizer)
    dataset = Dataset.open(tmp_path)
    assert (dataset.labels, dataset.metric, dataset.max_length) == (("a", "b"), "mcc", 6)
    assert dataset.rows("train").labels.tolist() == [1, 0, UNLABELLED, 0]
    assert dataset.rows("train").lengths.tolist() == [6, 3, 3, 6]


def test_limits_are_of_the_rows_after_the_cut():
    raw = tables(train=([f"w{i}" for i in range(40)], ["a", "b"] * 20))
    rows, _ = make(raw, limits={"train": 10, "validation": None, "test": 2})
    assert {split: len(part) for split, part in rows.items()} == {"train": 10, "validation": 4, "test": 2}
    assert sorted(rows["train"].labels.tolist()) == [0] * 5 + [1] * 5


def test_an_unknown_label_is_refused_with_the_split_and_the_row():
    raw = THREE | tables(validation=(["w1", "w2"], ["a", "c"]))
    with pytest.raises(UserError, match=r"data/raw/x: validation: row 1: label 'c' is unknown; expected one of a, b"):
        make(raw)


def test_a_test_row_without_a_label_is_refused_with_its_row():
    with pytest.raises(UserError, match=r"data/raw/x: test: row 1: has no label"):
        make(THREE | tables(test=(["w1", "w2"], ["a", None])))


def test_a_misspelt_training_split_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"splits.train: the source has no 'trian'; it has train, validation, test"):
        make(THREE, splits={**OWN, "train": "trian"})


def test_given_labels_order_the_classes():
    rows, names = make(THREE, labels=["b", "a"])
    assert names == ("b", "a")
    assert rows["train"].labels.tolist() == [0, 1, UNLABELLED, 1]


def test_given_labels_reorder_the_numbers_of_a_source_that_carries_names():
    metadata = {"huggingface": '{"info": {"features": {"label": {"names": ["neg", "pos"]}}}}'}
    raw = tables(train=(["w1", "w2"], [0, 1]), validation=(["w3"], [1]), test=(["w4"], [0]))
    carrying = {split: table.replace_schema_metadata(metadata) for split, table in raw.items()}
    assert make(carrying)[0]["train"].labels.tolist() == [0, 1]
    assert make(carrying, labels=["pos", "neg"])[0]["train"].labels.tolist() == [1, 0]


def test_numbers_that_are_named_by_numbers_are_not_taken_for_positions():
    stars = tables(train=(["w1", "w2", "w3"], [1, 2, 3]), validation=(["w4"], [3]), test=(["w5"], [1]))
    rows, _ = make(stars, labels=["1", "2", "3"])
    assert rows["train"].labels.tolist() == [0, 1, 2]
    assert rows["validation"].labels.tolist() == [2]


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_join_the_targets_of_a_teacher_with_another_tokenizer(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, pairs: bool
):
    other = tiny.tokenizer([f"w{i}" for i in range(39, -1, -1)])
    columns = {**COLUMNS, "text_pair": "text" if pairs else None}
    rows, names = make({split: tiny.raw("sequence-classification", 30, i) for i, split in enumerate(OWN)}, columns=columns)
    for name in ("teacher", "student"):
        (tmp_path / name).mkdir()
    settings = {"task": "sequence-classification", "metric": "f1", "near_duplicate": 0.8}
    write_dataset(tmp_path / "teacher", rows, names, tokenizer, max_length=6, **settings)
    seen = {"teacher_tokenizer": tokenizer, "teacher_max_length": 6}
    write_dataset(tmp_path / "student", rows, names, other, max_length=9, **seen, **settings)
    teacher, student = Dataset.open(tmp_path / "teacher"), Dataset.open(tmp_path / "student")
    assert (student.seen_tokenizer, student.seen_max_length) == (teacher.tokenizer, 6) == (teacher.seen_tokenizer, 6)
    assert load_tokenizer(tmp_path / "student" / "seen_tokenizer").get_vocab() == tokenizer.get_vocab()
    assert (student.max_length, student.tokenizer != teacher.tokenizer) == (9, True)
    for split in teacher.splits:
        np.testing.assert_array_equal(student.rows(split).ids, teacher.rows(split).ids)
        assert student.splits[split]["fingerprint"] == teacher.splits[split]["fingerprint"]
        assert not np.array_equal(student.rows(split).lengths, teacher.rows(split).lengths)
