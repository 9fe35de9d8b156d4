"""Texts that stand in a split again with another label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.preparation.contradictions import contradictions
from distill.preparation.keys import keys_of

CASES = {
    "classes": np.array([0, 1, 0, 1, UNLABELLED, 0]),
    "several labels": np.array([[0, 1], [1, 1], [0, 0], [0, 1], [UNLABELLED, UNLABELLED], [1, 0]], np.int8),
    "tags": np.array([[0, 0], [0, 1], [0], [1, 0], None, [0, 0]], object),
}
TEXTS = ["a b", "a b", "c", "d e", "a b", "d e"]


def rows(texts: Sequence[str], labels: Any) -> Rows:
    return Rows([*texts], None, labels, np.arange(len(texts)) + 10)


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
def test_both_rows_are_named_and_rows_without_a_label_contradict_nothing(labels: Any) -> None:
    found = contradictions(rows(TEXTS, labels), keys_of(TEXTS, len(TEXTS)))
    assert found == {"texts": 2, "examples": [[10, 11], [13, 15]]}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([UNLABELLED, 0, 1, 2])), max_size=30))
def test_as_many_texts_as_have_two_labels(drawn: list[tuple[str, int]]) -> None:
    texts = [text for text, _ in drawn]
    found = contradictions(rows(texts, np.array([label for _, label in drawn], np.int64)), keys_of(texts, len(texts)))
    labels = {text: {label for other, label in drawn if other == text} - {UNLABELLED} for text in texts}
    assert found["texts"] == len(found["examples"]) == sum(len(each) > 1 for each in labels.values())
    for first, second in found["examples"]:
        (text, label), (same, other) = drawn[first - 10], drawn[second - 10]
        assert text == same
        assert label != other
        assert UNLABELLED not in (label, other)


def test_tags_of_words_that_are_parted_otherwise_contradict_nothing() -> None:
    words = [["a", "b"], ["a b"], ["a", "b", "."], ["a", "b"]]
    tags = np.array([[0, 1], [0], [0, 1, 0], [1, 1]], object)
    found = contradictions(rows(words, tags), keys_of(["a b"] * 4, 4))
    assert found == {"texts": 1, "examples": [[10, 13]]}
