"""How distributions over a vocabulary become bytes, where they are not replayed from the state below the output layer.

`top-K` keeps the k likeliest tokens' log-probabilities and the mass of all others: biased, for nothing is known of how that mass
is spread. `draws-M-seed-S` keeps m tokens drawn from the distribution: noisy, but the gradient of a cross-entropy with them is
right on average (Anshumann et al. 2025, "Sparse Logit Sampling", arXiv 2503.16870, with the distribution itself as proposal).

| codec | keeps of a token | bytes, up to 65,536 words | bytes, of more |
|---|---|---|---|
| top-K | ids, log-probabilities in fp16, log of the others' mass in fp16 | 4k + 2 | 5k + 2 |
| top-K-fp32 | the same in fp32 | 6k + 4 | 7k + 4 |
| draws-M-seed-S | ids, ascending; one that was drawn c times stands there c times | 2m | 3m |
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.store.codecs.vectors import Planes

LOWEST = float(torch.finfo(torch.float16).min)
"""What the logarithm of a mass of 0 is kept as."""

SMALL_VOCABULARY = 2**16
"""Ids of more words take three bytes."""


@dataclass(frozen=True)
class TopK:
    """Keeps, (n, 2k + 1) fp32, the ids of the k likeliest tokens, their log-probabilities, and the log of the others' mass."""

    vocabulary: int
    k: int
    exact: bool = False
    """Whether log-probabilities are kept in fp32."""
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: UserError: there are not so many words."""
        if not 1 <= self.k <= self.vocabulary:
            raise UserError(
                f"targets: top_k: got {self.k}, expected 1 to {self.vocabulary}, the size of the teacher's vocabulary"
            )

    @property
    def name(self) -> str:
        """As manifests name it."""
        return f"top-{self.k}" + ("-fp32" if self.exact else "")

    @property
    def columns(self) -> int:
        """Numbers of a token."""
        return 2 * self.k + 1

    def keep(self, logits: Float[Tensor, "n vocabulary"]) -> Float32[Tensor, "n columns"]:
        """What is kept of distributions, the likeliest token first."""
        logs = torch.log_softmax(logits.float(), dim=1)
        top, ids = logs.topk(self.k, dim=1)
        rest = logs.scatter_(1, ids, -torch.inf).logsumexp(dim=1, keepdim=True)
        return torch.cat([ids.float(), top.clamp_min(LOWEST), rest.clamp_min(LOWEST)], dim=1)

    def encode(self, tensor: Float[Tensor, "n columns"], lengths: Array) -> Planes:
        """Planes: `ids`, (n, k) uint16 or (n, 3k) uint8; `log_probabilities`, (n, k + 1) fp16 or fp32."""
        logs = tensor[:, self.k :].to(torch.float32 if self.exact else torch.float16)
        return {"ids": _pack(tensor[:, : self.k].long(), self.vocabulary), "log_probabilities": logs}

    def decode(self, planes: Planes, lengths: Array) -> Float32[Tensor, "n columns"]:
        """What was encoded; log-probabilities are normalized again, for rounding has moved their sum."""
        logs = torch.log_softmax(planes["log_probabilities"].float(), dim=1)
        return torch.cat([_unpack(planes["ids"]).float(), logs], dim=1)

    def shares(self, kept: Float[Tensor, "n columns"]) -> Float64[Tensor, "n vocabulary"]:
        """The probabilities, the others' mass spread evenly over them."""
        events, ids = kept[:, self.k :].double().exp(), kept[:, : self.k].long()
        others = torch.ones((len(kept), self.vocabulary), dtype=torch.float64, device=kept.device).scatter_(1, ids, 0.0)
        spread = others * (events[:, -1:] / others.sum(dim=1, keepdim=True).clamp_min(1))
        return spread.scatter_add_(1, ids, events[:, :-1])  # of those that were given, one may stand there again, of no mass

    def counts(self, lengths: Array) -> dict[str, Array]:
        """An entry a token of each plane."""
        return dict.fromkeys(("ids", "log_probabilities"), lengths)

    @property
    def bytes_a_token(self) -> int:
        """In all planes."""
        return self.k * _id_bytes(self.vocabulary) + (self.k + 1) * (4 if self.exact else 2)


