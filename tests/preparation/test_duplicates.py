"""Rows that stand in two splits are found, exactly and nearly, as comparing every row with every other would."""

import random
from collections.abc import Sequence

import pytest

from distill.preparation import duplicates
from distill.preparation.duplicates import across_splits, normalized


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
def test_a_row_is_near_from_the_threshold_on(threshold, near):
    first, second = "a b c d e f", "a b c d e g"
    assert jaccard(first, second) == 3 / 5
    assert across_splits({"train": [first], "test": [second]}, threshold)["train-test"]["near"] == near


@pytest.mark.parametrize(
    ("train", "test", "threshold", "counts"),
    [
        (["a b c d e"], ["e d c b a"], 0.1, (0, 0)),
        (["yes", "oh no"], ["Yes!", "oh well"], 0.1, (1, 0)),
        (["..."], ["some words here now"], 0.5, (0, 0)),
    ],
)
def test_order_short_texts_and_punctuation(train, test, threshold, counts):
    found = across_splits({"train": train, "test": test}, threshold)["train-test"]
    assert (found["exact"], found["near"]) == counts


def test_every_pair_of_splits_is_compared_and_none_with_itself():
    found = across_splits({"train": ["a a", "a a"], "validation": ["b b", "b b"], "test": ["a a", "b b", "c c"]}, 0.8)
    exact = {pair: counts["exact"] for pair, counts in found.items()}
    assert exact == {"train-validation": 0, "train-test": 1, "validation-test": 1}


@pytest.mark.parametrize("bound", [("BLOCK", 7), ("PAIRS", 200), ("PAIRS", 1)])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_random_texts_give_what_brute_force_gives(monkeypatch, threshold, bound):
    monkeypatch.setattr(duplicates, *bound)
    rng = random.Random(5)
    first = [" ".join(rng.choices("abcdef", k=rng.randint(2, 14))) for _ in range(60)]
    second = [" ".join(rng.choices("abcdef", k=rng.randint(2, 14))) for _ in range(20)]
    for text in rng.sample(first, 25):
        words = text.upper().split()
        words[rng.randrange(len(words))] = rng.choice("abcxyz")
        second.append("; ".join(words))
    found = across_splits({"train": first, "test": second}, threshold, examples=10_000)["train-test"]
    exact, near = by_brute_force(first, second, threshold)
    assert min(len(exact), len(near)) > 0
    assert (found["exact"], found["near"]) == (len(exact), len(near))
    assert {pair["test"] for pair in found["examples"]} == exact | near
    for pair in found["examples"]:
        left, right = first[pair["train"]], second[pair["test"]]
        assert normalized(left) == normalized(right) or jaccard(left, right) >= threshold
