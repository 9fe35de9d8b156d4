"""Ids that are numbered anew in each split, or that two tables write in two ways."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.targets.given.ids import ids_are_per_split, written_otherwise
from distill.targets.given.join import AnsweredSplit, coverage, join
from distill.targets.given.table import read_answers
from tests import tiny
from tests.targets.given.test_table import LABELS, entry, shares, stream

SIZES = {"train": 12, "validation": 4, "test": 4}
TEXTS = {split: tiny.rows(count, seed)[0] for seed, (split, count) in enumerate(SIZES.items())}


def prepared(folder: Path, ids: dict[str, list[Any]]) -> Dataset:
    """A data set whose splits have these ids."""
    tables = {
        split: pa.table({"text": TEXTS[split], "label": tiny.rows(count, seed)[1], "n": ids[split]})
        for seed, (split, count) in enumerate(SIZES.items())
    }
    settings = tiny.settings(columns={"id": "n"})
    folder.mkdir(parents=True)
    tiny.write_dataset(folder, *tiny.make_rows(tables, "tiny", settings), settings, tiny.tokenizer())
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Each split has ids from 0: read only."""
    return prepared(tmp_path_factory.mktemp("anew") / "tiny", {split: list(range(count)) for split, count in SIZES.items()})


def votes(split: str, row: int) -> str:
    """Another answer for the same number in each split."""
    return LABELS[(row + list(SIZES).index(split)) % 3]


def given(dataset: Dataset, tables: dict[str, pa.Table], key: str = "id", **more: Any) -> dict[str, AnsweredSplit]:
    """As the stage joins it."""
    streams = {split: stream(table) for split, table in tables.items()}
    settings = entry({key: {"id": "n", "text": "text"}[key], "votes": "v"}, votes={"prior": 0.0}, **more)
    by_split = ids_are_per_split(streams, dataset, settings, "raw")
    found = read_answers(streams, "raw", settings, dataset.task, dataset.labels, by_split)
    splits, strangers = join(found, dataset, settings, "raw", by_split)
    assert coverage(found, dataset, settings, by_split) == {
        split: len(splits[split].positions) if split in splits else 0 for split in dataset.splits
    }
    assert strangers == sum(map(len, tables.values())) - sum(len(part.positions) for part in splits.values())
    return splits


def table(split: str, rows: range | None = None) -> pa.Table:
    rows = range(SIZES[split]) if rows is None else rows
    return pa.table({"n": list(rows), "v": [votes(split, row) for row in rows], "text": [TEXTS[split][row] for row in rows]})


def require_right(splits: dict[str, AnsweredSplit]) -> None:
    for split, part in splits.items():
        expected = [[label == votes(split, row) for label in LABELS] for row in part.positions.tolist()]
        np.testing.assert_allclose(shares(part.logits), expected, atol=1e-6)


@pytest.mark.parametrize("answered", [("train", "test"), ("train", "validation", "test"), ("test",)])
def test_where_splits_number_their_rows_anew_an_answer_is_of_the_split_that_it_stands_in(anew, answered):
    splits = given(anew, {split: table(split) for split in answered})
    assert set(splits) == set(answered)
    require_right(splits)


@pytest.mark.parametrize("tables", [{"train": "train"}, {"train": "train", "dev": "validation"}])
def test_where_the_table_does_not_tell_the_split_of_such_an_id_it_is_refused_and_texts_are_the_way_out(anew, tables):
    rows = {name: table(split) for name, split in tables.items()}
    with pytest.raises(
        UserError,
        match=r"^raw: the id '0' is that of row 0 of train and of row 0 of .*; take text as the key \(columns\.text\), or",
    ):
        given(anew, rows, missing="skip")
    splits = given(anew, rows, "text")
    assert set(splits) == set(tables.values())
    require_right(splits)


def test_rows_of_the_table_alone_that_have_one_id_in_two_splits_are_not_added_up(tmp_path):
    """The data has some of the numbered rows, by chance none twice."""
    first = {"train": 0, "validation": 50, "test": 70}
    dataset = prepared(
        tmp_path / "tiny", {split: list(range(first[split], first[split] + count)) for split, count in SIZES.items()}
    )
    train = table("train")
    others = pa.table({"n": list(range(30)), "v": ["fish"] * 30, "text": ["x"] * 30})
    require_right({"train": given(dataset, {"train": train, "test": others})["train"]})


FLOATS = {
    "of the data": ([float(row) for row in range(20)], list(range(20))),
    "of the table": (list(range(20)), [float(row) for row in range(20)]),
    "of both": ([float(row) for row in range(20)], [float(row) for row in range(20)]),
}


def cut(ids: list[Any]) -> dict[str, list[Any]]:
    ends = np.cumsum([0, *SIZES.values()]).tolist()
    return {split: ids[start:stop] for split, start, stop in zip(SIZES, ends[:-1], ends[1:], strict=True)}


@pytest.mark.parametrize("case", FLOATS)
def test_whole_floats_are_the_integers_that_they_were(case, tmp_path):
    own, theirs = FLOATS[case]
    splits = given(prepared(tmp_path / "tiny", cut(own)), {"train": pa.table({"n": theirs, "v": ["cat"] * 20})})
    assert {split: len(part.positions) for split, part in splits.items()} == SIZES


@pytest.mark.parametrize(("form", "few"), [("{:03}", 20), ("{}.0", 20), ("{:02}", 20), ("{:02}", 10)])
def test_numbers_that_are_written_with_other_zeros_are_refused_until_they_are_written_alike(form, few, tmp_path):
    dataset = prepared(tmp_path / "tiny", cut([str(row) for row in range(20)]))
    theirs = [form.format(row) for row in range(few)]
    with pytest.raises(UserError, match=rf"; the data set has the id '0', the table '{theirs[0]}': write them alike$"):
        given(dataset, {"train": pa.table({"n": theirs, "v": ["cat"] * few})})
    alike = [str(int(float(name))) for name in theirs]
    assert given(dataset, {"train": pa.table({"n": alike, "v": ["cat"] * few})}, missing="skip")


@pytest.mark.parametrize(
    ("own", "theirs", "kind", "said"),
    [
        (("a b", "c"), ("c", "a b"), "text", "the text 'a b | c', the table 'c | a b'"),
        (("A  b",), ("a b ",), "text", "the text 'A  b', the table 'a b '"),
        (("cafe\u0301",), ("caf\xe9",), "text", "the text"),
        (("a", "B"), ("a", "b"), "tokens", "the tokens 'a B', the table 'a b'"),
        (("a", "b"), ("b", "a"), "tokens", ""),
        (("a",), ("b",), "text", ""),
        (("A",), ("a",), "id", ""),
    ],
)
def test_texts_that_the_table_writes_in_another_way_are_said(own, theirs, kind, said):
    hint = written_otherwise([own], [theirs], kind)
    assert hint.startswith(f"; the data set has {said}") if said else not hint
