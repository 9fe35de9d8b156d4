import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.store.codecs.vectors import Planes
from distill.store.codecs.vocabulary import Draws, TopK, vocabulary_codec

NONE = np.zeros(0, np.int64)


def kept(codec: TopK | Draws, logits: torch.Tensor, example: bytes = b"a") -> torch.Tensor:
    """What is read again of what is kept of distributions."""
    uniform = torch.from_numpy(codec.uniform(example, len(logits))) if isinstance(codec, Draws) else None
    planes: Planes = codec.encode(codec.keep(logits) if uniform is None else codec.keep(logits, uniform), NONE)
    assert sum(plane.numpy().nbytes for plane in planes.values()) == len(logits) * codec.bytes_a_token
    return codec.decode(planes, NONE)


@pytest.mark.parametrize(("vocabulary", "k"), [(2, 1), (50, 7), (50, 50), (70_000, 20)])
@pytest.mark.parametrize("exact", [False, True])
def test_top_k_keeps_the_likeliest_and_the_rest_s_mass(vocabulary, k, exact):
    logits = torch.randn(6, vocabulary) * 4
    logits[:, -1] = 30
    found = kept(TopK(vocabulary, k, exact), logits)
    ids, logs = found[:, :k].long(), found[:, k:]
    probabilities = logits.double().softmax(1).numpy()
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids.numpy(), order)
    top = np.take_along_axis(probabilities, order, axis=1)
    np.testing.assert_allclose(logs[:, :k].exp().numpy(), top, rtol=1e-5 if exact else 3e-2)
    np.testing.assert_allclose(logs[:, k].exp().numpy(), 1 - top.sum(1), rtol=3e-2, atol=1e-6)
    torch.testing.assert_close(logs.exp().sum(1), torch.ones(6))


def test_shares_spread_the_rest_over_all_others():
    codec, logits = TopK(9, 3, exact=True), torch.randn(4, 9)
    shares, exact = codec.shares(kept(codec, logits)), logits.double().softmax(1)
    torch.testing.assert_close(shares.sum(1), torch.ones(4, dtype=torch.float64))
    for line, own in zip(shares, exact, strict=True):
        likeliest = own.topk(3).indices
        torch.testing.assert_close(line[likeliest], own[likeliest], rtol=1e-5, atol=0)
        others = line[[i for i in range(9) if i not in likeliest]]
        torch.testing.assert_close(others, ((1 - own[likeliest].sum()) / 6).expand(6), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("codec", "size"),
    [
        (TopK(50_257, 64), 4 * 64 + 2),
        (TopK(151_936, 64), 5 * 64 + 2),
        (TopK(50_257, 64, exact=True), 6 * 64 + 4),
        (Draws(50_257, 12, 1), 24),
        (Draws(2**16, 12, 1), 24),
        (Draws(2**16 + 1, 12, 1), 36),
    ],
)
def test_bytes_a_token_and_the_name_tell_all(codec, size):
    assert codec.bytes_a_token == size
    assert vocabulary_codec(codec.name, codec.vocabulary) == codec


@pytest.mark.parametrize("vocabulary", [2**16, 2**16 + 1, 2**20])
def test_the_last_word_of_a_large_vocabulary_comes_back(vocabulary):
    logits = torch.zeros(2, vocabulary)
    logits[:, -1] = 60
    assert (kept(Draws(vocabulary, 3, 1), logits) == vocabulary - 1).all()
    assert (kept(TopK(vocabulary, 2), logits)[:, 0] == vocabulary - 1).all()


def test_a_distribution_of_one_token_stays_finite():
    logits = torch.full((1, 10), -1e6)
    logits[0, 3] = 1e6
    found = kept(TopK(10, 2), logits)
    assert found[0, 0] == 3
    assert found.isfinite().all()
    assert found[0, 2] == 0
    assert (kept(Draws(10, 5, 1), logits) == 3).all()


@pytest.mark.parametrize("k", [0, 11])
def test_more_words_than_there_are_are_refused(k):
    with pytest.raises(UserError, match="expected 1 to 10, the size of the teacher's vocabulary"):
        TopK(10, k)


@pytest.mark.parametrize("name", ["int8", "top-", "draws-0-seed-1", "draws-3"])
def test_other_codecs_are_refused(name):
    with pytest.raises(UserError, match=f"got '{name}', expected top-K"):
        vocabulary_codec(name, 10)


def test_the_mean_share_of_draws_is_the_probability_whatever_the_numbers_are():
    """The mean over the numbers that `uniform` can give, on a grid of them: each draw's are spread evenly over its part."""
    codec, logits = Draws(7, 3, 1), torch.randn(1, 7, dtype=torch.float64) * 2
    grid = (torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000
    uniform = (torch.arange(3) + grid[:, None]) / 3
    shares = codec.shares(codec.keep(logits.expand(len(grid), 7), uniform))
    torch.testing.assert_close(shares.mean(0), logits.softmax(1)[0], rtol=0, atol=2e-5)
    assert (shares.sum(1) - 1).abs().max() < 1e-12


def test_numbers_are_spread_evenly_over_their_parts():
    numbers = Draws(7, 4, 1).uniform(b"a", 20_000) * 4 - np.arange(4)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.stack([np.histogram(part, bins=10, range=(0, 1))[0] for part in numbers.T])
    assert (np.abs(counts - 2000) < 5 * np.sqrt(2000 * 0.9)).all()


def test_draws_depend_on_the_row_and_the_seed_alone():
    logits = torch.randn(4, 1000)
    first, again, other = (kept(Draws(1000, 50, 1), logits, example) for example in (b"a", b"a", b"b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, kept(Draws(1000, 50, 2), logits, b"a"))
    assert (first.diff(dim=1) >= 0).all()
