"""Splits are cut fairly and repeatably."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.rows import Answers, Rows
from distill.preparation.by_task import PREPARERS
from distill.preparation.normalization import normalized
from distill.preparation.splits import cut_splits, limit_labels, limit_rows, require_labels, wanted_splits
from tests import tiny

CLASSES = "sequence-classification"
PLAN: dict[str, Any] = {"train": "train", "validation": None, "test": None}


def some_rows(labels: list[int], name: str = "") -> Rows:
    """Rows whose text says where they were."""
    return Rows([f"{name}{i}" for i in range(len(labels))], None, np.array(labels, np.int64), np.arange(len(labels)))


def cut_with(tables: dict[str, Rows], plan: dict[str, Any], seed: int, task: str = "sequence-classification") -> dict[str, Rows]:
    return cut_splits(tables, plan, seed, PREPARERS[task].grouped)[0]


def test_the_sources_splits_are_taken_whole_and_may_have_other_names():
    tables = {name: some_rows([0, 1, 0], name) for name in ("train", "validation", "test", "unused")}
    cut = cut_with(tables, PLAN, 1)
    assert {split: rows.texts for split, rows in cut.items()} == {split: tables[split].texts for split in PLAN}
    tables = {"big": some_rows([0, 1], "big"), "dev": some_rows([0], "dev"), "heldout": some_rows([1], "heldout")}
    cut = cut_with(tables, {"train": "big", "validation": "dev", "test": "heldout"}, 1)
    assert [cut[split].texts[0] for split in PLAN] == ["big0", "dev0", "heldout0"]


@pytest.mark.parametrize(
    ("names", "given", "meant"),
    [
        (("Validation", "testing"), {}, "{validation: Validation, test: testing}"),
        (("Dev", "Test"), {}, "{validation: Dev, test: Test}"),
        (("eval", "dev"), {}, "{validation: dev, test: eval}"),
        (("eval",), {}, "{validation: eval}"),
        (("eval", "validation"), {}, "{test: eval}"),
        (("eval", "validation", "test"), {}, ""),
        (("Test", "Val"), {"validation": "Val"}, "{test: Test}"),
        (("validation",), {"validation": 0.2}, ""),
        (("pool",), {}, ""),
    ],
)
def test_what_is_called_as_validation_and_test_rows_often_are_is_said_and_the_advice_works(names, given, meant, capsys):
    tables = dict.fromkeys(("train", *names), 0)
    wanted_splits(tables, tiny.settings(CLASSES, splits=given), "x")
    said = capsys.readouterr().err
    assert re.findall("`splits: (.*)` makes", said) == ([meant] if meant else [])
    assert said.startswith("x: no split has the rows of ")
    if meant:
        advised = dict(entry.split(": ") for entry in meant[1:-1].split(", "))
        wanted_splits(tables, tiny.settings(CLASSES, splits={**given, **advised}), "x")
        assert "splits: " not in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_that_the_source_lacks_is_refused_with_those_it_has(split):
    with pytest.raises(UserError, match=rf"splits.{split}: the source has no 'tset'; it has train, test"):
        cut_with({"train": some_rows([0, 1]), "test": some_rows([0])}, PLAN | {split: "tset"}, 1)


def test_a_split_of_the_source_plays_one_part():
    tables = {name: some_rows([0, 1] * 20, name) for name in ("validation", "test")}
    cut = cut_with({"validation": tables["validation"]}, PLAN | {"train": "validation"}, 1)
    whole = [text for rows in cut.values() for text in rows.texts]
    assert sorted(whole) == sorted(tables["validation"].texts)
    cut = cut_with(tables, PLAN | {"train": "test", "validation": "validation"}, 1)
    assert not set(cut["train"].texts) & set(cut["test"].texts)
    with pytest.raises(UserError, match=r"splits.test: 'validation' is splits.validation already; give another split"):
        cut_with({**tables, "train": tables["test"]}, {"train": "train", "validation": "validation", "test": "validation"}, 1)


def test_fractions_are_of_all_training_rows_a_tenth_unless_given_and_leave_every_row_in_one_split():
    rows = some_rows([0] * 60 + [1] * 30 + [2] * 10)
    assert {split: len(part) for split, part in cut_with({"train": rows}, PLAN, 1).items()} == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }
    cut = cut_with({"train": rows}, PLAN | {"validation": 0.1, "test": 0.3}, 1)
    assert {split: len(part) for split, part in cut.items()} == {"train": 60, "validation": 10, "test": 30}
    assert sorted(text for part in cut.values() for text in part.texts) == sorted(rows.texts)
    for part in cut.values():
        assert part.texts == [str(number) for number in sorted(part.numbers)]
        assert [int(rows.labels[int(text)]) for text in part.texts] == part.labels.tolist()


def test_every_split_has_each_labels_share():
    rows = some_rows([0] * 600 + [1] * 300 + [2] * 100)
    for part in cut_with({"train": rows}, PLAN | {"validation": 0.1, "test": 0.2}, 3).values():
        shares = np.bincount(part.labels) / len(part)
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=1 / len(part))


def test_transfer_rows_stay_in_the_training_split():
    labels = [0, 1] * 50 + [UNLABELLED] * 40
    cut = cut_with({"train": some_rows(labels)}, PLAN, 1)
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
    cut = cut_with({"train": scored(100)}, PLAN, 1, "regression")
    assert {split: len(part) for split, part in cut.items()} == {"train": 82, "validation": 9, "test": 9}
    assert sorted(int(number) for part in cut.values() for number in part.numbers) == list(range(100))
    assert all(part.labelled.all() for part in (cut["validation"], cut["test"]))


def questions(contexts: list[str]) -> Rows:
    labels = np.full(len(contexts), Answers((), ()), object)
    return Rows([f"q{i}" for i in range(len(contexts))], contexts, labels, np.arange(len(contexts)))


@pytest.mark.parametrize("written", [str, str.upper, " {}".format, "{}.".format])
def test_questions_on_a_context_are_in_one_split_however_it_is_written(written):
    contexts = [f"c{i % 20}" if i % 3 else written(f"c{i % 20}") for i in range(200)]
    cut = cut_with({"train": questions(contexts)}, PLAN, 1, "question-answering")
    contexts = {split: set(map(normalized, part.texts_pair or [])) for split, part in cut.items()}
    assert {split: len(part) for split, part in contexts.items()} == {"train": 16, "validation": 2, "test": 2}
    assert len(set().union(*contexts.values())) == 20
    assert sum(len(part) for part in cut.values()) == 200
    asked_again = PREPARERS["question-answering"].compared(replace(questions(["c", written("c")]), texts=["q", "q"]))
    assert len(set(map(normalized, asked_again))) == 1


@pytest.mark.parametrize(("rows", "classes"), [(12, 2), (60, 20), (308, 77), (9, 3)])
def test_a_split_that_nobody_asked_for_holds_each_class_however_few_the_rows(rows, classes, capsys):
    cut = cut_with({"train": some_rows([number % classes for number in range(rows)])}, PLAN, 1)
    for part in cut.values():
        assert set(part.labels.tolist()) == set(range(classes))
    assert len(cut["validation"]) == len(cut["test"]) == classes
    assert f"splits.test: {classes} of {rows} rows are cut, not {round(rows / 10)}" in capsys.readouterr().err


@given(rows=st.integers(6, 60), classes=st.integers(2, 6))
def test_the_advice_of_a_fraction_that_is_too_small_leads_out(rows, classes):
    def attempt(fraction):
        labels = [number % classes for number in range(rows)]
        return cut_with({"train": some_rows(labels)}, PLAN | {"validation": fraction}, 1)

    if rows < 3 * classes:
        return
    try:
        attempt(0.01)
    except UserError as error:
        cut = attempt(float(re.search(r"write ([0-9.]+) or more", str(error))[1]))
        assert set(cut["validation"].labels.tolist()) == set(range(classes))


@pytest.mark.parametrize(
    ("rows", "plan", "task", "complaint"),
    [
        (some_rows([0, 1] * 10), {"validation": 0.05}, CLASSES, "1 of 20 rows cannot hold each of 2 classes; write 0.1 or more"),
        (some_rows([UNLABELLED] * 9), {}, CLASSES, "no row has a label to cut by"),
        (some_rows([0, 1, 1]), {}, CLASSES, "at most 2 different texts (or contexts) of a class, which cannot be in 3 splits"),
        (questions(["c"] * 9), {}, "question-answering", "at most 1 different texts (or contexts)"),
    ],
)
def test_rows_that_cannot_be_cut_are_refused(rows, plan, task, complaint):
    with pytest.raises(UserError, match=f"splits.validation: .*{re.escape(complaint)}"):
        cut_with({"train": rows}, PLAN | plan, 1, task)
    with pytest.raises(UserError, match="splits: 0.5 and 0.5 of the training rows leave none to train on"):
        cut_with({"train": some_rows([0, 1] * 20)}, PLAN | {"validation": 0.5, "test": 0.5}, 1)
    with pytest.raises(UserError, match="splits.test: has no rows"):
        cut_with({"train": some_rows([0, 1] * 20), "test": some_rows([])}, PLAN, 1)


@pytest.mark.parametrize(
    ("counts", "fractions", "rare"),
    [((10, 10, 2), (0.1, 0.1), [2]), ((50, 1), (0.1, 0.1), [1]), ((10, 10, 3), (0.15, 0.15), []), ((20, 2), (0.1, "dev"), [])],
)
def test_a_class_with_fewer_rows_than_there_are_splits_stays_in_training(counts, fractions, rare):
    rows = some_rows([label for label, count in enumerate(counts) for _ in range(count)])
    plan = PLAN | dict(zip(("validation", "test"), fractions, strict=True))
    cut, told = cut_splits({"train": rows, "dev": some_rows([0, 1])}, plan, 1, PREPARERS[CLASSES].grouped)
    assert told.tolist() == rare
    for label, count in enumerate(counts):
        held = [int((part.labels == label).sum()) for part in cut.values()]
        assert held == [count, 0, 0] if label in rare else min(held) >= 1


@pytest.mark.parametrize("task", [CLASSES, "regression", "token-classification", "masked-lm"])
def test_rows_that_are_the_same_but_for_case_and_punctuation_go_to_one_split_and_shares_stay(task):
    texts = [f"text {i % 150}" if i < 300 else f"Single, {i}!" for i in range(600)] + ["again"] * 100
    labels = np.array([i % 3 if i < 600 else 0 for i in range(700)], np.int64)
    rows = Rows([text.upper() if i % 7 == 0 else f"{text}." for i, text in enumerate(texts)], None, labels, np.arange(700))
    if task == "token-classification":
        rows = replace(rows, texts=[text.split() for text in rows.texts], labels=np.fromiter([[0]] * 700, object, 700))
    if task == "regression":
        rows = replace(rows, labels=labels.astype(np.float32))
    cut = cut_with({"train": rows}, PLAN | {"validation": 0.2, "test": 0.2}, 3, task)
    keys = {split: {*map(bytes, PREPARERS[task].grouped(part)[1])} for split, part in cut.items()}
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))
    assert sorted(number for part in cut.values() for number in part.numbers.tolist()) == list(range(700))
    for split in ("validation", "test"):
        assert abs(len(cut[split]) - 140) <= 6
        if task == CLASSES:
            np.testing.assert_allclose(np.bincount(cut[split].labels) / len(cut[split]), np.bincount(labels) / 700, atol=0.02)


def test_a_text_that_is_a_transfer_row_too_stays_in_training():
    labels = np.array([0, 1] * 20 + [UNLABELLED] * 8)
    texts = [f"t{i}" for i in range(40)] + [f"T{i}!" for i in range(8)]
    cut = cut_with({"train": Rows(texts, None, labels, np.arange(48))}, PLAN, 1)
    assert set(range(8)) <= set(cut["train"].numbers.tolist())


@pytest.mark.parametrize("most", [3, 30, 40, None])
def test_the_labels_of_a_seeded_sample_are_kept(most):
    labels = [0] * 20 + [1] * 10 + [UNLABELLED] * 10
    rows = limit_labels(some_rows(labels), most, 1)
    kept = rows.labels[rows.labelled]
    assert (len(rows), len(kept)) == (40, min(most or 30, 30))
    assert all(label in (given, UNLABELLED) for label, given in zip(rows.labels.tolist(), labels, strict=True))
    assert most != 3 or np.bincount(kept).tolist() == [2, 1]
    assert limit_labels(scored(100), 30, 1).labelled.sum() == 30


def test_the_seed_alone_decides_what_is_cut_and_what_a_limit_keeps():
    rows, numbers = some_rows([0, 1] * 100), scored(100)
    cut = [cut_with({"train": rows}, PLAN, seed)["test"].texts for seed in (1, 1, 2)]
    drawn = [cut_with({"train": numbers}, PLAN, seed, "regression")["test"].texts for seed in (1, 1, 2)]
    kept = [limit_rows(rows, 20, seed).texts for seed in (1, 1, 2)]
    for first, again, other in (cut, drawn, kept):
        assert first == again != other


def test_a_limit_keeps_the_share_of_scored_rows_takes_a_class_with_one_example_and_nothing_away_if_not_reached():
    kept = limit_rows(scored(100), 20, 1)
    assert (len(kept), int(kept.labelled.sum())) == (20, 18)
    assert len(limit_rows(some_rows([0] * 9 + [1]), 5, 1)) == 5
    rows = some_rows([0, 1] * 4)
    assert all(limit_rows(rows, most, 1) is rows for most in (None, 8, 9))
