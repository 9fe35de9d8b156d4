"""Bytes in which DistillKit has written the likeliest tokens: ids of d words, and log-probabilities by its `logprob_compressor`.

A vector of log-probabilities is: `exact_k` numbers; a coefficient for each polynomial term; and for each residual bin its scale
and its elements, packed. A packed vector is a string of bits, each element's highest first, with zeros up to a whole byte.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from distill.core.arrays import Array
from distill.params.given import Compression, ResidualBin

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def id_bits(settings: Compression) -> int:
    """Bits of an id."""
    return (settings.d - 1).bit_length()


def packed_bytes(bits: int, count: int) -> int:
    """Bytes that so many elements of so many bits take."""
    return -(-bits * count // 8)


def vector_bytes(settings: Compression) -> int:
    """Bytes of a vector of log-probabilities."""
    numbers = [settings.exact_dtype] * settings.exact_k + [settings.term_dtype] * len(settings.polynomial_terms or ())
    numbers += [each.scale_dtype for each in settings.residual_bins]
    packed = sum(packed_bytes(each.element_bits, each.num_elements) for each in settings.residual_bins)
    return sum(DTYPES[name].itemsize for name in numbers) + packed


def unpack(packed: UInt8[np.ndarray, "n bytes"], bits: int, count: int) -> Int64[np.ndarray, "n {count}"]:
    """Elements of 1 to 64 bits; those of 64 have the sign that their bits say."""
    spread = np.unpackbits(packed, axis=1, count=bits * count).reshape(len(packed), count, bits)
    weights = np.left_shift(np.int64(1), np.arange(bits - 1, -1, -1, dtype=np.int64))
    elements: Array = spread @ weights
    return elements


def decode_ids(packed: UInt8[np.ndarray, "n bytes"], settings: Compression) -> Int64[np.ndarray, "n k"]:
    """The ids of the tokens."""
    return unpack(packed, id_bits(settings), settings.k)


def decode_log_probabilities(packed: UInt8[np.ndarray, "n bytes"], settings: Compression) -> Float[Tensor, "n k"]:
    """Their log-probabilities, computed in the precision that DistillKit computes them in."""
    vector, precision = _Vector(packed), DTYPES[settings.exact_dtype]
    exact = vector.numbers(settings.exact_k, settings.exact_dtype)
    terms = settings.polynomial_terms or ()
    coefficients = vector.numbers(len(terms), settings.term_dtype)
    residuals = [vector.residuals(each) for each in settings.residual_bins]
    rest = settings.k - settings.exact_k
    left = rest - sum(each.num_elements for each in settings.residual_bins)
    approximated = torch.cat([*residuals, torch.zeros((len(packed), left), dtype=precision)], dim=1).to(precision)
    if terms:
        functions = _functions(rest, settings, coefficients.dtype)
        approximated = (functions * coefficients[:, None, :]).sum(dim=2) + approximated
    found = torch.cat([exact, approximated], dim=1)
    return found.float().cumsum(dim=1).to(precision) if settings.delta_encoding else found


def _functions(count: int, settings: Compression, precision: torch.dtype) -> Float[Tensor, "count terms"]:
    """Each polynomial term at each place."""
    places = torch.linspace(0, 1, count, dtype=precision) if settings.normalize_t else torch.arange(count, dtype=precision)
    special = {"sqrt": torch.sqrt, "exp": torch.exp}
    parts = [places**term if isinstance(term, int) else special[term](places) for term in settings.polynomial_terms or ()]
    return torch.stack(parts, dim=1)


class _Vector:
    """Vectors of bytes, (n, bytes), that are read from left to right."""

    def __init__(self, packed: Array) -> None:
        self.packed, self.place = packed, 0

    def _next(self, size: int) -> Array:
        self.place += size
        return self.packed[:, self.place - size : self.place]

    def numbers(self, count: int, kind: str) -> Float[Tensor, "n {count}"]:
        """So many numbers of a type."""
        dtype = DTYPES[kind]
        part = torch.from_numpy(self._next(count * dtype.itemsize).copy())
        return part.view(dtype) if count else torch.zeros((len(part), 0), dtype=dtype)

    def residuals(self, each: ResidualBin) -> Float[Tensor, "n elements"]:
        """The values of a bin: a bit is the scale or its opposite; more are a number with a sign, times the scale."""
        scale = self.numbers(1, each.scale_dtype)
        bits, count = each.element_bits, each.num_elements
        elements = torch.from_numpy(unpack(self._next(packed_bytes(bits, count)), bits, count))
        values: Tensor = 2 * elements.float() - 1 if bits == 1 else (elements - 2 ** (bits - 1)).float()
        return values * scale
