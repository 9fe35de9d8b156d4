import numpy as np
import pytest
import torch

from distill.models.loading import only_positions
from distill.tasks.masked_lm import MaskedLm
from distill.tasks.registry import task_of
from tests import tiny
from tests.evaluation_splits import split_of

TASK = task_of("masked-lm")
LABELS = torch.tensor([[-100, 7, -100, 9], [-100, -100, 5, -100]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def test_masked_positions_alone_are_compared():
    assert TASK.align_labels(LABELS, MASK).tolist() == [7, 9, 5]
    every = MaskedLm(every_token=True)
    assert every.align_labels(LABELS, MASK).tolist() == [-100, 7, -100, 9, -100, -100, 5]


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "modernbert"])
def test_the_head_runs_at_masked_positions_alone_and_says_the_same(family):
    model = tiny.family(family, "MaskedLM")
    batch = tiny.padded([4, 3])
    with torch.no_grad():
        whole = model(**batch).logits
        with only_positions(model, TASK.positions(LABELS, MASK)):
            some = model(**batch).logits
        again = model(**batch).logits
    torch.testing.assert_close(some, whole[LABELS != -100], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again, whole)


def test_measures_are_their_formulas():
    logits = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    logits[0, 7] = 9
    kept = TASK.kept(logits, LABELS, MASK).numpy()
    labels = LABELS.flatten()[:7].numpy()
    split = split_of([4, 3], labels)
    assert TASK.judged(kept, split).confidence is None  # nobody can send on what stands in a text
    found = TASK.measures(kept, split)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([7, 9, 5])).item()
    right = (logits.argmax(1) == torch.tensor([7, 9, 5])).float().mean().item()
    assert found == {"accuracy": pytest.approx(right), "log_loss": pytest.approx(loss), "perplexity": pytest.approx(np.exp(loss))}
    assert TASK.judge(kept, split)[:, 2].tolist() == [2, 1]
    assert TASK.relation(kept, kept, split) == {"agreement": 1}
