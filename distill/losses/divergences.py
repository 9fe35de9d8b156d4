"""Divergences between a student's and a teacher's distributions over a vocabulary, one number a line. Pure functions of tensors.

p = softmax(teacher / T), q = softmax(student / T). Those of whole distributions have the factor T², which keeps the
gradients' size when T changes.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Logits = Float[Tensor, "lines vocabulary"]
Lines = Float[Tensor, " lines"]


def forward_kl(student: Logits, teacher: Logits, temperature: float) -> Lines:
    """KL(p ‖ q). Hinton, Vinyals & Dean 2015 (arXiv 1503.02531), section 2."""
    q, p = _logs(student, temperature), _logs(teacher, temperature)
    return temperature**2 * _kl(p, q)


def reverse_kl(student: Logits, teacher: Logits, temperature: float) -> Lines:
    """KL(q ‖ p), which asks nothing of a student where its teacher is unsure. Gu et al. 2024 (arXiv 2306.08543)."""
    q, p = _logs(student, temperature), _logs(teacher, temperature)
    return temperature**2 * _kl(q, p)


def jensen_shannon(student: Logits, teacher: Logits, temperature: float, mixture: float) -> Lines:
    """β·KL(p ‖ m) + (1 − β)·KL(q ‖ m), m = β·p + (1 − β)·q, β = `mixture`. Agarwal et al. 2024 (arXiv 2306.13649)."""
    q, p = _logs(student, temperature), _logs(teacher, temperature)
    m = _mixed(p, q, mixture)
    return temperature**2 * (mixture * _kl(p, m) + (1 - mixture) * _kl(q, m))


def skewed_kl(student: Logits, teacher: Logits, temperature: float, skew: float) -> Lines:
    """KL(p ‖ α·p + (1 − α)·q), α = `skew`. Ko et al. 2024, "DistiLLM" (arXiv 2402.03898)."""
    q, p = _logs(student, temperature), _logs(teacher, temperature)
    return temperature**2 * _kl(p, _mixed(p, q, skew))


def skewed_reverse_kl(student: Logits, teacher: Logits, temperature: float, skew: float) -> Lines:
    """KL(q ‖ α·q + (1 − α)·p), α = `skew`. Ko et al. 2024 (arXiv 2402.03898)."""
    q, p = _logs(student, temperature), _logs(teacher, temperature)
    return temperature**2 * _kl(q, _mixed(q, p, skew))


def likeliest_kl(student: Logits, ids: Int64[Tensor, "lines k"], events: Float[Tensor, "lines events"]) -> Lines:
    """KL(teacher ‖ student) between k + 1 events: the teacher's k likeliest words, and any other (the last of `events`).

    `events` are log-probabilities. The others' mass is thereby spread over them as the student spreads its own: a lower bound of
    KL(p ‖ q), and the same where k is the whole vocabulary. At the temperature 1 only: the mass of "any other" is not known at
    another one, and treating what was kept as the whole can turn the gradient around.
    """
    logs, expected = _logs(student, 1.0), events.float()
    if ids.shape[1] == student.shape[1]:
        return _kl(expected[:, :-1], logs.gather(1, ids))
    others = logs.scatter(1, ids, -torch.inf).logsumexp(dim=1, keepdim=True)
    return _kl(expected, torch.cat([logs.gather(1, ids), others], dim=1))


def drawn_cross_entropy(student: Logits, draws: Int64[Tensor, "lines draws"]) -> Lines:
    """−Σ_i w_i·log q_i, where w_i is the share of the teacher's draws that fell on word i, at the temperature 1.

    E[w] = p, so the expected gradient is that of KL(p ‖ q); the value differs from it by the teacher's entropy.
    Anshumann et al. 2025 (arXiv 2503.16870).
    """
    return -_logs(student, 1.0).gather(1, draws).mean(dim=1)


def _logs(logits: Logits, temperature: float) -> Logits:
    kind = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits.to(kind) / temperature, dim=-1)


def _kl(first: Logits, second: Logits) -> Lines:
    """Of log-probabilities."""
    return (first.exp() * (first - second)).sum(dim=-1)


def _mixed(first: Logits, second: Logits, share: float) -> Logits:
    """log(share·a + (1 − share)·b) of log-probabilities, 0 < share < 1."""
    return torch.logaddexp(first + math.log(share), second + math.log1p(-share))
