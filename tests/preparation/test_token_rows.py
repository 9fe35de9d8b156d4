"""Rows that are tokenized already: each stays a row, and says what is learnt of it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset, example_id
from distill.data.tokenizers import Encoded
from distill.preparation.by_task import PREPARERS
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny
from tests.decoders import SPECIAL, tokenizer

COLUMNS = {"input_ids": "tokens"}
FIRST, EOS, VOCABULARY = len(SPECIAL), 1, len(SPECIAL) + len(tiny.WORDS)


def encoded(rows: list[Any], kind: pa.DataType | None = None, **how: Any) -> Encoded:
    entry, preparer = tiny.settings("causal-lm", **{"columns": COLUMNS, "max_length": 6, **how}), PREPARERS["causal-lm"]
    table = pa.table({"tokens": pa.array(rows, kind)})
    assert preparer.packer(tokenizer(), entry) is None
    return preparer.encode(tokenizer(), preparer.read(table, "raw: train", entry), entry, "train")


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.list_(pa.uint64()), pa.large_list(pa.int64())])
def test_all_tokens_but_the_first_are_learnt_and_long_rows_lose_their_end(kind):
    rows = [[7, 8, 9, EOS], [10, 11], [7, 8, 9, 10, 11, 12, 13, EOS]]
    made = encoded(rows, kind)
    assert [row.tolist() for row in made.columns["input_ids"]] == [*rows[:2], rows[2][:6]]
    assert [row.tolist() for row in made.labels] == [[8, 9, 1, UNLABELLED], [11, UNLABELLED], [8, 9, 10, 11, 12, UNLABELLED]]
    assert made.ids == [example_id(row[:6], None, np.arange(len(row[:6]) - 1)) for row in rows]
    assert (made.truncated_rows, made.truncated_tokens) == (1, 2)
    text = "w2 w3" + "w5" + "w2 w3 w4 w5 w6"
    assert made.counts == {"token_rows": 3, "predicted_tokens": 9, "bytes": len(text)}


@pytest.mark.parametrize(
    ("row", "complaint", "reason"),
    [
        (None, "raw: train: row 1: column 'tokens' holds None, expected a list of ids", "no tokens"),
        ([], "raw: train: row 1: column 'tokens' has 0 tokens, expected 2 or more", "no token to predict"),
        ([7], "raw: train: row 1: column 'tokens' has 1 tokens, expected 2 or more", "no token to predict"),
    ],
)
def test_rows_with_nothing_to_predict_are_bad_rows(row, complaint, reason):
    with pytest.raises(UserError, match=f"{complaint}.*bad_rows: drop"):
        encoded([[7, 8], row])
    assert len(encoded([[7, 8], row], bad_rows="drop").lengths) == 1
    entry = tiny.settings("causal-lm", columns=COLUMNS, bad_rows="drop")
    rows = PREPARERS["causal-lm"].read(pa.table({"tokens": [[7, 8], row]}), "raw", entry)
    assert rows.dropped[1].startswith(reason)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([7, -1], "raw: train: row 1: column 'tokens' holds -1, expected ids, numbers from 0"),
        ([7, None, 8], "raw: train: row 1: column 'tokens' holds None, expected ids"),
        (
            [7, VOCABULARY],
            f"train: row 1: column 'tokens' holds the id {VOCABULARY}, the tokenizer's are below {VOCABULARY}; take",
        ),
    ],
)
def test_numbers_that_are_no_ids_are_refused_by_split_and_row(row, complaint):
    with pytest.raises(UserError, match=complaint):
        encoded([[7, 8], row])


@pytest.mark.parametrize(("rows", "holds"), [([[7.0, 8.0]], "7.0"), ([[True, False]], "True"), (["7 8"], "'7 8'")])
def test_a_column_of_others_than_whole_numbers_is_refused(rows, holds):
    with pytest.raises(UserError, match=f"raw: train: row 0: column 'tokens' holds {holds}, expected ids"):
        encoded(rows)


def test_a_data_set_of_them_knows_its_duplicates_and_keeps_its_ids(tmp_path):
    rng = np.random.default_rng(1)
    tables = {
        split: pa.table(
            {
                "tokens": [rng.integers(FIRST, VOCABULARY, 9).tolist() for _ in range(6)] + [[7, 8, 9, 10, EOS]],
                "id": [f"{split}-{row}" for row in range(7)],
            }
        )
        for split in ("train", "validation", "test")
    }
    entry = tiny.settings("causal-lm", columns={**COLUMNS, "id": "id"}, max_length=16)
    told = write_dataset(tmp_path, *make_rows(tables, "raw", entry), entry, tokenizer())
    assert told["duplicates"]["train-test"]["exact"] == 1
    dataset = Dataset.open(tmp_path)
    assert dataset.own_ids("train") == tables["train"]["id"].to_pylist()
    apart = tiny.settings("causal-lm", columns=COLUMNS, deduplicate=True)
    assert len(make_rows(tables, "raw", apart)[0]["train"]) == 6


@pytest.mark.parametrize("columns", [{"messages": "m"}, {"prompt": "p", "response": "r"}, {"text": "text"}])
def test_a_row_is_one_thing_alone(columns):
    with pytest.raises(ValueError, match="columns: expected one of: "):
        tiny.settings("causal-lm", columns={**COLUMNS, **columns})
    with pytest.raises(ValueError, match=r"columns.input_ids: masked-lm reads text, id; remove it"):
        tiny.settings("masked-lm", columns=COLUMNS)
