import numpy as np
import pytest

from distill.detail.lines import places, said
from tests.gold import gold_of

NAMES = ("cat", "dog")


def logits_of(*second: float) -> np.ndarray:
    """Of two classes, by the probability of the second."""
    return np.log(np.stack([1 - np.array(second), np.array(second)], axis=1)).astype(np.float32)


def test_a_row_has_a_class_and_its_probability():
    lines = said("sequence-classification", logits_of(0.9, 0.2), gold_of([1, 1], [1, 1], NAMES))
    assert (lines.own.tolist(), lines.right.tolist()) == ([1, 0], [True, False])
    np.testing.assert_allclose(lines.confidence, [0.9, 0.8], rtol=1e-5)


def test_labelled_tokens_alone_are_tags():
    gold = gold_of([3, 2], [-100, 1, 0, -100, 1], NAMES)
    lines = said("token-classification", logits_of(0.9, 0.6, 0.7, 0.9, 0.1), gold)
    assert places(gold).tolist() == [1, 2, 4]
    assert (lines.own.tolist(), lines.labels.tolist(), lines.right.tolist()) == ([1, 1, 0], [1, 0, 1], [True, False, False])
    np.testing.assert_allclose(lines.confidence, [0.6, 0.7, 0.9], rtol=1e-5)


def test_numbers_are_neither_right_nor_sure():
    lines = said("regression", np.array([[0.5], [0.1]], np.float32), gold_of([1, 1], np.array([0.5, 0.2], np.float32)))
    assert (lines.confidence, lines.right.any()) == (None, False)


def test_a_masked_tokens_confidence_is_that_of_the_likeliest():
    kept = np.array([[np.log(0.1), 5, np.log(0.6)], [np.log(0.7), 7, np.log(0.7)]], np.float32)
    lines = said("masked-lm", kept, gold_of([3], [-100, 4, 7]))
    assert (lines.own.tolist(), lines.right.tolist()) == ([5, 7], [False, True])
    np.testing.assert_allclose(lines.confidence, [0.6, 0.7], rtol=1e-5)


@pytest.mark.parametrize(("nothing", "text", "confidence"), [(0.1, "bb", 0.8 * 0.6), (0.9, "", 0.9 * 0.9)])
def test_an_answers_confidence_is_that_of_its_start_and_end(nothing, text, confidence):
    # One window: the first token stands for no answer, the second and third are the words "bb" and "cc".
    starts = [nothing, 0.8, 0.1] if not text else [0.1, 0.8, 0.1]
    ends = [nothing, 0.05, 0.05] if not text else [0.2, 0.6, 0.2]
    starts, ends = (np.array(each) if text else np.array([0.9, 0.05, 0.05]) for each in (starts, ends))
    gold = gold_of(
        [3],
        [[1, 1]],
        unanswerable=True,
        questions=[("bb cc", ["bb"])],
        examples=np.array([0]),
        spans=np.array([[-1, -1], [0, 2], [3, 5]], np.int32),
    )
    lines = said("question-answering", np.log(np.stack([starts, ends], axis=1)).astype(np.float32), gold)
    assert (lines.own.tolist(), lines.labels.tolist(), lines.right.tolist()) == ([text], ["bb"], [text == "bb"])
    np.testing.assert_allclose(lines.confidence, [confidence], rtol=1e-5)
