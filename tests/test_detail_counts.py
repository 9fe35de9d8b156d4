import numpy as np
from sklearn.metrics import f1_score

from distill.detail.counts import agreement, calibration, classes_of
from distill.detail.form import Agreement, ClassScore
from distill.detail.lines import Said, said
from distill.tasks.catalogue import task_of
from tests.gold import gold_of

DICE = np.random.default_rng(0)
TAGS = ("O", "B-per", "I-per", "B-loc")


def lines_of(labels, own, confidence=None) -> Said:
    labels, own = np.array(labels), np.array(own)
    return Said(labels, own, labels == own, None if confidence is None else np.array(confidence))


def test_classes_and_confusion_are_counts():
    gold = gold_of([1] * 5, [0, 0, 1, 1, 1], ("cat", "dog", "fish"))
    classes, confusion = classes_of("sequence-classification", lines_of(gold.rows.labels, [0, 1, 1, 1, 2]), gold)
    assert confusion.counts == ((1, 1, 0), (0, 2, 1), (0, 0, 0))
    assert classes[0] == ClassScore("cat", 2, 1.0, 0.5, 2 / 3)
    assert classes[2] == ClassScore("fish", 0, 0.0, 0.0, 0.0)
    expected = f1_score([0, 0, 1, 1, 1], [0, 1, 1, 1, 2], average="macro", zero_division=0.0)
    np.testing.assert_allclose(np.mean([each.f1 for each in classes]), expected)


def test_entities_are_scored_whole_and_confused_by_type():
    # Row 1: per per O, found per O O. Row 2: loc, found per.
    gold = gold_of([4, 2], [-100, 1, 2, 0, -100, 3], TAGS)
    classes, confusion = classes_of("token-classification", lines_of([1, 2, 0, 3], [1, 0, 0, 1]), gold)
    assert [(each.label, each.support, each.f1) for each in classes] == [("loc", 1, 0), ("per", 1, 0)]
    assert confusion.labels == ("loc", "per", "O")
    assert confusion.counts == ((0, 1, 0), (0, 1, 1), (0, 0, 1))


def test_an_entity_may_be_called_o():
    gold = gold_of([3], [1, 2, 0], ("O", "B-O", "B-A"))
    classes, confusion = classes_of("token-classification", lines_of([1, 2, 0], [1, 0, 0]), gold)
    assert [(each.label, each.f1) for each in classes] == [("A", 0), ("O", 1)]
    assert confusion.counts == ((0, 0, 1), (0, 1, 0), (0, 0, 1))


def test_entities_agree_with_the_tasks_own_scores():
    labels = DICE.integers(0, 4, 60)
    gold = gold_of([6] * 10, labels, TAGS)
    logits = DICE.normal(size=(60, 4)).astype(np.float32) + 2 * np.eye(4, dtype=np.float32)[labels]
    classes, _ = classes_of("token-classification", said("token-classification", logits, gold), gold)
    found = sum(each.recall * each.support for each in classes)
    recall = task_of("token-classification").measures(logits, gold)["entity_recall"]
    np.testing.assert_allclose(found / sum(each.support for each in classes), recall)


def test_tags_that_are_no_entities_are_classes():
    gold = gold_of([2], [0, 1], ("NOUN", "VERB"))
    classes, confusion = classes_of("token-classification", lines_of([0, 1], [0, 0]), gold)
    assert [each.label for each in classes] == list(confusion.labels) == ["NOUN", "VERB"]


def test_rows_without_an_entity_have_no_classes():
    classes, confusion = classes_of("token-classification", lines_of([0, 0], [0, 0]), gold_of([2], [0, 0], TAGS))
    assert (classes, confusion.counts[2][2]) == ((), 2)


def test_questions_are_answered_or_not():
    gold = gold_of([1] * 3, [[0, 0]] * 3, unanswerable=True)
    lines = Said(np.array(["a", "", "b"], object), np.array(["c", "d", ""], object), np.zeros(3, bool), np.ones(3))
    classes, confusion = classes_of("question-answering", lines, gold)
    assert confusion.counts == ((0, 1), (1, 1))
    assert [(each.label, each.support) for each in classes] == [("no answer", 1), ("answer", 2)]
    assert classes_of("question-answering", lines, gold_of([1] * 3, [[0, 0]] * 3)) == ((), None)


def test_bins_add_up_to_the_calibration_error():
    labels, logits = DICE.integers(0, 3, 500), DICE.normal(size=(500, 3)).astype(np.float32) * 2
    gold = gold_of([1] * 500, labels, ("a", "b", "c"))
    bins = calibration(said("sequence-classification", logits, gold))
    assert sum(each.count for each in bins) == 500
    assert all(each.low <= each.confidence <= each.high for each in bins)
    error = sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / 500
    np.testing.assert_allclose(error, task_of("sequence-classification").measures(logits, gold)["calibration_error"], atol=1e-6)


def test_certainty_falls_into_the_last_bin_and_numbers_into_none():
    (only,) = calibration(lines_of([1, 1], [1, 0], [1.0 + 1e-12, 1.0]))
    assert (only.high, only.count, only.accuracy) == (1.0, 2, 0.5)
    assert calibration(lines_of([0.5], [0.4])) == ()


def test_lines_are_told_apart_by_who_is_right():
    labels = [0] * 6
    found = agreement(lines_of(labels, [0, 0, 1, 1, 1, 1]), lines_of(labels, [0, 1, 0, 1, 2, 2]))
    assert found == Agreement(both=1, student_only=1, teacher_only=1, neither_same=1, neither_differ=2)
