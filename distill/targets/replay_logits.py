"""The teacher's logits, computed again from its cached last hidden state, or from what its masked-language head makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from distill.errors import UserError
from distill.targets.frozen import Frozen, copied, linear

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (torch.tanh, torch.relu, functional.gelu)
TANH, RELU, GELU = range(3)
BERT_CLASSIFIER = ("base_model.pooler.dense", TANH, "classifier")
ROBERTA_CLASSIFIER = ("classifier.dense", TANH, "classifier.out_proj")
CLASSIFIERS = {
    "bert": BERT_CLASSIFIER,
    "mobilebert": BERT_CLASSIFIER,
    "distilbert": ("pre_classifier", RELU, "classifier"),
    "roberta": ROBERTA_CLASSIFIER,
    "xlm-roberta": ROBERTA_CLASSIFIER,
    "camembert": ROBERTA_CLASSIFIER,
    "electra": ("classifier.dense", GELU, "classifier.out_proj"),
}
"""The layers between the last hidden state at the first token and the logits, and the activation between them."""
TRANSFORMS = {
    "bert": ("cls.predictions.transform",),
    "mobilebert": ("cls.predictions.transform",),
    "distilbert": ("vocab_transform", "activation", "vocab_layer_norm"),
    "roberta": ("lm_head.dense", GELU, "lm_head.layer_norm"),
    "xlm-roberta": ("lm_head.dense", GELU, "lm_head.layer_norm"),
    "camembert": ("lm_head.dense", GELU, "lm_head.layer_norm"),
    "electra": ("generator_predictions",),
    "modernbert": ("head",),
}
"""What a masked-language head does before it multiplies with the output embedding."""


@dataclass(frozen=True, eq=False)
class SequenceHead(Frozen):
    """A classifier of sequences: linear, activation, linear; MobileBERT's may have the last alone."""

    dense_weight: Float32[Tensor, "inner hidden"] | None
    dense_bias: Float32[Tensor, " inner"] | None
    activation: int
    """Its place in ACTIVATIONS."""
    weight: Float32[Tensor, "classes inner"]
    bias: Float32[Tensor, " classes"]

    def logits(self, first: Float32[Tensor, "rows hidden"]) -> Float32[Tensor, "rows classes"]:
        """From the last hidden state at each row's first token."""
        if self.dense_weight is not None:
            first = ACTIVATIONS[self.activation](functional.linear(first, self.dense_weight, self.dense_bias))
        return functional.linear(first, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class LinearHead(Frozen):
    """One linear layer: token labels, (start, end) of an answer, or the tokens of a vocabulary."""

    weight: Float32[Tensor, "classes hidden"]
    bias: Float32[Tensor, " classes"]

    def logits(self, states: Float32[Tensor, "n hidden"]) -> Float32[Tensor, "n classes"]:
        """From the last hidden state; of a vocabulary, from `masked_lm_transform` of it, at the positions that matter."""
        logits: Tensor = self._product(states)
        return logits

    @cached_property
    def _product(self) -> Any:
        return linear(self.weight, self.bias)


def sequence_head(model: PreTrainedModel) -> SequenceHead:
    """The classifier of a sequence classification or regression model.

    Raises:
        UserError: the model is of another kind or family.
    """
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


def token_head(model: PreTrainedModel) -> LinearHead:
    """The layer of a token classification model.

    Raises:
        UserError: the model is of another kind or family.
    """
    return _linear_head(model, "classifier")


def span_head(model: PreTrainedModel) -> LinearHead:
    """The layer of an extractive question answering model: start and end logits of each token.

    Raises:
        UserError: the model is of another kind or family.
    """
    return _linear_head(model, "qa_outputs")


def vocabulary_head(model: PreTrainedModel) -> LinearHead:
    """The output embedding of a masked language model, and its bias.

    Raises:
        UserError: the model is of another kind or family.
    """
    masked_lm_transform(model)
    own = model.get_output_embeddings()
    weight = copied(own.weight)
    if model.config.model_type == "mobilebert":
        weight = torch.cat([weight, copied(_part(model, "cls.predictions.dense").weight).t()], dim=1)
    return LinearHead(weight, weight.new_zeros(len(weight)) if own.bias is None else copied(own.bias))


def vocabulary_shape(model: PreTrainedModel) -> tuple[int, int] | None:
    """The size of a masked language model's vocabulary, and the width of what its output embedding reads; else None."""
    own = model.get_output_embeddings()
    if own is None:
        return None
    size, width = own.weight.shape
    return int(size), model.config.hidden_size if model.config.model_type == "mobilebert" else int(width)


def masked_lm_transform(model: PreTrainedModel) -> Callable[[Float[Tensor, "*batch hidden"]], Float[Tensor, "*batch inner"]]:
    """What the model's head does to the last hidden state before the output embedding: to be cached, for `vocabulary_head`.

    Raises:
        UserError: the model is of another kind or family.
    """
    steps = [ACTIVATIONS[step] if isinstance(step, int) else _part(model, step, TRANSFORMS) for step in _known(TRANSFORMS, model)]

    def transform(states: Tensor) -> Tensor:
        for step in steps:
            states = step(states)
        return states

    return transform


def _linear_head(model: PreTrainedModel, name: str) -> LinearHead:
    _known(CLASSIFIERS, model)
    own = _part(model, name)
    if not isinstance(own, nn.Linear):
        raise _refusal(model)
    return LinearHead(copied(own.weight), copied(own.bias))


def _known(table: Mapping[str, Any], model: PreTrainedModel) -> Any:
    if model.config.model_type not in table:
        raise _refusal(model, table)
    return table[model.config.model_type]


def _part(model: PreTrainedModel, name: str, table: Mapping[str, Any] = CLASSIFIERS) -> Any:
    part: Any = model
    for attribute in name.split("."):
        part = getattr(part, attribute, None)
    if part is None:
        raise _refusal(model, table)
    return part


def _refusal(model: PreTrainedModel, table: Mapping[str, Any] = CLASSIFIERS) -> UserError:
    keep = "" if table is TRANSFORMS else "keep its logits, or "
    return UserError(
        f"the logits of a {type(model).__name__} ('{model.config.model_type}') cannot be replayed in this way; "
        f"{keep}choose a teacher of {', '.join(table)} with the head of the task"
    )
