"""How attention maps become bytes: scores before the softmax, row after row, the real tokens' pairs only.

| codec | keeps | KL from the exact distribution | bytes a pair and head |
|---|---|---|---|
| probabilities-u8 | round(255·p^¼) | 1e-4 | 1 |
| scores-u8 | scores, affinely between the smallest and the largest of a head's query row | 2e-4 at a spread of 3 | 1 + 4/L |
| scores-fp16 | scores | 1e-7 | 2 |

Probabilities are small and many: a linear scale would round most of them to 0, the fourth root keeps them apart down to 4e-9.
They forget the constant of each query's scores, which the softmax does not see.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.store.codecs.vectors import Planes

PROBABILITIES = "probabilities-u8"

STORED = {PROBABILITIES: torch.uint8, "scores-u8": torch.uint8, "scores-fp16": torch.float16}
"""What a codec keeps of a pair."""

HALF = torch.finfo(torch.float16)


@dataclass(frozen=True, eq=False)
class AttentionCodec:
    """Keeps scores, (batch, heads, seq, seq) fp32, padded to the longest row.

    Planes: `values` (heads·L² a row, 1); with scores-u8 `ranges` (heads·L a row, 2) fp16: lowest score and step of a query.
    """

    name: str
    heads: int
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: UserError: no such codec."""
        if self.name not in STORED:
            raise UserError(f"codec of attention: got {self.name!r}, expected one of {', '.join(STORED)}")

    def encode(self, tensor: Float[Tensor, "batch heads seq seq"], lengths: Int64[np.ndarray, " batch"]) -> Planes:
        """Encode scores."""
        planes: dict[str, list[Tensor]] = {plane: [] for plane in self.counts(lengths)}
        for rows, length in _runs(lengths):
            for plane, values in self._encode(tensor[rows, :, :length, :length].float()).items():
                planes[plane].append(values)
        if not planes["values"]:
            return self._encode(tensor.new_zeros((0, self.heads, 1, 1)))
        return {plane: torch.cat(parts) if len(parts) > 1 else parts[0] for plane, parts in planes.items()}

    def decode(self, planes: Planes, lengths: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "batch heads seq seq"]:
        """Scores, padded with 0; of probabilities-u8 log-probabilities, which sum to 1 up to what the codec lost."""
        values, heads = planes["values"], self.heads
        seq = int(lengths.max(initial=0))
        scores = values.new_zeros((len(lengths), heads, seq, seq), dtype=torch.float32)
        first = {"values": 0, "ranges": 0}
        for rows, length in _runs(lengths):
            shape = (rows.stop - rows.start, heads, length, length)
            target = scores[rows, :, :length, :length]
            target.copy_(_take(values, first, "values", shape))
            if self.name == PROBABILITIES:
                target.clamp_min_(0.5).div_(255).log_().mul_(4)
            elif self.name == "scores-u8":
                ranges = _take(planes["ranges"], first, "ranges", (*shape[:3], 2)).float()
                target.mul_(ranges[..., 1:]).add_(ranges[..., :1])
        return scores

    def counts(self, lengths: Int64[np.ndarray, " batch"]) -> dict[str, Array]:
        """A value for each pair of tokens and head, a range for each query and head."""
        values = {"values": self.heads * lengths**2}
        return values | ({"ranges": self.heads * lengths} if self.name == "scores-u8" else {})

    def _encode(self, scores: Float[Tensor, "rows heads length length"]) -> Planes:
        """Planes of rows of equal length."""
        if self.name == "scores-fp16":
            return {"values": self._require_finite(scores.to(torch.float16)).reshape(-1, 1)}
        if self.name == PROBABILITIES:
            probabilities = torch.softmax(scores, dim=-1)
            self._require_finite(probabilities)
            return {"values": probabilities.sqrt_().sqrt_().mul_(255).round_().to(torch.uint8).reshape(-1, 1)}
        low, high = torch.aminmax(scores, dim=-1, keepdim=True)
        # The lowest score is rounded down, and the step is taken from there, so that every value lies within the range.
        low = (low - low.abs() * HALF.eps / 2).to(torch.float16)
        step = ((high - low) / 255).clamp_min(HALF.smallest_normal).to(torch.float16)
        ranges = self._require_finite(torch.cat([low, step], dim=-1)).reshape(-1, 2)
        values = (scores - low).div_(step).round_().clamp_(0, 255).to(torch.uint8)
        return {"values": values.reshape(-1, 1), "ranges": ranges}

    def _require_finite(self, numbers: Tensor) -> Tensor:
        if not numbers.isfinite().all():
            raise UserError(
                f"attention_as: {self.name}: the teacher's attention scores are not finite, or beyond 65504, the largest fp16 "
                f"number; use replay{'' if self.name == PROBABILITIES else f' or {PROBABILITIES}'}"
            )
        return numbers


def bytes_a_row(name: str, heads: int, lengths: Int64[np.ndarray, " rows"]) -> Array:
    """What the rows' maps take in all planes of a codec, (rows,) int64."""
    counts = AttentionCodec(name, heads).counts(lengths)
    sizes: Array = counts["values"] * STORED[name].itemsize + 4 * counts.get("ranges", np.zeros_like(lengths))
    return sizes


def _runs(lengths: Array) -> Iterator[tuple[slice, int]]:
    """Stretches of rows of equal length."""
    edges = np.flatnonzero(np.diff(lengths, prepend=-1, append=-1)).tolist() if len(lengths) else []
    return ((slice(start, stop), int(lengths[start])) for start, stop in pairwise(edges))


def _take(plane: Tensor, first: dict[str, int], name: str, shape: tuple[int, ...]) -> Tensor:
    """The next entries of a plane, in a shape."""
    entries = int(np.prod(shape)) // plane.shape[1]
    start = first[name]
    first[name] = start + entries
    return plane[start : start + entries].view(shape)
