import numpy as np
import pytest
import torch
from torchmetrics.functional.text import squad

from distill.data.text_spans import best_span
from distill.tasks.question_answering import answers, best_match
from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of

TASK = task_of("question-answering")
CONTEXT = "the cat sat on a mat"
WORDS = [(0, 3), (4, 7), (8, 11), (12, 14), (15, 16), (17, 20)]
NONE = (-1, -1)


def windows(*, unanswerable=False, true=(["a mat"],)):
    """One question in two windows of [CLS] question [SEP] and four words, the second two words later."""
    spans = [NONE, NONE, NONE, *WORDS[:4], NONE, NONE, NONE, *WORDS[2:]]
    more = {"examples": np.array([0, 0]), "spans": np.array(spans, np.int32)}
    return split_of([7, 7], [[0, 0], [5, 6]], questions=[(CONTEXT, true[0])], unanswerable=unanswerable, **more)


def logits(*peaks):
    """Zeros, with a start and an end of these heights: (start, end, height)."""
    made = np.zeros((14, 2), np.float32)
    for start, end, height in peaks:
        made[start, 0], made[end, 1] = height, height
    return made


def test_the_answer_is_the_likeliest_span_of_all_windows_and_none_only_where_that_may_be():
    assert answers(logits((4, 5, 2.0), (12, 13, 3.0)), windows()) == ["a mat"]
    assert answers(logits((4, 5, 4.0), (12, 13, 3.0)), windows()) == ["cat sat"]
    silent = logits((0, 0, 5.0), (7, 7, 5.0), (12, 13, 3.0))
    assert answers(silent, windows()) == ["a mat"]
    assert answers(silent, windows(unanswerable=True)) == [""]
    assert TASK.measures(silent, windows(unanswerable=True, true=([],)))["f1"] == 1


def test_question_tokens_and_reversed_spans_are_no_answers():
    assert answers(logits((1, 2, 9.0), (4, 4, 1.0)), windows()) == ["cat"]
    reversed_span = logits()
    reversed_span[6, 0], reversed_span[3, 1] = 2, 2
    assert answers(reversed_span, windows())[0].startswith(("the", "on"))


@pytest.mark.parametrize("seed", range(20))
def test_best_span_is_that_of_an_exhaustive_search(seed):
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(size=12), rng.normal(size=12)
    pairs = [(starts[i] + ends[j], i, j) for i in range(12) for j in range(i, min(12, i + 4))]
    assert best_span(starts, ends, 4) == pytest.approx(max(pairs))


@pytest.mark.parametrize(
    ("given", "true"),
    [
        ("the Cat!", ["cat"]),
        ("cat sat", ["the cat sat on", "sat"]),
        ("dog", ["cat"]),
        ("An  apple a day", ["apple day", "day"]),
        ("in 1999, twice twice", ["twice", "1999 twice twice"]),
    ],
)
def test_exact_match_and_f1_are_those_of_squads_script(given, true):
    target = {"answers": {"answer_start": [0] * len(true), "text": true}, "id": "1"}
    expected = squad([{"prediction_text": given, "id": "1"}], [target])
    assert best_match(given, true) == pytest.approx((expected["exact_match"].item() / 100, expected["f1"].item() / 100))


def test_distributions_run_over_the_tokens_of_a_row():
    raw, mask = torch.randn(2, 3, 2), torch.tensor([[1, 1, 1], [1, 1, 0]])
    lines = TASK.align(raw, mask)
    assert lines.shape == (4, 3)
    torch.testing.assert_close(lines[0], raw[0, :, 0])
    torch.testing.assert_close(lines[3, :2], raw[1, :2, 1])
    assert lines.softmax(-1)[1, 2] == 0
    assert lines.softmax(-1)[3, 2] == 0
    torch.testing.assert_close(TASK.comparable(TASK.vectors(raw, mask), mask), lines)
    assert TASK.align_labels(torch.tensor([[0, 1], [2, 2]]), mask).tolist() == [0, 2, 1, 2]


def test_the_loss_over_a_split_is_that_of_a_batch_and_a_teacher_agrees_with_itself():
    split, kept = windows(), np.random.default_rng(0).normal(size=(14, 2)).astype(np.float32)
    mask = torch.ones(2, 7, dtype=torch.long)
    raw, labels = torch.tensor(kept).view(2, 7, 2), torch.tensor(split.rows.labels)
    batch = TASK.label_loss(TASK.align(raw, mask), TASK.align_labels(labels, mask))
    assert TASK.loss(kept, split) == pytest.approx(batch.item(), rel=1e-6)
    assert TASK.relation(kept, kept, split) == {"agreement": 1, "kl_from_teacher": pytest.approx(0, abs=1e-12)}
