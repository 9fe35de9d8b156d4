import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.store.codecs.attention import PROBABILITIES, AttentionCodec, bytes_a_row
from distill.store.codecs.vectors import Codec

NAMES = (PROBABILITIES, "scores-u8", "scores-fp16")
KL = {PROBABILITIES: 1e-3, "scores-u8": 1e-3, "scores-fp16": 1e-5}
LENGTHS = {"equal": [24] * 3, "mixed": [5, 24, 24, 2, 1, 64], "longest first": [40, 3], "one row": [17], "one token": [1]}
LENGTHS["long"] = [128, 128]


def scores_of(lengths: list[int], heads: int = 3, spread: float = 3.0) -> torch.Tensor:
    """Scores of a spread, with rubbish where the padding is."""
    scores = torch.randn(len(lengths), heads, max(lengths), max(lengths)) * spread
    for row, length in enumerate(lengths):
        scores[row, :, length:] = torch.nan
        scores[row, :, :, length:] = torch.nan
    return scores


def round_trip(name: str, scores: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    codec = AttentionCodec(name, scores.shape[1])
    return codec.decode(codec.encode(scores, np.array(lengths)), np.array(lengths))


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_the_distribution_survives_and_the_padding_is_zero(name, lengths):
    scores = scores_of(lengths)
    decoded = round_trip(name, scores, lengths)
    assert (decoded.shape, decoded.dtype) == (scores.shape, torch.float32)
    for row, length in enumerate(lengths):
        real = slice(length), slice(length)
        exact, kept = (maps[row, :, *real].double().log_softmax(-1) for maps in (scores, decoded))
        assert (exact.exp() * (exact - kept)).sum(-1).mean() <= KL[name]
        assert (decoded[row, :, length:] == 0).all()
        assert (decoded[row, :, :, length:] == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.floats(0, 50), st.floats(-1000, 1000), st.integers(0, 2**32 - 1))
def test_scores_u8_is_off_by_half_a_step_of_each_query_s_range(lengths, spread, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    seq = max(lengths)
    scores = torch.randn(len(lengths), 2, seq, seq, generator=generator) * spread + offset
    decoded = round_trip("scores-u8", scores, lengths)
    for row, length in enumerate(lengths):
        real = scores[row, :, :length, :length]
        low, high = real.amin(-1, keepdim=True), real.amax(-1, keepdim=True)
        step = ((high - low + low.abs() * 2**-10) / 255).clamp_min(2**-14) * 1.001
        error = (decoded[row, :, :length, :length] - real).abs()
        assert (error <= 0.51 * step + 1e-6 * real.abs()).all()


@pytest.mark.parametrize("name", NAMES)
def test_constant_queries_are_uniform(name):
    scores = torch.full((2, 1, 4, 4), -7.3)
    decoded = round_trip(name, scores, [4, 4])
    torch.testing.assert_close(decoded.softmax(-1), torch.full((2, 1, 4, 4), 0.25))
    if name != PROBABILITIES:
        torch.testing.assert_close(decoded, scores, rtol=1e-3, atol=1e-3)


def test_an_impossible_key_stays_finite_and_impossible():
    scores = torch.tensor([[0.0, -1e9], [0.0, 0.0]])[None, None]
    decoded = round_trip(PROBABILITIES, scores, [2])
    assert decoded.isfinite().all()
    assert decoded[0, 0, 0].softmax(-1)[1] < 1e-9


def test_decoded_probabilities_are_log_probabilities():
    scores = scores_of([30]) + 5
    decoded = round_trip(PROBABILITIES, scores, [30])
    assert (decoded.exp().sum(-1) - 1).abs().max() < 0.03
    likely = scores.softmax(-1) > 0.01
    torch.testing.assert_close(decoded[likely], scores.log_softmax(-1)[likely], rtol=0, atol=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_the_planes_and_a_row_s_do_not_depend_on_its_batch(name):
    lengths = [4, 9, 9, 1]
    scores, codec = scores_of(lengths), AttentionCodec(name, 3)
    whole = codec.encode(scores, np.array(lengths))
    counts = codec.counts(np.array(lengths))
    assert {plane: len(values) for plane, values in whole.items()} == {plane: int(n.sum()) for plane, n in counts.items()}
    assert sum(plane.numpy().nbytes for plane in whole.values()) == bytes_a_row(name, 3, np.array(lengths)).sum()
    assert all(plane.shape[1] == (2 if name == "ranges" else 1) for name, plane in whole.items())
    start = dict.fromkeys(whole, 0)
    for row, length in enumerate(lengths):
        alone = codec.encode(scores[row : row + 1, :, :length, :length].clone(), np.array([length]))
        for plane, values in alone.items():
            assert torch.equal(values, whole[plane][start[plane] : start[plane] + len(values)])
            start[plane] += len(values)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_empty_planes_of_the_same_kind(name):
    codec = AttentionCodec(name, 2)
    empty = codec.encode(torch.zeros(0, 2, 0, 0), np.zeros(0, np.int64))
    full = codec.encode(torch.zeros(1, 2, 3, 3), np.array([3]))
    kinds = [{plane: (values.dtype, values.shape[1]) for plane, values in planes.items()} for planes in (empty, full)]
    assert kinds[0] == kinds[1]
    assert codec.decode(empty, np.zeros(0, np.int64)).shape == (0, 2, 0, 0)
    assert isinstance(codec, Codec)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *((name, torch.nan, f"{name}.*not finite") for name in NAMES),
        *((name, -1e6, "65504.*probabilities-u8") for name in NAMES[1:]),
        ("scores-u4", 0.0, "probabilities-u8, scores-u8, scores-fp16"),
    ],
)
def test_nan_scores_beyond_fp16_and_an_unknown_name_are_refused(name, value, message):
    scores = torch.zeros(1, 1, 2, 2)
    scores[0, 0, 1, 1] = value
    with pytest.raises(UserError, match=message):
        AttentionCodec(name, 1).encode(scores, np.array([2]))