@dataclass(frozen=True)
class Draws:
    """Keeps, (n, draws) int64, tokens that were drawn, ascending."""

    vocabulary: int
    draws: int
    seed: int
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As manifests name it."""
        return f"draws-{self.draws}-seed-{self.seed}"

    @property
    def columns(self) -> int:
        """Numbers of a token."""
        return self.draws

    def uniform(self, example_id: bytes, count: int) -> Float64[np.ndarray, "count draws"]:
        """Random numbers for the tokens of a row, of the seed and the row's content alone, whatever batch it is in.

        One from each of as many equal parts of [0, 1), ascending: the share of the draws that falls on a word has still its
        probability as mean, and varies less than that of independent draws.
        """
        key = hashlib.sha256(self.seed.to_bytes(8, "big") + example_id).digest()[:16]
        numbers = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big"))).random((count, self.draws))
        spread: Array = (np.arange(self.draws) + numbers) / self.draws
        return spread

    def keep(self, logits: Float[Tensor, "n vocabulary"], uniform: Float64[Tensor, "n draws"]) -> Int64[Tensor, "n draws"]:
        """The words at which the distribution function passes these numbers."""
        below = torch.softmax(logits.double(), dim=1).cumsum_(dim=1)
        last = below[:, -1:].clone()
        return torch.searchsorted(below, uniform * last, right=True).clamp_max_(self.vocabulary - 1)

    def encode(self, tensor: Int64[Tensor, "n draws"] | Float[Tensor, "n draws"], lengths: Array) -> Planes:
        """Planes: `ids`, (n, draws) uint16 or (n, 3·draws) uint8."""
        return {"ids": _pack(tensor.long(), self.vocabulary)}

    def decode(self, planes: Planes, lengths: Array) -> Int64[Tensor, "n draws"]:
        """What was encoded."""
        return _unpack(planes["ids"])

    def shares(self, kept: Int64[Tensor, "n draws"]) -> Float64[Tensor, "n vocabulary"]:
        """The share of the draws that fell on each word."""
        counts = torch.zeros((len(kept), self.vocabulary), dtype=torch.float64, device=kept.device)
        return counts.scatter_add_(1, kept, torch.full(kept.shape, 1 / self.draws, dtype=torch.float64, device=kept.device))

    def counts(self, lengths: Array) -> dict[str, Array]:
        """An entry a token."""
        return {"ids": lengths}

    @property
    def bytes_a_token(self) -> int:
        """In the plane."""
        return self.draws * _id_bytes(self.vocabulary)


def vocabulary_codec(name: str, vocabulary: int) -> TopK | Draws:
    """A codec by its name, for so many words."""
    if found := re.fullmatch(r"top-(\d+)(-fp32)?", name):
        return TopK(vocabulary, int(found[1]), exact=found[2] is not None)
    if found := re.fullmatch(r"draws-([1-9]\d*)-seed-(\d+)", name):
        return Draws(vocabulary, int(found[1]), int(found[2]))
    raise UserError(f"codec of distributions: got {name!r}, expected top-K, top-K-fp32 or draws-M-seed-S")


def _id_bytes(vocabulary: int) -> int:
    return 2 if vocabulary <= SMALL_VOCABULARY else 3


def _pack(ids: Int64[Tensor, "n k"], vocabulary: int) -> Tensor:
    """Ids in two bytes, or in three, the lowest first."""
    if vocabulary <= SMALL_VOCABULARY:
        return ids.to(torch.uint16)
    return torch.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], dim=2).to(torch.uint8).flatten(1)


def _unpack(plane: Tensor) -> Int64[Tensor, "n k"]:
    if plane.dtype == torch.uint16:
        return plane.long()
    low, middle, high = torch.unflatten(plane.long(), 1, (-1, 3)).unbind(dim=2)
    return low | middle << 8 | high << 16
