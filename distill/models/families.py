"""What differs between families of models, by `model_type`: to support another one is one entry of FAMILIES. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from distill.core.errors import UserError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

TANH, RELU, GELU = range(3)
"""Activations by number: their places in ACTIVATIONS of distill/store/replay/logits.py."""


@dataclass(frozen=True)
class AttentionNames:
    """Where a layer has its attention, whose scores are Q·Kᵀ/√d of two linear projections, and what positions do to them.

    Projections of one name are thirds of one linear layer: queries, keys, values.
    """

    module: str
    query: str
    key: str
    value: str
    heads: str
    """The attribute that says how many heads there are; of the config, if the module has none."""
    norm: str | None = None
    """The layer's LayerNorm that projections read the hidden state through, from the layer on."""
    positions: Literal["none", "rotary", "bias", "disentangled"] = "none"
    """`rotary` turns queries and keys (Su et al. 2021, arXiv 2104.09864), `bias` adds a number a head and distance,
    `disentangled` the products of queries and keys with vectors a head and distance (He et al. 2020, arXiv 2006.03654)."""


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


SELF_ATTENTION = AttentionNames("attention.self", "query", "key", "value", "num_attention_heads")

BERT = Family(
    attention=SELF_ATTENTION,
    classifier=("base_model.pooler.dense", TANH, "classifier"),
    masked_lm_head="cls",
    masked_lm_transform=("cls.predictions.transform",),
    feed_forward=("dense", "intermediate_act_fn"),
)

ROBERTA = replace(
    BERT,
    classifier=("classifier.dense", TANH, "classifier.out_proj"),
    masked_lm_head="lm_head",
    masked_lm_transform=("lm_head.dense", GELU, "lm_head.layer_norm"),
)

FAMILIES = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "data2vec-text": ROBERTA,
    "ernie": BERT,
    "megatron-bert": replace(BERT, attention=replace(SELF_ATTENTION, norm="attention.ln")),
    "xlm-roberta-xl": replace(ROBERTA, attention=replace(SELF_ATTENTION, norm="attention.self_attn_layer_norm")),
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
    ),
    "modernbert": Family(
        attention=AttentionNames("attn", "Wqkv", "Wqkv", "Wqkv", "num_attention_heads", "attn_norm", "rotary"),
        masked_lm_head="head",
        masked_lm_transform=("head",),
    ),
    "mpnet": replace(ROBERTA, attention=AttentionNames("attention.attn", "q", "k", "v", "num_attention_heads", positions="bias")),
    "deberta-v2": Family(
        attention=AttentionNames(
            "attention.self", "query_proj", "key_proj", "value_proj", "num_attention_heads", positions="disentangled"
        ),
        feed_forward=BERT.feed_forward,
    ),
}

AFTER_PADDING = {
    *("camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
}
"""Families that give a row's first token the position of the padding token's id + 1, and not 0."""

NOT_EXPORTED = {
    "longformer": "its ONNX graph holds the number of windows that were traced",
    "tapas": "ONNX has no operator for its means over cells of a table",
}
"""Families whose exports would be wrong or fail, and why."""

NOT_TRAINED = {"reformer": "in training it takes rows of one length alone, that of its table of positions (axial_pos_shape)"}
"""Families that do not run on rows of several lengths, and why."""

CAUSAL_LM_HEADS = ("ForCausalLM", "LMHeadModel")
"""How the names of classes with that head end."""

PER_LAYER = ("attention_layers", "attention_window", "layer_rope_theta", "layer_types", "mlp_layer_types", "no_rope_layers")
"""Lists in a config that have an entry a layer."""


def family_of(model_type: str) -> Family:
    """What is known of a family; of one that is not in the table, nothing."""
    return FAMILIES.get(model_type, Family())


def supporting(feature: str) -> str:
    """The families that have this field, for messages."""
    return ", ".join(name for name, family in FAMILIES.items() if getattr(family, feature))


def is_causal_lm(model: "PreTrainedModel") -> bool:
    """Whether a model has the head of a causal language model: one matrix, which multiplies the last hidden state."""
    return type(model).__name__.endswith(CAUSAL_LM_HEADS)


def layer_stacks(model: "PreTrainedModel") -> "list[tuple[str, nn.ModuleList]]":
    """The paths and lists of a model's transformer layers, of whatever family: the outermost lists of that many modules.

    XLM has a list for each part of its layers; ALBERT, whose layers share their weights, has none.
    """
    from torch import nn

    depth = int(model.config.num_hidden_layers)
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and "." in name
    ]
    outermost = min((name.count(".") for name, _ in lists), default=0)
    return [(name, module) for name, module in lists if name.count(".") == outermost]


def layer_stack(model: "PreTrainedModel") -> "tuple[str, nn.ModuleList]":
    """The path and the list of a model's layers, where there is one such list."""
    stacks = layer_stacks(model)
    if len(stacks) != 1:
        raise UserError(
            f"{type(model).__name__}: has {len(stacks)} lists of {model.config.num_hidden_layers} layers, expected one: they "
            "share weights or lie in parts; it can neither be trained layer by layer nor be asked for its attention"
        )
    return stacks[0]


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """How many tokens a model takes, special tokens included, by what its config says; None if any number."""
    positions = config.get("max_position_embeddings")
    if positions is None or config.get("model_type") not in AFTER_PADDING:
        return positions
    padding = 1 if config.get("model_type") == "mpnet" else config.get("pad_token_id")  # MPNet's is fixed
    return int(positions) - (1 if padding is None else int(padding)) - 1
