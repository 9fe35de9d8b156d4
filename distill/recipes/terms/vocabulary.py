"""Terms of decoders: distributions over a vocabulary, computed a few tokens at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from distill.losses.divergences import drawn_cross_entropy, likeliest_kl
from distill.losses.hidden_states import cosine_distance
from distill.losses.in_chunks import means_in_chunks
from distill.recipes.terms.terms import Step, Term
from distill.store.output_names import (
    DRAWS,
    LIKELIEST,
    TRANSFORM,
)
from distill.tasks.base import HARD_LABELS

LineLoss = Callable[[Step, Tensor, slice], Tensor]
"""(step, the student's logits of some lines, which lines these are) → their losses, (lines,)"""


def line_of_teacher(divergence: Callable[[Tensor, Tensor], Tensor]) -> LineLoss:
    """A divergence from the teacher's logits, which are made of its last states, as they are read."""

    def compare(step: Step, logits: Tensor, part: slice) -> Tensor:
        assert step.last is not None
        return divergence(logits, step.last.teacher_logits(step.targets[TRANSFORM][part]))

    return compare


def line_of_likeliest(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The KL from the teacher's likeliest words, and the mass of all others; 0 where nobody gave any."""
    kept = step.targets[LIKELIEST][part]
    there, k = kept.isfinite().all(dim=1), kept.shape[1] // 2
    losses = logits.new_zeros(len(logits), dtype=torch.promote_types(logits.dtype, torch.float32))
    losses[there] = likeliest_kl(logits[there], kept[there, :k].long(), kept[there, k:])
    return losses


def line_of_draws(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The cross-entropy with what was drawn from the teacher."""
    return drawn_cross_entropy(logits, step.targets[DRAWS][part])


def line_of_label(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The cross-entropy with the label."""
    return functional.cross_entropy(logits, step.labels[part], reduction="none")


def terms_in_chunks(*parts: tuple[str, float, LineLoss], reads: str) -> tuple[Term, ...]:
    """Losses between logits, by name and weight, computed together a few lines at a time: distill/losses/in_chunks.py.

    `reads` is what those against the teacher need of the store.
    """
    kept = [part for part in parts if part[1] > 0]
    done: dict[str, Any] = {}

    def computed(step: Step) -> Tensor:
        """The means of all losses, once a step."""
        if done.get("step") is not step:
            last = step.last
            assert last is not None
            weights = last.states.new_tensor([weight for _, weight, _ in kept])
            lines = lambda logits, part: torch.stack([loss(step, logits, part) for *_, loss in kept], dim=1)  # noqa: E731
            done["step"] = step
            done["means"] = means_in_chunks(lines, weights, last.states, last.embedding, last.bias, last.softcap)
        means: Tensor = done["means"]
        return means

    def mean_of(place: int, step: Step) -> Tensor:
        means = computed(step)
        if place == len(kept) - 1:
            done.clear()
        return means[place]

    def term(place: int, name: str, weight: float) -> Term:
        needed = () if name == HARD_LABELS else (reads,)
        return Term(name, weight, partial(mean_of, place), reads=needed, reads_last_states=True)

    return tuple(term(place, name, weight) for place, (name, weight, _) in enumerate(kept))


def last_states_term(weight: float) -> Term:
    """The cosine distance of the last hidden states, where tokens are to be predicted."""

    def compare(step: Step) -> Tensor:
        assert step.last is not None
        return cosine_distance(step.last.states, step.targets[TRANSFORM])

    return Term("cosine", weight, compare, reads=(TRANSFORM,), reads_last_states=True)
