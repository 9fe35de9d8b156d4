import numpy as np
import torch

from distill.tasks import cross_entropy, score


def test_transfer_rows_do_not_enter_the_hard_label_loss():
    logits = torch.randn(4, 3)
    labels = torch.tensor([0, -100, 2, -100])
    torch.testing.assert_close(cross_entropy(logits, labels), cross_entropy(logits[[0, 2]], labels[[0, 2]]))


def test_a_batch_of_transfer_rows_alone_has_no_hard_label_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([-100, -100]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_scores_of_a_known_confusion():
    predictions, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert score("accuracy", predictions, labels) == 0.75
    np.testing.assert_allclose(score("macro_f1", predictions, labels), (2 / 3 + 4 / 5) / 2)
    np.testing.assert_allclose(score("mcc", predictions, labels), 1 / np.sqrt(3))
