"""Queries with their passages: groups stay whole, labels are shares, and what cannot be ranked is told by its row."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.data.rows import Rows
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny

TOKENIZER = tiny.masking_tokenizer()


def tables(**splits: list[tuple[Any, ...]]) -> dict[str, pa.Table]:
    """Rows of query, passage, label and group by split."""
    names = ("query", "passage", "label", "group")
    return {split: pa.Table.from_pylist([dict(zip(names, row, strict=False)) for row in rows]) for split, rows in splits.items()}


def made(raw: dict[str, pa.Table], **how: Any) -> dict[str, Rows]:
    return make_rows(raw, "data/raw/x", tiny.settings("ranking", **how))[0]


def ranked(queries: int, sizes: list[int]) -> list[tuple[str, str, int | None]]:
    """Queries in turn with so many passages, rows shuffled; of every fifth query no passage has a label."""
    rows = [
        (f"w{query % 40} w{query // 40}", f"w{place} w{query % 40}", None if query % 5 == 4 else int(place == 1))
        for query in range(queries)
        for place in range(sizes[query % len(sizes)])
    ]
    return [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]


@settings(max_examples=25, deadline=None)
@given(
    queries=st.integers(12, 60),
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    most=st.integers(12, 80),
    labelled=st.integers(8, 60),
)
def test_a_group_is_never_cut(queries: int, sizes: list[int], seed: int, most: int, labelled: int) -> None:
    """By splits, limits, and the number of labels."""
    raw = ranked(queries, sizes)
    whole = {query: sum(row[0] == query for row in raw) for query, *_ in raw}
    parts = made(tables(train=raw), seed=seed, limit={"train": most}, labelled=labelled, splits={"validation": 0.2, "test": 0.2})
    seen: set[str] = set()
    for split, part in parts.items():
        groups = defaultdict(list)
        for group, query, known in zip(part.groups.tolist(), part.texts, part.labelled.tolist(), strict=True):
            groups[group].append((query, known))
        for members in groups.values():
            assert len(set(members)) == 1
            assert len(members) == whole[members[0][0]]
            assert members[0][0] not in seen
            seen.add(members[0][0])
            assert members[0][1] or split == "train"
    assert len(parts["train"]) <= most
    assert parts["train"].labelled.sum() <= labelled
    if most >= len(raw):
        assert sum(map(len, parts.values())) == len(raw)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3), batch=st.integers(1, 5), seed=st.integers(0, 9))
def test_batches_hold_whole_groups_and_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], batch: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("ranked")
    entry = tiny.settings("ranking", splits={"validation": 0.2, "test": 0.2})
    write_dataset(folder, *make_rows(tables(train=ranked(20, sizes)), "x", entry), entry, TOKENIZER)
    rows = Dataset.open(folder).rows("train")
    collator = Collator(rows)
    sizes_of = np.unique(rows.groups, return_counts=True)[1]
    order = np.random.default_rng(seed).permutation(len(collator)).tolist()
    taken = []
    for start in range(0, len(order), batch):
        made_of = collator(order[start : start + batch])
        counts = made_of["groups"].bincount().tolist()
        assert counts == sizes_of[order[start : start + batch]].tolist()
        assert len(made_of["labels"]) == len(made_of["input_ids"]) == sum(counts)
        taken += made_of["labels"].tolist()
    np.testing.assert_array_equal(np.sort(taken), np.sort(rows.labels))
    assert collator.lengths.sum() == len(rows.tokens)


GOOD = [("w1", "w2", 1), ("w1", "w3", 0), ("w4", "w5", 0), ("w4", "w6", 2)]


def test_labels_are_shares_of_the_highest_of_all_splits_and_groups_are_told_apart_by_their_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    graded = [("w1", "w2", "3", "a"), ("w1", "w3", "0", "a"), ("w1", "w4", "1", "b"), ("w1", "w5", "0", "b")]
    parts = made(tables(train=graded, validation=GOOD, test=GOOD))
    assert parts["train"].labels.tolist() == pytest.approx([1, 0, 1 / 3, 0])
    assert "data/raw/x: labels are learnt as shares of the highest of all, 3\n" in capsys.readouterr().err
    assert parts["train"].groups.tolist() == [0, 0, 0, 0]
    assert parts["test"].labels.tolist() == pytest.approx([1 / 3, 0, 0, 2 / 3])
    told = tables(train=graded, validation=[(*row, row[0]) for row in GOOD], test=[(*row, row[0]) for row in GOOD])
    assert made(told, columns={"group": "group"})["train"].groups.tolist() == [0, 0, 1, 1]


BAD = {
    "one passage": ([("w7", "w8", 1)], "row 4: the query 'w7' has one passage, and nothing to rank it among", {4}),
    "none relevant": ([("w7", "w8", 0), ("w7", "w9", 0)], "row 4: the query 'w7' has no passage with a label above 0", {4, 5}),
    "in part": ([("w7", "w8", 1), ("w7", "w9", None)], "row 4: the query 'w7' has passages with and without a label", {4, 5}),
    "negative": (
        [("w7", "w8", 1), ("w7", "w9", 0), ("w7", "w3", -1)],
        "row 6: label -1, expected 0 (not relevant) or a higher finite number",
        {6},
    ),
    "a word": ([("w7", "w8", "yes"), ("w7", "w9", "0")], "row 4: label 'yes', expected 0 (not relevant)", {4, 5}),
    "empty": ([("w7", "w8", 1), ("w7", "w9", 0), ("w7", " ", 0)], "row 6: column 'passage' is empty", {6}),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_ranked_is_refused_by_its_row_or_dropped_and_listed(case: str) -> None:
    rows, complaint, gone = BAD[case]
    good = [(query, passage, str(label) if case == "a word" else label) for query, passage, label in GOOD]
    raw = tables(train=[*good, *rows], validation=good, test=good)
    with pytest.raises(UserError) as error:
        made(raw)
    assert f"data/raw/x: train: {complaint}" in str(error.value)
    assert "bad_rows: drop" in str(error.value)
    dropped: list[dict[str, Any]] = []
    parts, _ = make_rows(raw, "data/raw/x", tiny.settings("ranking", bad_rows="drop"), dropped=dropped)
    assert {row["row"] for row in dropped} == gone
    assert set(parts["train"].numbers.tolist()) == {*range(4 + len(rows))} - gone


def test_a_group_has_one_query_and_every_row_a_group() -> None:
    rows = [("w1", "w2", 1, "a"), ("w3", "w4", 0, "a")]
    for bad, complaint in (
        (rows, "its query is 'w3', that of row 0 'w1'; a group has one query"),
        ([rows[0], (*rows[1][:3], None)], "column 'group' has no value"),
    ):
        with pytest.raises(UserError, match=complaint):
            made(tables(train=bad, validation=bad, test=bad), columns={"group": "group"})


def test_a_limit_below_the_smallest_group_is_refused() -> None:
    with pytest.raises(UserError, match="limit, labelled: 1 rows hold no whole group, the smallest has 2 passages; raise it"):
        made(tables(train=GOOD, validation=GOOD, test=GOOD), limit={"train": 1})


def test_queries_that_stand_in_scored_splits_are_taken_out_whole(capsys: pytest.CaptureFixture[str]) -> None:
    other = [("w9", "w5", 0), ("w9", "w6", 2)]
    parts = made(tables(train=[*GOOD, *other], validation=GOOD[:2], test=GOOD[2:]), deduplicate=True)
    assert parts["train"].texts == ["w9", "w9"]
    assert "4 rows that stand in validation or test" in capsys.readouterr().err


def test_a_source_without_labels_adds_groups_of_its_own(tmp_path: Path) -> None:
    raw = tables(train=GOOD, validation=GOOD, test=GOOD)
    more = tables(train=[("w1", "w9", 1), ("w1", "w8", 0)])["train"]
    parts, _ = make_rows(raw, "x", tiny.settings("ranking"), {"data/raw/more": more})
    assert parts["train"].groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.isnan(parts["train"].labels[4:]).all()
    entry = tiny.settings("ranking")
    told = write_dataset(tmp_path, parts, ("relevance",), entry, TOKENIZER)
    assert (told["splits"]["train"]["counts"], told["splits"]["train"]["transfer_rows"]) == ({"queries": 3}, 2)
    assert Dataset.open(tmp_path).rows("train").groups.tolist() == [0, 0, 1, 1, 2, 2]


RANKED = [(query, f"w{place}", place) for query in ("w1", "w2") for place in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (RANKED, True),
        ([*RANKED, ("w3", "w4", None), ("w3", "w5", None)], True),
        ([*RANKED, ("w3", "w4", 3), ("w3", "w5", 1)], False),
        ([*RANKED, ("w3", "w4", 0), ("w3", "w5", 1)], False),
    ],
)
def test_labels_that_are_ranks_are_said(rows: list[Any], said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    made(tables(train=rows, validation=GOOD, test=GOOD))
    assert ("as ranks are; the highest is read as the most relevant" in capsys.readouterr().err) == said


def test_passages_may_be_marked_by_true_and_false() -> None:
    marked = [(*row[:2], bool(row[2])) for row in GOOD]
    assert made(tables(train=marked, validation=GOOD, test=GOOD))["train"].labels.tolist() == [0.5, 0, 0, 0.5]


def test_a_list_of_passages_is_refused_with_what_to_write() -> None:
    lists = pa.Table.from_pylist([{"query": "w1", "passage": ["w2", "w3"], "label": 1}])
    with pytest.raises(UserError, match="row 0: column 'passage' holds .*, expected text; write a row for each of its texts"):
        made({"train": lists})


def test_classes_of_passages_are_said_to_be_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """The best may be the first of them."""
    named = json.dumps({"info": {"features": {"label": {"names": ["relevant", "other"]}}}})
    raw = {split: table.replace_schema_metadata({"huggingface": named}) for split, table in tables(train=GOOD, test=GOOD).items()}
    made(raw, splits={"validation": "test"})
    assert capsys.readouterr().err.count("whose numbers are read as scores: relevant is 0, other is 1") == 1


def test_a_list_is_no_group():
    raw = pa.table({"query": ["a", "a"], "passage": ["b", "c"], "label": [0, 1], "group": [[1], [1]]})
    with pytest.raises(UserError, match=r"row 0: column 'group' holds \[1\], expected text or a number"):
        made({"train": raw}, columns={"group": "group"})
