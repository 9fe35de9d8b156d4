"""Bytes that an encoder of plain loops has written, read back: all numbers that they stand for."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill.params.given import Compression
from distill.targets.given.decompression import decode_ids, decode_log_probabilities, id_bits, packed_bytes, unpack, vector_bytes
from tests.distillkit import compress, pack

PLAIN: dict[str, Any] = {"d": 50, "k": 12, "exact_k": 12, "residual_bins": [], "delta_encoding": False}
CURVED: dict[str, Any] = {**PLAIN, "exact_k": 3, "polynomial_terms": [0, 1, "sqrt"]}


def residual_bins(*bits: int, scale: str = "float16") -> list[dict[str, Any]]:
    return [{"scale_dtype": scale, "element_bits": each, "num_elements": 3} for each in bits]


SETTINGS: dict[str, dict[str, Any]] = {
    "exact": PLAIN,
    "exact, bfloat16": {**PLAIN, "exact_dtype": "bfloat16"},
    "exact, float64, differences": {**PLAIN, "exact_dtype": "float64", "delta_encoding": True},
    "differences in float16": {**PLAIN, "exact_dtype": "float16", "delta_encoding": True},
    "polynomial": CURVED,
    "polynomial alone, float64": {**CURVED, "exact_k": 0, "term_dtype": "float64", "exact_dtype": "float64"},
    "exp, from 0 to 1": {**CURVED, "polynomial_terms": [0, 2, "exp"], "normalize_t": True},
    "polynomial of differences": {**CURVED, "delta_encoding": True},
    "residuals alone": {**CURVED, "polynomial_terms": None, "residual_bins": residual_bins(8, 8, 8)},
    "bins of several widths": {**CURVED, "residual_bins": residual_bins(5, 3, 12)},
    "bins of a bit, and none": {**CURVED, "residual_bins": residual_bins(1, 4, scale="bfloat16")},
    "bins of differences": {**CURVED, "delta_encoding": True, "residual_bins": residual_bins(6, scale="float64")},
    "words of a whole number of bits": {**PLAIN, "d": 64},
    "one word more": {**PLAIN, "d": 65},
}
PRECISE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-5}


def of(how: dict[str, Any]) -> Compression:
    return Compression.model_validate_json(json.dumps(how))


@pytest.mark.parametrize("how", SETTINGS.values(), ids=SETTINGS)
def test_numbers_and_ids_are_those_that_were_written(how):
    top = torch.randn(7, how["d"], generator=torch.Generator().manual_seed(1)).mul(2).double().log_softmax(-1).topk(how["k"])
    made = [compress(line.tolist(), how) for line in top.values]
    packed = np.array([each for each, _ in made], np.uint8)
    assert packed.shape == (7, vector_bytes(of(how)))
    found = decode_log_probabilities(packed, of(how)).double().numpy()
    written = np.array([each for _, each in made])
    np.testing.assert_allclose(found, written, rtol=PRECISE[how.get("exact_dtype", "float32")], atol=2e-5)
    assert np.abs(found - top.values.numpy()).max() < (0.7 if how["exact_k"] < how["k"] else 0.05)
    bits = (how["d"] - 1).bit_length()
    assert (bits, packed_bytes(bits, how["k"])) == (id_bits(of(how)), len(pack(top.indices[0].tolist(), bits)))
    ids = np.array([pack(line.tolist(), bits) for line in top.indices], np.uint8)
    assert (decode_ids(ids, of(how)) == top.indices.numpy()).all()


@given(data=st.data(), bits=st.integers(1, 64), rows=st.integers(0, 3), count=st.integers(1, 9))
def test_elements_of_any_width_are_unpacked_as_they_were_packed(data, bits, rows, count):
    lowest, above = (-(2**63), 2**63) if bits == 64 else (0, 2**bits)
    drawn = [[data.draw(st.integers(lowest, above - 1)) for _ in range(count)] for _ in range(rows)]
    packed = np.array([pack(row, bits) for row in drawn], np.uint8).reshape(rows, packed_bytes(bits, count))
    assert unpack(packed, bits, count).tolist() == drawn


@pytest.mark.parametrize("bits", [2, 32, 64])
def test_elements_of_a_bin_are_signed_from_the_lowest_on(bits):
    """The lowest element is minus half of the range: it is written as 0, and times the scale."""
    how = {**PLAIN, "k": 2, "exact_k": 0, "residual_bins": [{"scale_dtype": "float32", "element_bits": bits, "num_elements": 2}]}
    scale = list(np.array(2.0 ** (1 - bits), "<f4").tobytes())
    packed = np.array([scale + pack([0, 2 ** (bits - 1)], bits)], np.uint8)
    assert decode_log_probabilities(packed, of(how)).tolist() == [[-1.0, 0.0]]
