import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.store.codecs.vocabulary import decode_sample, decode_top_k, row_generator, sample, sample_bytes, top_k, top_k_bytes


@pytest.mark.parametrize(("vocabulary", "k"), [(2, 1), (50, 7), (70_000, 20)])
def test_top_k_keeps_the_likeliest_and_the_rest_s_mass(vocabulary, k):
    logits = torch.randn(6, vocabulary) * 4
    ids, log_probabilities = decode_top_k(top_k(logits, k))
    exact = logits.double().softmax(1).numpy()
    order = np.argsort(-exact, axis=1)[:, :k]
    np.testing.assert_array_equal(ids.numpy(), order)
    top = np.take_along_axis(exact, order, axis=1)
    np.testing.assert_allclose(log_probabilities[:, :k].exp().numpy(), top, rtol=1e-2)
    np.testing.assert_allclose(log_probabilities[:, k].exp().numpy(), 1 - top.sum(1), rtol=1e-2, atol=1e-6)
    torch.testing.assert_close(log_probabilities.exp().sum(1), torch.ones(6))


@pytest.mark.parametrize(("vocabulary", "dtype"), [(2**16, torch.uint16), (2**16 + 1, torch.int32)])
def test_bytes_are_those_of_the_planes(vocabulary, dtype):
    logits = torch.randn(3, vocabulary)
    logits[:, -1] = 50
    top, draws = top_k(logits, 5), sample(logits, 4, row_generator(b"a"))
    assert sum(plane.numpy().nbytes for plane in top.values()) == 3 * top_k_bytes(vocabulary, 5)
    assert sum(plane.numpy().nbytes for plane in draws.values()) == 3 * sample_bytes(vocabulary, 4)
    assert top["ids"].dtype == draws["ids"].dtype == dtype
    assert (decode_top_k(top)[0][:, 0] == vocabulary - 1).all()
    assert (decode_sample(draws) == vocabulary - 1).all()


def test_a_distribution_of_one_token_stays_finite():
    logits = torch.full((1, 10), -1e6)
    logits[0, 3] = 1e6
    ids, log_probabilities = decode_top_k(top_k(logits, 2))
    assert ids[0, 0] == 3
    assert log_probabilities.isfinite().all()
    assert log_probabilities[0, 0] == 0


@pytest.mark.parametrize("k", [0, 10, 11])
def test_a_k_that_leaves_no_rest_is_refused(k):
    with pytest.raises(UserError, match="expected 1 to 9"):
        top_k(torch.randn(2, 10), k)


def test_draws_follow_the_distribution():
    logits = torch.randn(1, 12) * 2
    draws = decode_sample(sample(logits, 200_000, row_generator(b"a")))
    shares = torch.bincount(draws[0], minlength=12) / 200_000
    p = logits.softmax(1)[0]
    assert ((shares - p).abs() <= 5 * (p * (1 - p) / 200_000).sqrt()).all()
    assert (draws.diff(dim=1) >= 0).all()


def test_draws_depend_on_the_row_alone():
    logits = torch.randn(4, 1000)
    first, again, other = (decode_sample(sample(logits, 50, row_generator(example))) for example in (b"a", b"a", b"b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
