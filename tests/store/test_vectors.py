import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.store.codecs import vectors as codecs
from distill.store.codecs.vectors import BLOCK, VECTOR_CODECS, bytes_a_vector, calibrate, relative_error, vector_codec

LOST = {"fp32": 0.0, "fp16": 2e-7, "bf16": 1e-5, "int8": 1e-4, "int4": 1.2e-2}
"""The most of the variance that a codec may lose."""
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.int16, "int8": torch.int8, "int4": torch.uint8}
WIDTHS = (1, 2, 31, 32, 33, 48, 384)


def states(n: int = 500, width: int = 48) -> torch.Tensor:
    """Like a BERT's: channels of very different size and offset, one of them an outlier."""
    generator = torch.Generator().manual_seed(1)
    scale = torch.rand(width, generator=generator) * 3 + 0.05
    scale[width // 2] *= 50
    offset = torch.randn(width, generator=generator)
    return torch.randn(n, width, generator=generator) * scale + offset


def lengths(vectors: torch.Tensor) -> np.ndarray:
    return np.array([len(vectors)])


def round_trip(codec: codecs.VectorCodec, vectors: torch.Tensor) -> torch.Tensor:
    return codec.decode(codec.encode(vectors, lengths(vectors)), lengths(vectors))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VECTOR_CODECS)
def test_little_of_the_variance_is_lost_in_as_many_bytes_as_promised(name, width):
    original = states(width=width)
    codec, kept = calibrate(name, original[:200]), original.clone()
    assert isinstance(codec, codecs.Codec)
    planes = codec.encode(original, lengths(original))
    assert planes["values"].dtype == DTYPES[name]
    assert set(planes) == ({"values", "scales"} if codecs.needs_statistics(name) else {"values"})
    assert sum(plane.numpy().nbytes for plane in planes.values()) == 500 * bytes_a_vector(name, width)
    assert all(plane.ndim == 2 for plane in planes.values())
    counts = codec.counts(np.array([3, 497]))
    assert {plane: int(owned.sum()) for plane, owned in counts.items()} == {plane: len(v) for plane, v in planes.items()}
    stored = {plane: values.clone() for plane, values in planes.items()}
    decoded = codec.decode(planes, lengths(original))
    assert (decoded.shape, decoded.dtype) == (original.shape, torch.float32)
    assert decoded.is_contiguous()
    assert relative_error(original, decoded) <= LOST[name]
    again = vector_codec(name, dict(codec.statistics))  # statistics are all that decoding needs
    assert torch.equal(again.decode(planes, lengths(original)), decoded)
    codec.error_bound(planes, lengths(original))
    assert torch.equal(original, kept)  # what is given is left alone
    assert all(torch.equal(planes[plane], stored[plane]) for plane in planes)


@pytest.mark.parametrize("name", VECTOR_CODECS)
def test_a_vector_s_bytes_do_not_depend_on_its_neighbours(name):
    original = states(2 * BLOCK // 384 + 10, 384)
    codec = calibrate(name, original)
    whole = codec.encode(original, lengths(original))
    again = codec.encode(original, lengths(original))
    for start, stop in ((0, 1), (3, 20), (BLOCK // 384 - 2, BLOCK // 384 + 2)):
        part = codec.encode(original[start:stop].clone(), np.array([stop - start]))
        for plane in whole:
            assert torch.equal(part[plane], whole[plane][start:stop])
    assert all(torch.equal(whole[plane], again[plane]) for plane in whole)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(VECTOR_CODECS),
    st.integers(1, 70),
    st.integers(0, 5),
    st.floats(1e-6, 1e3),
    st.floats(-1e3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_no_value_is_off_by_more_than_its_bound(name, width, n, scale, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(20, width, generator=generator) * scale + offset
    vectors = torch.randn(n, width, generator=generator) * scale * 5 + offset
    codec = calibrate(name, sample)
    planes = codec.encode(vectors, lengths(vectors))
    bound = codec.error_bound(planes, lengths(vectors))
    assert ((codec.decode(planes, lengths(vectors)).double() - vectors.double()).abs() <= bound).all()


@pytest.mark.parametrize(("name", "share"), [("fp16", 4e-3), ("bf16", 2e-2), ("int8", 0.03), ("int4", 0.4)])
def test_the_bound_is_tight_enough_to_notice_another_vector(name, share):
    original = torch.randn(100, 64)
    codec = calibrate(name, original)
    assert codec.error_bound(codec.encode(original, lengths(original)), lengths(original)).max() < share


@pytest.mark.parametrize("name", VECTOR_CODECS)
def test_constant_channels_zero_vectors_one_token_and_none_survive(name):
    original = torch.zeros(4, 3)
    original[:, 1] = 5.0
    original[0, 2] = 1.0
    assert round_trip(calibrate(name, original), original)[:, :2].equal(original[:, :2])
    zero = torch.zeros(4, 40)
    assert round_trip(calibrate(name, zero), zero).equal(zero)
    assert relative_error(zero, zero) == 0
    codec = calibrate(name, states())
    assert round_trip(codec, states(1)).shape == (1, 48)
    assert round_trip(codec, torch.empty(0, 48)).shape == (0, 48)
    alone = calibrate(name, states(1))
    torch.testing.assert_close(round_trip(alone, states(1)), states(1), rtol=1e-2, atol=1e-2)
    assert np.isfinite(relative_error(states(1), round_trip(alone, states(1))))


@pytest.mark.parametrize("name", ["fp32", "fp16", "bf16", "int8"])
def test_a_vector_far_outside_the_sample_keeps_its_direction(name):
    far = states(5) * 100
    decoded = round_trip(calibrate(name, states()), far)
    assert (torch.nn.functional.cosine_similarity(decoded, far, dim=1) > 0.999).all()


@pytest.mark.parametrize("name", ["fp16", "bf16", "int8", "int4"])
@pytest.mark.parametrize("value", [3.4e38, torch.inf, -torch.inf, torch.nan])
def test_what_a_codec_cannot_keep_is_refused(name, value):
    vectors = states(5)
    vectors[3, 7] = value
    with pytest.raises(UserError, match=f"codec {name}: .* use "):
        calibrate(name, states()).encode(vectors, lengths(vectors))


def test_fp16_is_refused_beyond_its_range_and_int8_is_not():
    vectors = torch.full((2, 3), 70_000.0)
    with pytest.raises(UserError, match="65504.*bf16 or int8"):
        vector_codec("fp16").encode(vectors, lengths(vectors))
    torch.testing.assert_close(round_trip(calibrate("int8", vectors), vectors), vectors)


@pytest.mark.parametrize(
    ("name", "message"), [("int2", "int2.*fp32, fp16, bf16, int8, int4"), ("int8", "deviation.*mean"), ("fp32", r"expected \[\]")]
)
def test_a_foreign_name_and_missing_statistics_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        vector_codec(name, {"mean": torch.zeros(3)})


def test_relative_error_is_the_fraction_of_variance_lost():
    original, noise = torch.randn(4000, 8) * 3 + 100, torch.randn(4000, 8) * 0.3
    assert relative_error(original, original + noise) == pytest.approx(0.01, rel=0.1)
    mean = original.mean(dim=0, keepdim=True).expand_as(original)
    assert relative_error(original, mean) == pytest.approx(1, rel=1e-5)
