import numpy as np
import pytest
import torch
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of

TASK = task_of("token-classification")
TAGS = ("O", "B-x", "I-x", "B-y", "I-y")
RNG = np.random.default_rng(1)
LENGTHS = RNG.integers(3, 9, 40)
LABELS = np.where(RNG.random(LENGTHS.sum()) < 0.2, -100, RNG.integers(0, 5, LENGTHS.sum()))
SPLIT = split_of(LENGTHS, LABELS, TAGS)


def sentences(values):
    parts = zip(np.split(values, np.cumsum(LENGTHS)[:-1]), np.split(LABELS, np.cumsum(LENGTHS)[:-1]), strict=True)
    return [[TAGS[value] for value in part[own != -100]] for part, own in parts]


def test_entity_scores_are_those_of_seqeval():
    logits = (RNG.normal(size=(LENGTHS.sum(), 5)) + 2 * np.eye(5)[LABELS.clip(0)]).astype(np.float32)
    true, found = sentences(LABELS), sentences(logits.argmax(1))
    measured = TASK.measures(logits, SPLIT)
    assert measured["entity_f1"] == pytest.approx(f1_score(true, found))
    assert measured["entity_precision"] == pytest.approx(precision_score(true, found))
    assert measured["entity_recall"] == pytest.approx(recall_score(true, found))
    assert measured["token_accuracy"] == pytest.approx(accuracy_score(true, found))
    scored = torch.tensor(LABELS) != -100
    loss = torch.nn.functional.cross_entropy(torch.tensor(logits)[scored], torch.tensor(LABELS)[scored])
    assert measured["log_loss"] == pytest.approx(loss.item(), rel=1e-6)


def test_parts_of_speech_are_scored_by_tags_and_macro_f1_is_over_those_of_the_split():
    split = split_of([3, 2], [-100, 0, 1, -100, 1], ("DET", "NOUN", "VERB"))
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 0, 2]]
    measured = TASK.measures(logits, split)
    assert set(measured) == {"macro_f1", "token_accuracy", "log_loss", "calibration_error"}
    assert measured["token_accuracy"] == pytest.approx(2 / 3)
    assert measured["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    judged = TASK.judge(logits, split)
    assert (TASK.score("macro_f1", judged[:1]), TASK.score("macro_f1", judged[1:])) == (1, 0)


def test_entities_in_tags_of_another_scheme_are_scored_one_by_one():
    """Two single words, of which one is found: seqeval takes `U-x U-x` for one entity."""
    split = split_of([2], [1, 1], ("O", "U-x", "B-x", "L-x"))
    measured = TASK.measures(np.eye(4, dtype=np.float32)[[1, 0]], split)
    assert (measured["entity_precision"], measured["entity_recall"]) == (1, 0.5)


def test_no_entity_at_all_scores_nothing_and_is_no_error():
    nothing = split_of([3], [-100, 0, -100], TAGS)
    assert TASK.measures(np.eye(5, dtype=np.float32)[[0, 0, 0]], nothing)["entity_f1"] == 0


def test_real_tokens_are_compared_and_padding_never():
    logits, mask = torch.randn(2, 3, 5), torch.tensor([[1, 1, 1], [1, 1, 0]])
    labels = torch.tensor([[-100, 1, -100], [-100, 2, -100]])
    vectors = TASK.align(logits, mask)
    torch.testing.assert_close(vectors, torch.cat([logits[0], logits[1, :2]]))
    assert TASK.align_labels(labels, mask).tolist() == [-100, 1, -100, -100, 2]
    expected = torch.nn.functional.cross_entropy(logits[[0, 1], [1, 1]], torch.tensor([1, 2]))
    torch.testing.assert_close(TASK.label_loss(vectors, TASK.align_labels(labels, mask)), expected)


def test_agreement_looks_at_scored_tokens_alone():
    teacher = np.eye(5, dtype=np.float32)[[0, 1, 2]]
    student = np.eye(5, dtype=np.float32)[[4, 1, 3]]
    found = TASK.relation(student, teacher, split_of([3], [-100, 1, 1], TAGS))
    assert found["agreement"] == 0.5
