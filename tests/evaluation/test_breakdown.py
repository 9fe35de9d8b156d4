import numpy as np
import pytest
from sklearn.metrics import f1_score

from distill.evaluation.breakdown import agreement, calibration, classes_of
from distill.evaluation.details import Agreement, ClassScore
from distill.tasks.base import Predictions
from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of

RNG = np.random.default_rng(0)
TAGS = ("O", "B-per", "I-per", "B-loc")
CLASSES, ENTITIES, ANSWERS = map(task_of, ("sequence-classification", "token-classification", "question-answering"))


def lines_of(labels, predicted, confidence=None) -> Predictions:
    labels, predicted = np.array(labels), np.array(predicted)
    return Predictions(labels, predicted, labels == predicted, None if confidence is None else np.array(confidence))


def test_classes_and_confusion_are_counts():
    split = split_of([1] * 5, [0, 0, 1, 1, 1], ("cat", "dog", "fish"))
    classes, confusion = classes_of(CLASSES, lines_of(split.rows.labels, [0, 1, 1, 1, 2]), split)
    assert confusion.counts == ((1, 1, 0), (0, 2, 1), (0, 0, 0))
    assert classes[0] == ClassScore("cat", 2, 1.0, 0.5, 2 / 3)
    assert classes[2] == ClassScore("fish", 0, 0.0, 0.0, 0.0)
    expected = f1_score([0, 0, 1, 1, 1], [0, 1, 1, 1, 2], average="macro", zero_division=0.0)
    np.testing.assert_allclose(np.mean([each.f1 for each in classes]), expected)


PEOPLE = split_of([4, 2], [-100, 1, 2, 0, -100, 3], TAGS)
"""The tags of a row are per per O, those of the other loc."""
LETTERS = split_of([3], [1, 2, 0], ("O", "B-O", "B-A"))
WORDS = split_of([2], [0, 1], ("NOUN", "VERB"))


@pytest.mark.parametrize(
    ("split", "predicted", "scores", "names", "counts"),
    [
        (PEOPLE, [1, 0, 0, 1], [("loc", 1, 0), ("per", 1, 0)], ("loc", "per", "O"), ((0, 1, 0), (0, 1, 1), (0, 0, 1))),
        (LETTERS, [1, 0, 0], [("A", 1, 0), ("O", 1, 1)], ("A", "O", "O"), ((0, 0, 1), (0, 1, 0), (0, 0, 1))),
        (split_of([2], [0, 0], TAGS), [0, 0], [], ("loc", "per", "O"), ((0, 0, 0), (0, 0, 0), (0, 0, 2))),
        (WORDS, [0, 0], [("NOUN", 1, 2 / 3), ("VERB", 1, 0)], ("NOUN", "VERB"), ((1, 0), (1, 0))),
    ],
    ids=["whole entities", "an entity called O", "no entity", "tags that are no entities"],
)
def test_entities_are_scored_whole_and_confused_by_type(split, predicted, scores, names, counts):
    lines = lines_of(split.rows.labels[split.labelled_tokens], predicted)
    classes, confusion = classes_of(ENTITIES, lines, split)
    assert [(each.label, each.support, pytest.approx(each.f1)) for each in classes] == scores
    assert (confusion.labels, confusion.counts) == (names, counts)


@pytest.mark.parametrize("tags", [TAGS, ("O", "B-per", "I-per", "L-per", "U-per"), ("O", "S-a", "B-a", "I-a", "E-a")])
def test_entities_agree_with_the_tasks_own_scores_whatever_the_scheme(tags):
    labels = RNG.integers(0, len(tags), 60)
    split = split_of([6] * 10, labels, tags)
    logits = RNG.normal(size=(60, len(tags))).astype(np.float32) + 2 * np.eye(len(tags), dtype=np.float32)[labels]
    classes, _ = classes_of(ENTITIES, ENTITIES.lines(logits, split), split)
    found = sum(each.recall * each.support for each in classes)
    recall = ENTITIES.measures(logits, split)["entity_recall"]
    np.testing.assert_allclose(found / sum(each.support for each in classes), recall)


def test_questions_are_answered_or_not():
    split = split_of([1] * 3, [[0, 0]] * 3, unanswerable=True)
    lines = Predictions(np.array(["a", "", "b"], object), np.array(["c", "d", ""], object), np.zeros(3, bool), np.ones(3))
    classes, confusion = classes_of(ANSWERS, lines, split)
    assert confusion.counts == ((0, 1), (1, 1))
    assert [(each.label, each.support) for each in classes] == [("no answer", 1), ("answer", 2)]
    assert classes_of(ANSWERS, lines, split_of([1] * 3, [[0, 0]] * 3)) == ((), None)


def test_bins_add_up_to_the_calibration_error():
    labels, logits = RNG.integers(0, 3, 500), RNG.normal(size=(500, 3)).astype(np.float32) * 2
    split = split_of([1] * 500, labels, ("a", "b", "c"))
    bins = calibration(CLASSES.lines(logits, split))
    assert sum(each.count for each in bins) == 500
    assert all(each.low <= each.confidence <= each.high for each in bins)
    error = sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / 500
    np.testing.assert_allclose(error, CLASSES.measures(logits, split)["calibration_error"], atol=1e-6)


def test_certainty_falls_into_the_last_bin_and_numbers_into_none():
    (only,) = calibration(lines_of([1, 1], [1, 0], [1.0 + 1e-12, 1.0]))
    assert (only.high, only.count, only.accuracy) == (1.0, 2, 0.5)
    assert calibration(lines_of([0.5], [0.4])) == ()


def test_lines_are_told_apart_by_who_is_right():
    labels = [0] * 6
    found = agreement(lines_of(labels, [0, 0, 1, 1, 1, 1]), lines_of(labels, [0, 1, 0, 1, 2, 2]))
    assert found == Agreement(both=1, student_only=1, teacher_only=1, neither_same=1, neither_differ=2)
