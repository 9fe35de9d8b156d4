"""The teacher's logits, computed again from its cached last hidden state, or from what a language model's head makes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from distill.core.errors import UserError
from distill.models.causal_heads import logits_follow_from_states, softcap_of
from distill.models.families import family_of, is_causal_lm, supporting
from distill.store.replay.frozen_weights import FrozenMatrices, Lengths, copied, linear

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (torch.tanh, torch.relu, functional.gelu)

CLASSIFIERS, TRANSFORMS = "classifier", "masked_lm_transform"
"""The two kinds of heads: fields of `Family`."""


@dataclass(frozen=True, eq=False)
class SequenceHead(FrozenMatrices):
    """A classifier of sequences: linear, activation, linear; MobileBERT's may have the last alone."""

    dense_weight: Float32[Tensor, "inner hidden"] | None
    dense_bias: Float32[Tensor, " inner"] | None
    activation: int
    """Its place in ACTIVATIONS."""
    weight: Float32[Tensor, "classes inner"]
    bias: Float32[Tensor, " classes"]

    def replay(self, vectors: Float32[Tensor, "tokens hidden"], lengths: Lengths) -> Float32[Tensor, "rows classes"]:
        """From the last hidden state, of which each row's first token is read."""
        first = vectors[np.cumsum(lengths) - lengths]
        if self.dense_weight is not None:
            first = ACTIVATIONS[self.activation](functional.linear(first, self.dense_weight, self.dense_bias))
        return functional.linear(first, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class LinearHead(FrozenMatrices):
    """The output embedding of a language model, and its bias."""

    weight: Float32[Tensor, "classes inner"]
    bias: Float32[Tensor, " classes"]
    softcap: float | None = None
    """Gemma 2: the bound c of its logits, c·tanh(z / c)."""

    def replay(self, vectors: Float32[Tensor, "n inner"], lengths: Lengths) -> Float32[Tensor, "n classes"]:
        """From `masked_lm_transform` of the last hidden state, at the positions that matter."""
        return self.logits(vectors)

    def logits(self, vectors: Float32[Tensor, "n inner"]) -> Float32[Tensor, "n classes"]:
        """The same: each vector has a line of logits, whatever row it is of."""
        product: Tensor = self._product(vectors)
        return product if self.softcap is None else self.softcap * torch.tanh(product / self.softcap)

    @cached_property
    def _product(self) -> Any:
        return linear(self.weight, self.bias)


def sequence_head(model: PreTrainedModel) -> SequenceHead:
    """The classifier of a sequence classification or regression model."""
    dense_name, activation, classifier_name = _known(CLASSIFIERS, model)
    classifier = _part(model, classifier_name)
    pooled = getattr(model.config, "classifier_activation", True) or model.config.model_type != "mobilebert"
    dense = _part(model, dense_name) if pooled else None
    return SequenceHead(
        dense_weight=None if dense is None else copied(dense.weight),
        dense_bias=None if dense is None else copied(dense.bias),
        activation=activation,
        weight=copied(classifier.weight),
        bias=copied(classifier.bias),
    )


def vocabulary_head(model: PreTrainedModel) -> LinearHead:
    """The output embedding of a language model, and its bias.

    Raises:
        UserError: the head is not known, or does more than this embedding to the last hidden state.
    """
    masked_lm_transform(model)
    embedding = model.get_output_embeddings()
    weight = copied(embedding.weight)
    if model.config.model_type == "mobilebert":
        weight = torch.cat([weight, copied(_part(model, "cls.predictions.dense").weight).t()], dim=1)
    bias = weight.new_zeros(len(weight)) if embedding.bias is None else copied(embedding.bias)
    if not is_causal_lm(model):
        return LinearHead(weight, bias)
    head = LinearHead(weight, bias, softcap_of(model))
    if model.device.type != "meta" and not logits_follow_from_states(model):
        raise _refusal(model, TRANSFORMS)
    return head


def vocabulary_shape(model: PreTrainedModel) -> tuple[int, int] | None:
    """The size of a language model's vocabulary, and the width of what its output embedding reads; else None."""
    embedding = model.get_output_embeddings()
    if embedding is None:
        return None
    size, width = embedding.weight.shape
    return int(size), model.config.hidden_size if model.config.model_type == "mobilebert" else int(width)


def masked_lm_transform(model: PreTrainedModel) -> Callable[[Float[Tensor, "*batch hidden"]], Float[Tensor, "*batch inner"]]:
    """What the model's head does to the last hidden state before the output embedding: to be cached, for `vocabulary_head`.

    Of a causal language model nothing: its trunk ends with the norm.
    """
    steps = [ACTIVATIONS[step] if isinstance(step, int) else _part(model, step, TRANSFORMS) for step in _known(TRANSFORMS, model)]

    def transform(states: Tensor) -> Tensor:
        for step in steps:
            states = step(states)
        return states

    return transform


def _known(kind: str, model: PreTrainedModel) -> Any:
    if kind == TRANSFORMS and is_causal_lm(model):
        return ()
    found = getattr(family_of(model.config.model_type), kind)
    if found is None:
        raise _refusal(model, kind)
    return found


def _part(model: PreTrainedModel, name: str, kind: str = CLASSIFIERS) -> Any:
    part: Any = model
    for attribute in name.split("."):
        part = getattr(part, attribute, None)
    if part is None:
        raise _refusal(model, kind)
    return part


def _refusal(model: PreTrainedModel, kind: str = CLASSIFIERS) -> UserError:
    keep = "" if kind == TRANSFORMS else "keep its logits, or "
    others = (
        "a model of docs/decoders.md" if is_causal_lm(model) else f"a teacher of {supporting(kind)} with the head of the task"
    )
    return UserError(
        f"the logits of a {type(model).__name__} ('{model.config.model_type}') cannot be replayed in this way; "
        f"{keep}choose {others}"
    )
