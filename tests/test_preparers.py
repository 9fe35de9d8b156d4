"""What every task makes of its raw rows, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Regex
from tokenizers.normalizers import Replace
from transformers import PreTrainedTokenizerFast

from distill.data import Rows
from distill.errors import UserError
from distill.files import read_json
from distill.params.datasets import METRICS
from distill.preparation import make_rows, write_dataset
from distill.prepared import UNLABELLED, Dataset
from tests import tiny
from tests.commands import contents

OWN = {"train": "train", "validation": None, "test": None}
NO_LIMITS = {"train": None, "validation": None, "test": None}


def make(raw: dict[str, pa.Table], **changes: Any) -> tuple[dict[str, Rows], tuple[str, ...]]:
    settings = {"columns": {}, "labels": None, "splits": OWN, "limits": NO_LIMITS, "seed": 1, **changes}
    return make_rows(raw, "data/raw/x", **settings)


def raw_tables(task: str) -> dict[str, pa.Table]:
    return {split: tiny.raw(task, 30, seed) for seed, split in enumerate(("train", "validation", "test"))}


def make_task(task: str, raw: dict[str, pa.Table], **columns: str) -> dict[str, Rows]:
    return make(raw, columns=columns, task=task)[0]


@pytest.mark.parametrize("task", METRICS)
def test_every_task_is_prepared_to_the_same_bytes_twice(tmp_path: Path, task: str):
    how = {"maskings": 3} if task == "masked-lm" else {}
    first, second = (contents(tiny.prepare_task(tmp_path / name, task, **how)) for name in ("one", "two"))
    assert first == second
    assert ("train.examples.arrow" in first) == (task == "question-answering")


@pytest.mark.parametrize("task", METRICS)
def test_every_task_says_what_its_rows_are(tmp_path: Path, task: str):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", task))
    assert dataset.task == task
    assert (dataset.seen_tokenizer, dataset.seen_max_length) == (dataset.tokenizer, dataset.max_length)
    assert dataset.unanswerable == (task == "question-answering")
    assert dataset.classes == {
        "sequence-classification": 3,
        "regression": 1,
        "token-classification": 4,
        "question-answering": 2,
        "masked-lm": dataset.vocabulary,
    }.get(task)
    assert read_json(tmp_path / "x" / "tokenizer" / "tokenizer.json", "a tokenizer")["truncation"] is None
    for split in dataset.splits:
        rows, told = dataset.rows(split), dataset.splits[split]
        assert (told["rows"], told["tokens"], told["transfer_rows"]) == (len(rows), len(rows.tokens), 0)
        assert rows.lengths.max() <= dataset.max_length
        assert len(rows.labels) == (len(rows.tokens) if task in ("token-classification", "masked-lm") else len(rows))
        assert (rows.spans is None) == (rows.examples is None) == (task != "question-answering")


def test_labels_are_of_the_type_that_the_task_has(tmp_path: Path):
    found = {task: Dataset.open(tiny.prepare_task(tmp_path / task, task)).rows("train").labels for task in METRICS}
    assert {task: (str(labels.dtype), labels.ndim) for task, labels in found.items()} == {
        "sequence-classification": ("int64", 1),
        "regression": ("float32", 1),
        "token-classification": ("int64", 1),
        "question-answering": ("int64", 2),
        "masked-lm": ("int64", 1),
    }


def test_tags_stand_at_their_tokens_and_are_counted(tmp_path: Path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", "token-classification"))
    assert dataset.labels == ("O", "B-animal", "B-plant", "I-animal")
    rows, raw = dataset.rows("train"), tiny.raw("token-classification", 60, 0).to_pylist()
    for i, row in enumerate(raw):
        labels = rows.labels[rows.offsets[i] : rows.offsets[i + 1]]
        tags = [dataset.labels[label] for label in labels[1:-1]]
        assert tags == row["tags"][: len(tags)]
        assert labels[[0, -1]].tolist() == [UNLABELLED, UNLABELLED]
    told = dataset.splits["train"]
    assert sum(told["rows_a_label"].values()) + told["counts"]["lost_tags"] == sum(len(row["tags"]) for row in raw)


def test_windows_lead_back_to_their_questions(tmp_path: Path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", "question-answering"))
    rows, examples = dataset.rows("train"), dataset.examples("train").to_pylist()
    assert rows.examples is not None
    assert rows.spans is not None
    assert sorted(set(rows.examples.tolist())) == list(range(60))
    answered = set()
    for i, (start, stop) in enumerate(rows.labels):
        example, spans = examples[rows.examples[i]], rows.spans[rows.offsets[i] : rows.offsets[i + 1]]
        if stop:
            answered.add(int(rows.examples[i]))
            assert [example["context"][spans[start, 0] : spans[stop, 1]]] == example["answers"]
    assert answered == {i for i, example in enumerate(examples) if example["answers"]}
    told = dataset.splits["train"]
    assert told["rows_a_label"] == {
        "answer": int((rows.labels[:, 1] > 0).sum()),
        "no answer": int((rows.labels[:, 1] == 0).sum()),
    }
    assert told["counts"] == {"questions": 60, "unanswerable": 60 - len(answered), "lost_answers": 0}


def test_questions_keep_their_ids(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    raw = {
        split: table.append_column("key", pa.array([f"{split}{i}" for i in range(30)]))
        for split, table in raw_tables("question-answering").items()
    }
    rows = make_task("question-answering", raw, id="key")
    settings = {"task": "question-answering", "metric": "f1", "max_length": 16, "near_duplicate": 0.8}
    write_dataset(tmp_path, rows, ("start", "end"), tokenizer, **settings)
    assert Dataset.open(tmp_path).examples("test").column("id").to_pylist() == [f"test{i}" for i in range(30)]


def test_only_training_chunks_have_several_maskings(tmp_path: Path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", "masked-lm", maskings=4))
    for split, maskings in (("train", 4), ("validation", 1), ("test", 1)):
        told, rows = dataset.splits[split], dataset.rows(split)
        assert told["rows"] == maskings * told["counts"]["chunks"]
        assert told["counts"]["masked_tokens"] == int((rows.labels != UNLABELLED).sum())


def test_transfer_rows_of_every_task_have_no_label(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    for task, column in (("regression", "label"), ("token-classification", "tags"), ("question-answering", "answers")):
        raw = raw_tables(task)
        values = raw["train"].column(column).to_pylist()
        raw["train"] = (
            raw["train"].drop([column]).append_column(column, pa.array([None, *values[1:]], raw["train"].field(column).type))
        )
        rows, names = make(raw, task=task)
        (tmp_path / task).mkdir()
        settings = {"task": task, "metric": "any", "max_length": 16, "near_duplicate": 0.8}
        told = write_dataset(tmp_path / task, rows, names, tokenizer, **settings)
        read = Dataset.open(tmp_path / task).rows("train")
        match task:
            case "regression":
                unlabelled = np.isnan(read.labels)
            case "token-classification":
                unlabelled = np.logical_and.reduceat(read.labels == UNLABELLED, read.offsets[:-1])
            case _:
                unlabelled = (read.labels == UNLABELLED).all(axis=1)
                assert read.examples is not None
                np.testing.assert_array_equal(unlabelled, read.examples == 0)
        assert unlabelled[0]
        assert int(unlabelled.sum()) == told["splits"]["train"]["transfer_rows"] >= 1


@pytest.mark.parametrize(
    ("task", "change", "complaint"),
    [
        ("regression", {"label": ["high"] * 30}, "data/raw/x: test: row 0: label 'high', expected a finite number"),
        ("regression", {"label": [0.5, float("nan")] * 15}, "data/raw/x: test: row 1: label nan, expected a finite number"),
        (
            "regression",
            {"label": [None] * 30},
            "data/raw/x: test: row 0: has no label (30 rows have none), and this split is scored",
        ),
        ("regression", {"label": [-1.0] * 30}, "data/raw/x: test: row 0: has no label (30 rows have none)"),
        ("regression", {"text": ["w1", ""] * 15}, "data/raw/x: test: row 1: column 'text' is empty"),
        (
            "token-classification",
            {"tokens": [["w1"]] * 30, "tags": [["O", "O"]] * 30},
            "data/raw/x: test: row 0: has 1 tokens and 2",
        ),
        (
            "token-classification",
            {"tokens": [["w1"]] * 30, "tags": [["B-car"]] * 30},
            "data/raw/x: test: row 0: token 0: tag 'B-car'",
        ),
        ("token-classification", {"tags": None}, "data/raw/x: test: row 0: has no label"),
        ("question-answering", {"context": ["w1"] * 30}, "data/raw/x: test: row 0: column 'answers': the answer"),
        ("question-answering", {"answers": None}, "data/raw/x: test: row 0: has no label"),
        ("question-answering", {"question": None}, "data/raw/x: test: no column 'question' for columns.question"),
        ("masked-lm", {"text": [" "] * 30}, "splits.test: has no rows"),
        ("masked-lm", {"text": None}, "data/raw/x: test: no column 'text' for columns.text"),
    ],
)
def test_bad_rows_of_every_task_are_refused_with_their_split_and_row(task: str, change: dict[str, Any], complaint: str):
    raw = raw_tables(task)
    table = raw["test"].drop(list(change))
    for name, values in change.items():
        table = table if values is None else table.append_column(name, pa.array(values))
    with pytest.raises(UserError) as caught:
        make_task(task, raw | {"test": table})
    assert str(caught.value).startswith(complaint)


def test_a_corpus_that_is_nothing_to_the_tokenizer_is_refused(tmp_path: Path):
    rows = make_task("masked-lm", raw_tables("masked-lm"))
    spaces = tiny.masking_tokenizer()
    spaces.backend_tokenizer.normalizer = Replace(Regex(".*"), "")
    with pytest.raises(UserError, match="train: no text has a token"):
        write_dataset(tmp_path, rows, (), spaces, task="masked-lm", metric="accuracy", max_length=8, near_duplicate=0.8)


def test_questions_that_stand_on_the_same_context_in_two_splits_are_duplicates(tmp_path: Path):
    raw = raw_tables("question-answering")
    rows = make_task("question-answering", raw | {"test": raw["train"]})
    settings = {"task": "question-answering", "metric": "f1", "max_length": 16, "near_duplicate": 0.8}
    found = write_dataset(tmp_path, rows, ("start", "end"), tiny.tokenizer(), **settings)["duplicates"]
    assert (found["train-test"]["exact"], found["train-validation"]["exact"]) == (30, 0)


def test_limits_count_questions_and_texts_before_they_are_cut(tmp_path: Path):
    for task in ("question-answering", "masked-lm"):
        rows, _ = make(raw_tables(task), task=task, limits={"train": 7, "validation": None, "test": 3})
        assert {split: len(part) for split, part in rows.items()} == {"train": 7, "validation": 30, "test": 3}


@pytest.mark.parametrize("task", ["sequence-classification", "regression", "masked-lm"])
def test_rows_with_empty_texts_are_dropped_on_request_and_always_from_a_corpus(task: str):
    raw = raw_tables(task)
    texts = raw["train"].column("text").to_pylist()
    others = [name for name in raw["train"].column_names if name != "text"]
    raw["train"] = raw["train"].select(others).append_column("text", pa.array(["", *texts[1:-1], " "]))
    if task != "masked-lm":
        with pytest.raises(UserError, match="data/raw/x: train: row 0: column 'text' is empty"):
            make(raw, task=task)
    rows, _ = make(raw, task=task, drop_empty=task != "masked-lm")
    assert rows["train"].texts == texts[1:-1]
    assert rows["train"].numbers.tolist() == list(range(1, 29))
