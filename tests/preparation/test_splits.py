"""Splits are cut fairly and repeatably."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.rows import Answers, Rows
from distill.preparation.splits import at_random, by_context, cut_splits, limit_rows, require_labels

PLAN: dict[str, Any] = {"train": "train", "validation": None, "test": None}


def some_rows(labels: list[int], name: str = "") -> Rows:
    """Rows whose text says where they were."""
    return Rows([f"{name}{i}" for i in range(len(labels))], None, np.array(labels, np.int64), np.arange(len(labels)))


def test_the_sources_splits_are_taken_whole_and_may_have_other_names():
    tables = {name: some_rows([0, 1, 0], name) for name in ("train", "validation", "test", "unused")}
    cut = cut_splits(tables, PLAN, 1)
    assert {split: rows.texts for split, rows in cut.items()} == {split: tables[split].texts for split in PLAN}
    tables = {"big": some_rows([0, 1], "big"), "dev": some_rows([0], "dev"), "heldout": some_rows([1], "heldout")}
    cut = cut_splits(tables, {"train": "big", "validation": "dev", "test": "heldout"}, 1)
    assert [cut[split].texts[0] for split in PLAN] == ["big0", "dev0", "heldout0"]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_that_the_source_lacks_is_refused_with_those_it_has(split):
    with pytest.raises(UserError, match=rf"splits.{split}: the source has no 'tset'; it has train, test"):
        cut_splits({"train": some_rows([0, 1]), "test": some_rows([0])}, PLAN | {split: "tset"}, 1)


def test_a_split_of_the_source_plays_one_part():
    tables = {name: some_rows([0, 1] * 20, name) for name in ("validation", "test")}
    cut = cut_splits({"validation": tables["validation"]}, PLAN | {"train": "validation"}, 1)
    whole = [text for rows in cut.values() for text in rows.texts]
    assert sorted(whole) == sorted(tables["validation"].texts)
    cut = cut_splits(tables, PLAN | {"train": "test", "validation": "validation"}, 1)
    assert not set(cut["train"].texts) & set(cut["test"].texts)
    with pytest.raises(UserError, match=r"splits.test: 'validation' is splits.validation already; give another split"):
        cut_splits({**tables, "train": tables["test"]}, {"train": "train", "validation": "validation", "test": "validation"}, 1)


def test_fractions_are_of_all_training_rows_a_tenth_unless_given_and_leave_every_row_in_one_split():
    rows = some_rows([0] * 60 + [1] * 30 + [2] * 10)
    assert {split: len(part) for split, part in cut_splits({"train": rows}, PLAN, 1).items()} == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }
    cut = cut_splits({"train": rows}, PLAN | {"validation": 0.1, "test": 0.3}, 1)
    assert {split: len(part) for split, part in cut.items()} == {"train": 60, "validation": 10, "test": 30}
    assert sorted(text for part in cut.values() for text in part.texts) == sorted(rows.texts)
    for part in cut.values():
        assert part.texts == [str(number) for number in sorted(part.numbers)]
        assert [int(rows.labels[int(text)]) for text in part.texts] == part.labels.tolist()


def test_every_split_has_each_labels_share():
    rows = some_rows([0] * 600 + [1] * 300 + [2] * 100)
    for part in cut_splits({"train": rows}, PLAN | {"validation": 0.1, "test": 0.2}, 3).values():
        shares = np.bincount(part.labels) / len(part)
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=1 / len(part))


def test_transfer_rows_stay_in_the_training_split():
    labels = [0, 1] * 50 + [UNLABELLED] * 40
    cut = cut_splits({"train": some_rows(labels)}, PLAN, 1)
    assert [(len(cut[split]), int((cut[split].labels == UNLABELLED).sum())) for split in PLAN] == [(120, 40), (10, 0), (10, 0)]


def test_a_split_that_is_scored_may_not_have_rows_without_a_label():
    rows = some_rows([0, UNLABELLED, 1, UNLABELLED]).take(np.array([2, 3, 1]))
    with pytest.raises(UserError, match=r"raw/x: test: row 3: has no label \(2 rows have none\), and this split is scored"):
        require_labels(rows, "raw/x: test")
    with pytest.raises(UserError, match=r"here: row 0: has no label \(10 rows have none\)"):
        require_labels(scored(100), "here")
    require_labels(some_rows([0, 1]), "raw/x: test")


@pytest.mark.parametrize("most", [3, 10, 50, 97, 99])
def test_a_limit_keeps_the_order_and_each_labels_share(most):
    labels = [0, 0, 1, 0, 0, 1, UNLABELLED, 0, 0, 1] * 10
    kept = limit_rows(some_rows(labels), most, 1)
    assert len(kept) == most
    assert kept.numbers.tolist() == sorted(set(kept.numbers.tolist()))
    assert [labels[number] for number in kept.numbers] == kept.labels.tolist()
    counts = Counter(kept.labels.tolist())
    for label, share in ((0, 0.6), (1, 0.3), (UNLABELLED, 0.1)):
        assert counts[label] >= 1
        assert abs(counts[label] - share * most) <= 2


def scored(count: int) -> Rows:
    labels = np.linspace(0, 1, count, dtype=np.float32)
    labels[::10] = np.nan
    return Rows([str(i) for i in range(count)], None, labels, np.arange(count))


def test_rows_without_classes_are_cut_at_random_and_transfer_rows_stay():
    cut = cut_splits({"train": scored(100)}, PLAN, 1, at_random)
    assert {split: len(part) for split, part in cut.items()} == {"train": 82, "validation": 9, "test": 9}
    assert sorted(int(number) for part in cut.values() for number in part.numbers) == list(range(100))
    assert all(part.labelled.all() for part in (cut["validation"], cut["test"]))


def questions(contexts: list[str]) -> Rows:
    labels = np.full(len(contexts), Answers((), ()), object)
    return Rows([f"q{i}" for i in range(len(contexts))], contexts, labels, np.arange(len(contexts)))


def test_questions_on_a_context_are_in_one_split():
    cut = cut_splits({"train": questions([f"c{i % 20}" for i in range(200)])}, PLAN, 1, by_context)
    contexts = {split: set(part.texts_pair or []) for split, part in cut.items()}
    assert {split: len(part) for split, part in contexts.items()} == {"train": 16, "validation": 2, "test": 2}
    assert len(set().union(*contexts.values())) == 20
    assert sum(len(part) for part in cut.values()) == 200


@pytest.mark.parametrize(
    ("rows", "plan", "cut_rows", "complaint"),
    [
        (some_rows([0] * 50 + [1]), {}, None, "the class of row 50 has one example, which cannot be in two splits"),
        (some_rows([0, 1] * 10), {"validation": 0.05}, None, "1 of 20 rows cannot hold each of 2 classes; change the fraction"),
        (some_rows([UNLABELLED] * 9), {}, None, "no row has a label to cut by"),
        (questions(["c"] * 9), {}, by_context, "all questions are on one context, which cannot be in two splits"),
    ],
)
def test_rows_that_cannot_be_cut_are_refused(rows, plan, cut_rows, complaint):
    with pytest.raises(UserError, match=f"splits.validation: {complaint}"):
        cut_splits({"train": rows}, PLAN | plan, 1, cut_rows)
    with pytest.raises(UserError, match="splits.test: has no rows"):
        cut_splits({"train": some_rows([0, 1] * 20), "test": some_rows([])}, PLAN, 1)


def test_the_seed_alone_decides_what_is_cut_and_what_a_limit_keeps():
    rows, numbers = some_rows([0, 1] * 100), scored(100)
    cut = [cut_splits({"train": rows}, PLAN, seed)["test"].texts for seed in (1, 1, 2)]
    drawn = [cut_splits({"train": numbers}, PLAN, seed, at_random)["test"].texts for seed in (1, 1, 2)]
    kept = [limit_rows(rows, 20, seed).texts for seed in (1, 1, 2)]
    for first, again, other in (cut, drawn, kept):
        assert first == again != other


def test_a_limit_keeps_the_share_of_scored_rows_takes_a_class_with_one_example_and_nothing_away_if_not_reached():
    kept = limit_rows(scored(100), 20, 1)
    assert (len(kept), int(kept.labelled.sum())) == (20, 18)
    assert len(limit_rows(some_rows([0] * 9 + [1]), 5, 1)) == 5
    rows = some_rows([0, 1] * 4)
    assert all(limit_rows(rows, most, 1) is rows for most in (None, 8, 9))
