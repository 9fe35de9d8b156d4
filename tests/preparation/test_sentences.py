"""Texts and pairs of texts for sentence embedding: what is a row, what joins two rows, what is refused."""

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.preparation.columns import SENTENCE_ENDS
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny

PAIRS = {"columns": {"text_pair": "other", "label": "score"}}
ALONE = {"text": [f"w{i} w{i + 1}" for i in range(30)]}
SCORED = {"text": ["w1 w2", "w3", "w4"], "other": ["w5", None, "w6 w7"], "score": [0.5, None, None]}


def made(tables: dict[str, dict[str, Any]], **how: Any):
    entry = tiny.settings(tiny.EMBEDDING, **how)
    return make_rows({name: pa.table(columns) for name, columns in tables.items()}, "raw", entry), entry


def written(folder, tables, **how) -> Dataset:
    (rows, labels), entry = made(tables, **how)
    write_dataset(folder, rows, labels, entry, tiny.tokenizer())
    return Dataset.open(folder)


def test_texts_of_pairs_are_rows_that_stand_together_and_single_texts_need_no_columns_of_pairs(tmp_path):
    dataset = written(tmp_path, {"train": ALONE, "validation": SCORED, "test": SCORED}, **PAIRS)
    rows = dataset.rows("test")
    assert dataset.texts("test") == {"text": ["w1 w2", "w5", "w3", "w4", "w6 w7"]}
    assert rows.examples.tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_array_equal(rows.labels, np.float32([0.5, 0.5, np.nan, np.nan, np.nan]))
    assert (len(dataset.rows("train")), dataset.labels, dataset.metric) == (30, (), "spearman")
    assert dataset.splits["test"]["transfer_rows"] == 3


def test_rows_without_any_label_are_cut_at_random_and_no_pair_is_torn(tmp_path):
    pairs = {"text": ALONE["text"], "other": [f"w{i}" for i in range(30)]}
    dataset = written(tmp_path, {"train": pairs}, columns={"text_pair": "other"})
    assert dataset.metric == "ndcg_at_10"
    for split, count in (("train", 24), ("validation", 3), ("test", 3)):
        assert np.bincount(dataset.rows(split).examples).tolist() == [2] * count


@pytest.mark.parametrize("validation", [None, SCORED], ids=["single texts", "scored pairs"])
def test_pairs_without_scores_are_searched_by_what_validation_rows_have_too(tmp_path, validation):
    """Else each epoch would be as good as the others."""
    searched = {"text": ["w1", "w2", "w3"], "other": ["w4", "w5", "w6"]}
    tables = {"train": ALONE, "test": searched, **({} if validation is None else {"validation": validation})}
    columns = PAIRS["columns"] if validation else {"text_pair": "other"}
    with pytest.raises(UserError, match="validation or test rows are others; take spearman"):
        written(tmp_path, tables, columns=columns, metric="recall_at_1")
    assert written(tmp_path, tables, columns=columns, metric="spearman").metric == "spearman"
    assert written(tmp_path, tables, columns=columns).metric == "spearman"


def test_the_classes_of_single_texts_are_not_read(tmp_path):
    dataset = written(tmp_path, {"train": {**ALONE, "label": ["x", "y", "z"] * 10}})
    assert np.isnan(dataset.rows("train").labels).all()


def test_labels_of_pairs_that_are_no_scores_can_be_left_out_as_the_error_says(tmp_path):
    pairs = {"text": ALONE["text"], "other": [f"w{i}" for i in range(30)], "label": ["alike", "other"] * 15}
    with pytest.raises(UserError, match="row 0: label 'alike', expected a finite number.*: columns.label: null"):
        made({"train": pairs}, columns={"text_pair": "other"})
    dataset = written(tmp_path, {"train": pairs}, columns={"text_pair": "other", "label": None})
    assert dataset.metric == "ndcg_at_10"


def test_ids_of_second_texts_are_their_own(tmp_path):
    tables = {split: {**SCORED, "key": ["a", "b", "c"]} for split in ("train", "validation", "test")}
    dataset = written(tmp_path, tables, columns={**PAIRS["columns"], "id": "key"})
    assert dataset.own_ids("test") == ["a", "a-2", "b", "c", "c-2"]


def test_examples_of_rows_in_two_splits_are_those_of_the_prepared_texts(tmp_path):
    pairs = {"text": [f"w{i} w1" for i in range(30)], "other": [f"w{i} w2" for i in range(30)]}
    twice = {name: [*values[20:22], *("w3 w4" for _ in range(2))] for name, values in pairs.items()}
    tables = {"train": pairs, "validation": {name: ["w5", "w6"] for name in pairs}, "test": twice}
    dataset = written(tmp_path, tables, columns={"text_pair": "other"}, deduplicate=False)
    found = json.loads((dataset.folder / "dataset.json").read_text(encoding="utf-8"))["duplicates"]["train-test"]
    assert found["exact"] == 2
    for example in found["examples"][:2]:
        one, other = (dataset.texts(split)["text"][row] for split, row in example.items())
        assert one == other


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three four. Five six seven eight! \nNine ten eleven twelve", 3),
        ('He said "it is so." Then he went out', 2),
        ("It cost 1.5 million, i.e. too much of it", 1),
        ("A title\n\nToo short.", 0),
    ],
)
def test_texts_are_cut_into_sentences(text, sentences):
    (rows, _), _ = made({split: {"text": [text, "w1 w2 w3 w4"]} for split in ("train", "validation", "test")}, sentences=True)
    assert len(rows["train"]) == sentences + 1
    assert rows["train"].numbers.tolist() == [0] * sentences + [1]
    assert "".join(SENTENCE_ENDS.split(text)).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize(
    ("tables", "how", "complaint"),
    [
        ({"train": ALONE}, PAIRS, "raw: train: no column 'score' for columns.label"),
        ({"train": {**ALONE, "score": [None] * 30}}, PAIRS, "raw: train: no column 'other' for columns.text_pair"),
        ({"train": ALONE, "test": {**SCORED, "other": [3.5] * 3}}, PAIRS, "row 0: column 'other' holds"),
        ({"train": ALONE, "test": {**SCORED, "score": [0.5, 0.1, None]}}, PAIRS, "test: row 1: has a score and no second text"),
        (
            {"train": ALONE, "test": {**SCORED, "score": ["high", None, None]}},
            PAIRS,
            "row 0: label 'high', expected a finite number",
        ),
        ({"train": ALONE}, {"sentences": True, "columns": {"text_pair": "other"}}, "sentences: pairs are not cut"),
        (
            {"train": ALONE},
            {"metric": "ndcg_at_10"},
            "metric: ndcg_at_10 is of pairs without scores, validation or test",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path, tables, how, complaint):
    with pytest.raises(UserError, match=complaint):
        written(tmp_path, tables, **how)


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        (
            {"text": ["a"], "Other": ["b"], "score": [1]},
            "raw: test: no column 'other' for columns.text_pair; did you mean 'Other'?",
        ),
        ({"text": ["a"], "other": ["b"], "Score": [1]}, "raw: test: no column 'score' for columns.label; did you mean 'Score'?"),
        (
            {"text": ["a"], "other": [None], "Other": ["b"]},
            "raw: test: row 0: has 'Other' and no 'other'; give the rows one name",
        ),
    ],
)
def test_second_texts_and_scores_under_another_name_are_refused(test, complaint):
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}"):
        made({"train": SCORED, "validation": SCORED, "test": test}, **PAIRS)
