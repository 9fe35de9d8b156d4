"""How distributions over a vocabulary become bytes, where they are not replayed from the hidden state below the output layer.

`top_k` keeps the k likeliest tokens and what is left as one mass. Its loss does not see the tail: 0.1–0.6 nats of KL at k = 128
on a masked-language-modelling teacher. `sample` keeps draws from the distribution: noisy, but its gradient is right on average
(Anshumann et al. 2025, "Sparse Logit Sampling", arXiv 2503.16870).
"""

import hashlib

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from distill.core.errors import UserError
from distill.store.codecs.vectors import Planes

HALF = torch.finfo(torch.float16)


def top_k(logits: Float[Tensor, "n vocabulary"], k: int) -> Planes:
    """The k likeliest tokens.

    Planes: `ids` (n, k); `log_probabilities` (n, k) fp16; `log_residual` (n, 1) fp16, the log of the other tokens' mass.
    """
    vocabulary = logits.shape[1]
    if not 1 <= k < vocabulary:
        raise UserError(f"top-k of a vocabulary of {vocabulary}: got k = {k}, expected 1 to {vocabulary - 1}")
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    top, ids = log_probabilities.topk(k, dim=1)
    residual = log_probabilities.scatter_(1, ids, -torch.inf).logsumexp(dim=1, keepdim=True)
    return {
        "ids": ids.to(id_dtype(vocabulary)),
        "log_probabilities": top.clamp_min_(HALF.min).to(torch.float16),
        "log_residual": residual.clamp_min_(HALF.min).to(torch.float16),
    }


def decode_top_k(planes: Planes) -> tuple[Int64[Tensor, "n k"], Float32[Tensor, "n events"]]:
    """Ids, and the log-probabilities of k + 1 events, normalized again: those k tokens, and any other."""
    events = torch.cat([planes["log_probabilities"], planes["log_residual"]], dim=1).float()
    return planes["ids"].long(), torch.log_softmax(events, dim=1)


def sample(logits: Float[Tensor, "n vocabulary"], draws: int, generator: torch.Generator) -> Planes:
    """Tokens drawn from softmax(logits): `ids` (n, draws), ascending; a token that was drawn c times stands there c times.

    That is the paper's importance sampling with the distribution itself as proposal: each draw weighs 1/draws.
    """
    ids = torch.multinomial(torch.softmax(logits.float(), dim=1), draws, replacement=True, generator=generator)
    return {"ids": ids.sort(dim=1).values.to(id_dtype(logits.shape[1]))}


def decode_sample(planes: Planes) -> Int64[Tensor, "n draws"]:
    """The drawn tokens."""
    return planes["ids"].long()


def row_generator(example_id: bytes) -> torch.Generator:
    """The generator of a row's draws: it depends on the row's content alone, not on where the row stands or who draws."""
    seed = int.from_bytes(hashlib.sha256(example_id).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)


def id_dtype(vocabulary: int) -> torch.dtype:
    """The smallest type that holds any token's id."""
    return torch.uint16 if vocabulary <= 2**16 else torch.int32


def top_k_bytes(vocabulary: int, k: int) -> int:
    """What a position takes in all planes of `top_k`."""
    return k * (id_dtype(vocabulary).itemsize + 2) + 2


def sample_bytes(vocabulary: int, draws: int) -> int:
    """What a position takes in the plane of `sample`."""
    return draws * id_dtype(vocabulary).itemsize
