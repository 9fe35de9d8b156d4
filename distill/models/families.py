"""What differs between families of models, by `model_type`: to support another one is one entry of FAMILIES. Imports no torch."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from distill.core.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

TANH, RELU, GELU = range(3)
"""Activations by number: their places in ACTIVATIONS of distill/store/replay/logits.py."""


@dataclass(frozen=True)
class AttentionNames:
    """Where a layer has its attention, whose scores are Q·Kᵀ/√d of two linear projections, with no positions in between."""

    module: str
    query: str
    key: str
    value: str
    heads: str
    """The attribute that says how many heads there are."""


@dataclass(frozen=True)
class Family:
    """Modules are named by their paths, from the model with its head on; what is None is not supported."""

    attention: AttentionNames | None = None
    """From a layer on."""
    classifier: tuple[str, int, str] | None = None
    """Between the last hidden state at the first token and the classes: a linear layer, an activation, a linear layer."""
    masked_lm_head: str | None = None
    """The module of a masked language model that takes the last hidden state."""
    masked_lm_transform: tuple[str | int, ...] | None = None
    """The modules, and activations, of that head before the product with the output embedding."""
    feed_forward: tuple[str, str] | None = None
    """Of the module that has both: a feed-forward layer's first half, and the activation that alone reads it."""
    replays_embeddings: bool = False
    """Whether hidden state 0 is what `EmbeddingHeads` computes."""
    position_offset: int = 0
    """The position of a row's first token: RoBERTa counts from the padding token's id + 1."""


BERT = Family(
    attention=AttentionNames("attention.self", "query", "key", "value", "num_attention_heads"),
    classifier=("base_model.pooler.dense", TANH, "classifier"),
    masked_lm_head="cls",
    masked_lm_transform=("cls.predictions.transform",),
    feed_forward=("dense", "intermediate_act_fn"),
    replays_embeddings=True,
)

ROBERTA = replace(
    BERT,
    classifier=("classifier.dense", TANH, "classifier.out_proj"),
    masked_lm_head="lm_head",
    masked_lm_transform=("lm_head.dense", GELU, "lm_head.layer_norm"),
    position_offset=2,
)

FAMILIES = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": replace(
        BERT,
        classifier=("classifier.dense", GELU, "classifier.out_proj"),
        masked_lm_head="generator_predictions",
        masked_lm_transform=("generator_predictions",),
    ),
    "mobilebert": BERT,
    "distilbert": Family(
        attention=AttentionNames("attention", "q_lin", "k_lin", "v_lin", "n_heads"),
        classifier=("pre_classifier", RELU, "classifier"),
        masked_lm_head="vocab_transform",
        masked_lm_transform=("vocab_transform", "activation", "vocab_layer_norm"),
        feed_forward=("lin1", "activation"),
        replays_embeddings=True,
    ),
    "modernbert": Family(masked_lm_head="head", masked_lm_transform=("head",)),
}


def family_of(model_type: str) -> Family:
    """What is known of a family; of one that is not in the table, nothing."""
    return FAMILIES.get(model_type, Family())


def supporting(feature: str) -> str:
    """The families that have this field, for messages."""
    return ", ".join(name for name, family in FAMILIES.items() if getattr(family, feature))


def layer_stack(model: "PreTrainedModel") -> "tuple[str, nn.ModuleList]":
    """The path and the list of a model's transformer layers, of whatever family: the outermost list of that many modules."""
    from torch import nn

    depth = int(model.config.num_hidden_layers)
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and "." in name
    ]
    if not lists:
        raise UserError(
            f"{type(model).__name__}: has no list of {depth} layers, they share weights or are kept otherwise; "
            "start the student from random weights: init.architecture"
        )
    return min(lists, key=lambda entry: entry[0].count("."))


def usable_positions(model_type: str, positions: int | None) -> int | None:
    """How many tokens a model takes, special tokens included, by its `max_position_embeddings`; None if any number."""
    return None if positions is None else positions - family_of(model_type).position_offset
