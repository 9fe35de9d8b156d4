"""Rows that stand in two splits are found, exactly and nearly, as comparing every row with every other would."""

import random
from collections.abc import Sequence

import pytest

from distill import duplicates
from distill.duplicates import across_splits, normalized


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = normalized(text).split()
    return set(zip(words, words[1:], words[2:], strict=False))


def jaccard(first: str, second: str) -> float:
    a, b = trigrams(first), trigrams(second)
    return len(a & b) / len(a | b) if a | b else 0.0


def by_brute_force(first: Sequence[str], second: Sequence[str], threshold: float) -> tuple[set[int], set[int]]:
    """The rows of the second that stand in the first, exactly and nearly."""
    known = {normalized(text) for text in first}
    exact = {row for row, text in enumerate(second) if normalized(text) in known}
    near = {row for row, text in enumerate(second) if any(jaccard(other, text) >= threshold for other in first)}
    return exact, near - exact


def test_case_punctuation_and_spacing_do_not_hide_a_duplicate():
    found = across_splits({"train": ["other", "Hello,  World!"], "test": ["hello world", "hello worlds"]}, 0.8)
    assert found == {"train-test": {"exact": 1, "near": 0, "examples": [{"train": 1, "test": 0}]}}


@pytest.mark.parametrize(("threshold", "near"), [(0.5, 1), (0.6, 1), (0.61, 0), (1.0, 0)])
def test_a_row_is_near_from_the_threshold_on(threshold: float, near: int):
    first, second = "a b c d e f", "a b c d e g"
    assert jaccard(first, second) == 3 / 5
    assert across_splits({"train": [first], "test": [second]}, threshold)["train-test"]["near"] == near


def test_texts_that_share_words_in_another_order_are_not_near():
    assert across_splits({"train": ["a b c d e"], "test": ["e d c b a"]}, 0.1)["train-test"]["near"] == 0


def test_texts_too_short_for_trigrams_are_found_only_if_equal():
    found = across_splits({"train": ["yes", "oh no"], "test": ["Yes!", "oh well"]}, 0.1)["train-test"]
    assert (found["exact"], found["near"]) == (1, 0)


def test_every_pair_of_splits_is_compared_and_none_with_itself():
    found = across_splits({"train": ["a a", "a a"], "validation": ["b b", "b b"], "test": ["a a", "b b", "c c"]}, 0.8)
    assert {pair: counts["exact"] for pair, counts in found.items()} == {
        "train-validation": 0,
        "train-test": 1,
        "validation-test": 1,
    }


def test_a_split_of_punctuation_alone_does_no_harm():
    assert across_splits({"train": ["..."], "test": ["some words here now"]}, 0.5)["train-test"]["exact"] == 0


@pytest.mark.parametrize("bound", [("BLOCK", 7), ("PAIRS", 200), ("PAIRS", 1)])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_random_texts_give_what_brute_force_gives(monkeypatch: pytest.MonkeyPatch, threshold: float, bound: tuple[str, int]):
    monkeypatch.setattr(duplicates, *bound)
    dice = random.Random(5)
    first = [" ".join(dice.choices("abcdef", k=dice.randint(2, 14))) for _ in range(60)]
    second = [" ".join(dice.choices("abcdef", k=dice.randint(2, 14))) for _ in range(20)]
    for text in dice.sample(first, 25):
        words = text.upper().split()
        words[dice.randrange(len(words))] = dice.choice("abcxyz")
        second.append("; ".join(words))
    found = across_splits({"train": first, "test": second}, threshold, examples=10_000)["train-test"]
    exact, near = by_brute_force(first, second, threshold)
    assert exact
    assert near
    assert (found["exact"], found["near"]) == (len(exact), len(near))
    assert {pair["test"] for pair in found["examples"]} == exact | near
    for pair in found["examples"]:
        left, right = first[pair["train"]], second[pair["test"]]
        assert normalized(left) == normalized(right) or jaccard(left, right) >= threshold
