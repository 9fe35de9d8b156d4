"""How vectors become bytes.

| codec | fraction of a hidden state's variance lost | bytes a value, 384 wide |
|---|---|---|
| fp16 | 5e-8 | 2 |
| bf16 | 3e-6 | 2 |
| int8 | 6e-5 | 1.005 |
| int4 | 1e-2 | 0.5625 |

int8 and int4 standardize each channel with a mean and a deviation measured once. int8 then has one fp16 scale a vector, int4 one
for each 32 channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError

Planes = dict[str, Tensor]
"""What is stored, by column name: each (n, k), of a dtype that numpy has."""

VECTOR_CODECS = ("fp32", "fp16", "bf16", "int8", "int4")
FLOATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

GROUP = 32
"""Channels that share a scale in int4."""

BLOCK = 2**19
"""Numbers that are encoded at a time: the steps between reading and writing stay in caches, and are few for a small batch."""

LEVELS = {"int8": 127, "int4": 7}
"""The largest integer."""

BEYOND = {
    "fp16": "beyond 65504, the largest fp16 number; use bf16 or int8",
    "bf16": "beyond the largest bf16 number; use fp32",
    "int8": "more than 8e6 deviations from its channel's mean; use bf16 or fp32",
    "int4": "more than 4e5 deviations from its channel's mean; use bf16 or fp32",
}
"""What a codec cannot keep, and what to do."""


@runtime_checkable
class Codec(Protocol):
    """What keeps the rows of an output as planes, and gives them back."""

    @property
    def name(self) -> str:
        """As params.yaml and manifests name it."""

    @property
    def statistics(self) -> Mapping[str, Tensor]:
        """What is measured once for all rows and kept beside them, (width,) fp32 each."""

    def encode(self, tensor: Tensor, lengths: Int64[np.ndarray, " batch"]) -> Planes:
        """Planes of a batch of rows. `lengths` are the tokens of each row."""

    def decode(self, planes: Planes, lengths: Int64[np.ndarray, " batch"]) -> Tensor:
        """The rows in fp32, up to what the codec lost."""

    def counts(self, lengths: Int64[np.ndarray, " batch"]) -> dict[str, Array]:
        """How many entries of each plane a row owns."""


@dataclass(frozen=True, eq=False)
class VectorCodec:
    """Keeps vectors, (n, width) fp32: those of a batch's rows one after the other, n = sum(lengths)."""

    name: str
    statistics: Mapping[str, Float32[Tensor, " width"]] = field(default_factory=dict)

    def encode(self, tensor: Float[Tensor, "n width"], lengths: Int64[np.ndarray, " batch"]) -> Planes:
        """Encode vectors."""
        if self.name in FLOATS:
            values = tensor.to(FLOATS[self.name])
            if self.name != "fp32":
                self._require_finite(values)
            return {"values": values.view(torch.int16) if self.name == "bf16" else values}
        rows, width = tensor.shape
        block, (columns, groups) = max(1, BLOCK // width), _columns(self.name, width)
        dtype = torch.int8 if self.name == "int8" else torch.uint8
        values = torch.empty((rows, columns), dtype=dtype, device=tensor.device)
        scales = torch.empty((rows, groups), dtype=torch.float16, device=tensor.device)
        work = torch.empty((min(rows, block), width if self.name == "int8" else groups * GROUP), device=tensor.device)
        for vectors, value, scale in zip(*(torch.split(plane, block) for plane in (tensor, values, scales)), strict=True):
            self._quantize(vectors, value, scale, work[: len(vectors)])
        return {"values": values, "scales": self._require_finite(scales)}

    def decode(self, planes: Planes, lengths: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "n width"]:
        """Vectors in fp32, up to what the codec lost."""
        values = planes["values"]
        if self.name in FLOATS:
            return values.view(FLOATS[self.name]).float()
        mean, deviation = self.statistics["mean"], self.statistics["deviation"]
        scales = planes["scales"].float()
        # Each step works in place: on vectors of a batch, fresh memory costs more than the arithmetic.
        if self.name == "int8":
            vectors = values.float().mul_(scales)
        else:
            vectors = _unpack(values, len(mean), scales.shape[1] * GROUP)
            vectors = torch.unflatten(vectors, 1, (-1, GROUP)).mul_(scales[:, :, None]).flatten(1)[:, : len(mean)].contiguous()
        return torch.addcmul(mean, vectors, deviation, out=vectors)

    def counts(self, lengths: Int64[np.ndarray, " batch"]) -> dict[str, Array]:
        """One entry a token, of each plane."""
        return dict.fromkeys(("values", "scales") if needs_statistics(self.name) else ("values",), lengths)

    def error_bound(self, planes: Planes, lengths: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "n width"]:
        """How far each decoded value can be from what was encoded: half a step, and the rounding of fp32 arithmetic."""
        decoded = self.decode(planes, lengths)
        if self.name == "fp32":
            return torch.zeros_like(decoded)
        if self.name in FLOATS:
            numbers = torch.finfo(FLOATS[self.name])
            return decoded.abs_().mul_(numbers.eps / 2).add_(numbers.smallest_normal * numbers.eps / 2)
        mean, deviation = self.statistics["mean"], self.statistics["deviation"]
        group = len(mean) if self.name == "int8" else GROUP
        steps = planes["scales"].float().repeat_interleave(group, dim=1)[:, : len(mean)] * deviation
        slack = decoded.abs_().add_(mean.abs()).mul_(4 * torch.finfo(torch.float32).eps)
        return slack.add_(steps, alpha=0.5)

    def _quantize(self, vectors: Tensor, values: Tensor, scales: Tensor, work: Float32[Tensor, "n padded"]) -> None:
        """Encode a block of vectors into its part of the planes; `work` is overwritten."""
        width, numbers = vectors.shape[1], torch.unflatten(work, 1, (scales.shape[1], -1))
        torch.sub(vectors, self.statistics["mean"], out=work[:, :width]).div_(self.statistics["deviation"])
        work[:, width:] = 0
        # From both ends of the range: magnitudes of all numbers would be written to memory, and read again.
        largest = torch.maximum(numbers.amax(dim=2), numbers.amin(dim=2).neg_())
        scales.copy_(largest.div_(LEVELS[self.name]).clamp_min_(torch.finfo(torch.float16).tiny))
        numbers.div_(scales.float()[:, :, None]).round_()
        if self.name == "int8":
            values.copy_(work)
        else:
            _pack(work, width, values)

    def _require_finite(self, numbers: Tensor) -> Tensor:
        if not all(block.isfinite().all() for block in torch.split(numbers, max(1, BLOCK // numbers.shape[1]))):
            raise UserError(f"codec {self.name}: a hidden state is not finite or {BEYOND[self.name]}")
        return numbers


def _columns(name: str, width: int) -> tuple[int, int]:
    """Bytes of a vector's integers, and its scales."""
    return (width, 1) if name == "int8" else (-(-width // 2), -(-width // GROUP))


def _pack(numbers: Float[Tensor, "n padded"], width: int, values: UInt8[Tensor, "n half"]) -> None:
    """Two numbers from -7 to 7 a byte: those of the first half of the channels low, those of the second half high."""
    shifted = numbers.add_(8).to(torch.uint8)
    half = values.shape[1]
    values.copy_(shifted[:, :half])
    values[:, : width - half] |= shifted[:, half:width] << 4


def _unpack(values: UInt8[Tensor, "n half"], width: int, padded: int) -> Float32[Tensor, "n padded"]:
    numbers = values.new_zeros((len(values), padded), dtype=torch.float32)
    half = values.shape[1]
    numbers[:, :half] = values & 15
    numbers[:, half:width] = values[:, : width - half] >> 4
    return numbers.sub_(8)


def needs_statistics(name: str) -> bool:
    """Whether a codec has to see a sample of vectors first."""
    return name in LEVELS


def vector_codec(name: str, statistics: Mapping[str, Float32[Tensor, " width"]] | None = None) -> VectorCodec:
    """A codec by name."""
    if name not in VECTOR_CODECS:
        raise UserError(f"codec: got {name!r}, expected one of {', '.join(VECTOR_CODECS)}")
    found, expected = dict(statistics or {}), ["deviation", "mean"] if needs_statistics(name) else []
    if sorted(found) != expected:
        raise UserError(f"codec {name}: got the statistics {sorted(found)}, expected {expected}; compute the targets again")
    return VectorCodec(name, found)


def calibrate(name: str, vectors: Float[Tensor, "n width"]) -> VectorCodec:
    """A codec whose channel statistics, if it needs any, are those of a sample of vectors."""
    if not needs_statistics(name):
        return vector_codec(name)
    deviation = vectors.std(dim=0, correction=0)
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return vector_codec(name, {"mean": vectors.mean(dim=0), "deviation": deviation})


def bytes_a_vector(name: str, width: int) -> int:
    """What a vector takes in all planes of a codec."""
    if name in FLOATS:
        return width * FLOATS[name].itemsize
    integers, scales = _columns(name, width)
    return integers + 2 * scales


def relative_error(original: Float[Tensor, "n width"], decoded: Float[Tensor, "n width"]) -> float:
    """The fraction of variance lost, Σ(x − x̂)² / Σ(x − channel mean)², in float64."""
    exact = original.double()
    lost = (exact - decoded.double()).square_().sum()
    variance = (exact - exact.mean(dim=0)).square_().sum()
    return float(lost / variance.clamp_min(torch.finfo(torch.float64).tiny))
