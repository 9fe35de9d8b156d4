"""Rows that stand in two splits are found, exactly and nearly, as comparing every row with every other would."""

import random
from typing import Any

import pytest

from distill.core import progress
from distill.core.console import QUIET
from distill.data.columns import Column
from distill.preparation.duplicates import across_splits, shingles
from distill.preparation.keys import keys_of
from distill.preparation.normalization import normalized

WORDS = [f"word{i * i}" for i in range(30)]


def across(texts: dict[str, list[str]], threshold: float, examples: int = 5) -> dict[str, Any]:
    clean = {split: list(map(normalized, rows)) for split, rows in texts.items()}
    columns = {split: Column.of(rows) for split, rows in clean.items()}
    return across_splits(columns, {split: keys_of(rows, len(rows)) for split, rows in clean.items()}, threshold, examples)


def jaccard(first: str, second: str) -> float:
    a, b = (shingles(normalized(text)) for text in (first, second))
    return len(a & b) / len(a | b)


def test_how_far_the_search_is_is_told(monkeypatch, capsys):
    monkeypatch.delenv(QUIET, raising=False)
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 1e-9)
    across({"train": ["one", "two"], "test": ["three"]}, 0.8)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["look for near-duplicates: 1 of 3 rows", "look for near-duplicates: 3 of 3 rows"]


def test_case_punctuation_and_spacing_do_not_hide_a_duplicate():
    found = across({"train": ["other", "Hello,  World!"], "test": ["hello world", "world, hello"]}, 0.8)
    assert found == {"train-test": {"exact": 1, "near": 0, "examples": [{"train": 1, "test": 0}]}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("😀", "😡"),
        ("...", "!!!"),
        ("good 😀", "good 😡"),
        ("की", "का"),
        ("C++", "C"),
    ],
)
def test_texts_that_differ_in_more_than_punctuation_are_no_duplicates(first, second):
    assert across({"train": [first], "test": [second]}, 0.8)["train-test"]["exact"] == 0


@pytest.mark.parametrize(
    ("first", "second"), [("caf\u00e9", "CAFE\u0301"), ("a\u00adb", "ab"), ("ＡＢＣ", "abc"), ("😀 !", "😀"), ("? !", "?!")]
)
def test_texts_that_read_the_same_are_duplicates(first, second):
    assert across({"train": [first], "test": [second]}, 0.8)["train-test"]["exact"] == 1


LONG = "the quick brown fox jumps over the lazy dog and runs far away"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LONG, f"{LONG} home"),
        ("我住在北京市朝阳区的一个很小的房子里已经二十年了", "我住在北京市朝阳区的一个很小的房子里已经二十年"),
        (LONG, LONG[:-4]),
    ],
)
def test_near_duplicates_are_found_from_the_threshold_on_in_any_script(first, second):
    similarity = jaccard(first, second)
    assert 0.7 < similarity < 1
    for threshold, near in ((similarity - 0.1, 1), (similarity, 1), (similarity + 0.001, 0), (1.0, 0)):
        assert across({"train": [first], "test": [second]}, threshold)["train-test"]["near"] == near


def test_every_pair_of_splits_is_compared_and_none_with_itself():
    found = across({"train": ["a a", "a a"], "validation": ["b b", "b b"], "test": ["a a", "b b", "c c"]}, 0.8)
    exact = {pair: counts["exact"] for pair, counts in found.items()}
    assert exact == {"train-validation": 0, "train-test": 1, "validation-test": 1}


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_random_texts_give_nearly_what_comparing_all_gives_and_nothing_else(threshold):
    rng = random.Random(5)
    first, second = ([" ".join(rng.choices(WORDS, k=rng.randint(2, 14))) for _ in range(count)] for count in (60, 20))
    for text in rng.sample(first, 25):
        words = text.upper().split()
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        second.append("; ".join(words))
    found = across({"train": first, "test": second}, threshold, examples=10_000)["train-test"]
    exact = {row for row, text in enumerate(second) if normalized(text) in set(map(normalized, first))}
    near = {row for row, text in enumerate(second) if max(jaccard(other, text) for other in first) >= threshold} - exact
    told = {pair["test"] for pair in found["examples"]}
    assert (found["exact"], found["near"]) == (len(exact), len(told) - len(exact))
    assert exact <= told <= exact | near
    assert len(told & near) >= 0.9 * len(near) > 4
    assert found == across({"train": first, "test": second}, threshold, examples=10_000)["train-test"]
