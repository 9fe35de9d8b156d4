import numpy as np
import pytest

from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of

NAMES = ("cat", "dog")


def logits_of(*second: float) -> np.ndarray:
    """Of two classes, by the probability of the second."""
    return np.log(np.stack([1 - np.array(second), np.array(second)], axis=1)).astype(np.float32)


TAGGED = split_of([3, 2], [-100, 1, 0, -100, 1], NAMES)
MASKED = np.array([[np.log(0.1), 5, np.log(0.6)], [np.log(0.7), 7, np.log(0.7)]], np.float32)


@pytest.mark.parametrize(
    ("task", "kept", "split", "predicted", "right", "confidence"),
    [
        ("sequence-classification", logits_of(0.9, 0.2), split_of([1, 1], [1, 1], NAMES), [1, 0], [True, False], [0.9, 0.8]),
        ("token-classification", logits_of(0.9, 0.6, 0.7, 0.9, 0.1), TAGGED, [1, 1, 0], [True, False, False], [0.6, 0.7, 0.9]),
        ("masked-lm", MASKED, split_of([3], [-100, 4, 7]), [5, 7], [False, True], [0.6, 0.7]),
    ],
)
def test_a_line_has_a_label_a_prediction_and_its_probability(task, kept, split, predicted, right, confidence):
    lines = task_of(task).lines(kept, split)
    assert (lines.predicted.tolist(), lines.right.tolist()) == (predicted, right)
    np.testing.assert_allclose(lines.confidence, confidence, rtol=1e-5)
    labels = split.rows.labels
    assert lines.labels.tolist() == labels[labels != -100].tolist()
    assert split.labelled_tokens.tolist() == np.flatnonzero(labels != -100).tolist()


def test_numbers_are_neither_right_nor_sure():
    lines = task_of("regression").lines(np.array([[0.5], [0.1]], np.float32), split_of([1, 1], np.array([0.5, 0.2], np.float32)))
    assert (lines.confidence, lines.right.any()) == (None, False)


@pytest.mark.parametrize(
    ("starts", "ends", "text", "confidence"),
    [([0.1, 0.8, 0.1], [0.2, 0.6, 0.2], "bb", 0.8 * 0.6), ([0.9, 0.05, 0.05], [0.9, 0.05, 0.05], "", 0.9 * 0.9)],
)
def test_an_answers_confidence_is_that_of_its_start_and_end(starts, ends, text, confidence):
    # One window: the first token stands for no answer, the second and third are the words "bb" and "cc".
    more = {"examples": np.array([0]), "spans": np.array([[-1, -1], [0, 2], [3, 5]], np.int32)}
    split = split_of([3], [[1, 1]], unanswerable=True, questions=[("bb cc", ["bb"])], **more)
    lines = task_of("question-answering").lines(np.log(np.stack([starts, ends], axis=1)).astype(np.float32), split)
    assert (lines.predicted.tolist(), lines.labels.tolist(), lines.right.tolist()) == ([text], ["bb"], [text == "bb"])
    np.testing.assert_allclose(lines.confidence, [confidence], rtol=1e-5)
