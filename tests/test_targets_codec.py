import pytest
import torch

from distill.targets.codec import Codec, Encoded, calibrate

LOST = {"fp32": 0.0, "fp16": 1e-6, "int8": 2e-4}
"""The most of the variance that a codec may lose."""


def codec_of(name: str, sample: torch.Tensor) -> Codec:
    return calibrate(sample) if name == "int8" else Codec(name)


def states(n: int = 500, width: int = 48) -> torch.Tensor:
    """Like a BERT's: channels of very different size and offset."""
    generator = torch.Generator().manual_seed(1)
    scale = torch.rand(width, generator=generator) * 3 + 0.05
    offset = torch.randn(width, generator=generator) * 2
    return torch.randn(n, width, generator=generator) * scale + offset


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_little_of_the_variance_is_lost(name):
    original = states()
    codec = codec_of(name, original[:100])
    encoded = codec.encode(original)
    error = (codec.decode(encoded.values, encoded.scales) - original).pow(2).sum()
    variance = (original - original.mean(0)).pow(2).sum()
    assert error / variance <= LOST[name]


def test_int8_is_off_by_at_most_half_a_step_of_its_own_scale():
    original = states()
    codec = calibrate(original)
    encoded = codec.encode(original)
    step = encoded.scales.float()[:, None] * codec.deviation
    error = (codec.decode(encoded.values, encoded.scales) - original).abs()
    assert (error <= 0.5 * step * 1.08 + 1e-6).all()


@pytest.mark.parametrize(
    ("name", "dtype", "size"), [("fp32", torch.float32, 4), ("fp16", torch.float16, 2), ("int8", torch.int8, 1)]
)
def test_a_value_takes_as_many_bytes_as_promised(name, dtype, size):
    encoded = codec_of(name, states()).encode(states())
    assert encoded.values.dtype == dtype
    assert encoded.values.element_size() == size
    assert (encoded.scales is None) == (name != "int8")


def test_constant_channels_and_zero_vectors_survive():
    original = torch.zeros(4, 3)
    original[:, 1] = 5.0
    codec = calibrate(original)
    encoded = codec.encode(original)
    torch.testing.assert_close(codec.decode(encoded.values, encoded.scales), original)


def test_a_vector_far_outside_the_sample_keeps_its_direction():
    sample = states()
    codec = calibrate(sample)
    far = states()[:5] * 100
    encoded = codec.encode(far)
    decoded = codec.decode(encoded.values, encoded.scales)
    assert (torch.nn.functional.cosine_similarity(decoded, far, dim=1) > 0.999).all()


def test_one_row_and_no_rows_are_encoded():
    codec = Codec("int8", torch.zeros(4), torch.ones(4))
    assert codec.encode(torch.randn(1, 4)).values.shape == (1, 4)
    empty: Encoded = codec.encode(torch.empty(0, 4))
    assert codec.decode(empty.values, empty.scales).shape == (0, 4)
