"""A BERT as a DistilBERT: the same weights in other modules.

DistilBERT (Sanh et al. 2019, arXiv 1910.01108) has neither token types nor a pooler. Token type 0 is added to the position
embeddings, so that rows of one segment have the same hidden states; in a pair, the second text is read as the first is.
"""

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from distill.core.errors import UserError
from distill.models.config_keys import SENTENCE_EMBEDDING
from distill.models.loading import model_class
from distill.tasks.base import Task

SHARED_SETTINGS = (
    *("vocab_size", "max_position_embeddings", "initializer_range", "pad_token_id", "tie_word_embeddings"),
    *("id2label", "label2id", "problem_type"),
)
RENAMED_SETTINGS = {
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "hidden_size": "dim",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}
LAYER_NORM_EPSILON = 1e-12
"""A DistilBERT's, which its config cannot change."""
EMBEDDINGS = ("word_embeddings", "position_embeddings", "LayerNorm")
LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
HEADS = {
    "masked-lm": {
        "cls.predictions.transform.dense": "vocab_transform",
        "cls.predictions.transform.LayerNorm": "vocab_layer_norm",
        "cls.predictions.decoder": "vocab_projector",
    },
    "token-classification": {"classifier": "classifier"},
    "question-answering": {"qa_outputs": "qa_outputs"},
    "sentence-embedding": {"dense": "dense"},
}
"""By task. A classifier of texts reads BERT's pooler, which DistilBERT lacks: it is new."""


def to_distilbert(model: PreTrainedModel, task: Task) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A DistilBERT with copies of a BERT's embeddings and layers, and of the task's head where DistilBERT has the same.

    With it come the names of its parameters that are new, from torch's current random state.
    """
    family = model.config.model_type
    if family != "bert":
        raise UserError(f"init.as: distilbert takes the layers of a bert, got a {family}; remove `as`, or give architecture")
    epsilon = model.config.layer_norm_eps
    if epsilon != LAYER_NORM_EPSILON:
        raise UserError(
            f"init.as: the bert's layer_norm_eps is {epsilon:g}, a distilbert's always {LAYER_NORM_EPSILON:g}: with it the same "
            "weights would make other states; remove `as`"
        )
    settings = {name: getattr(model.config, name) for name in SHARED_SETTINGS}
    settings |= {new: getattr(model.config, old) for old, new in RENAMED_SETTINGS.items()}
    settings |= {SENTENCE_EMBEDDING: getattr(model.config, SENTENCE_EMBEDDING)} if task.spec.embeds else {}
    config = AutoConfig.for_model("distilbert", **settings)
    student = cast(PreTrainedModel, model_class(task).from_config(config))
    missing, unexpected = student.load_state_dict(_weights(model.state_dict(), model.config, task), strict=False)
    assert not unexpected, unexpected
    student.tie_weights()
    return student, tuple(missing)


def _weights(bert: Mapping[str, Float[Tensor, "..."]], config: PretrainedConfig, task: Task) -> dict[str, Float[Tensor, "..."]]:
    ours, theirs = ("encoder", "encoder") if task.spec.embeds else ("bert", "distilbert")
    names = {f"{ours}.embeddings.{name}": f"{theirs}.embeddings.{name}" for name in EMBEDDINGS} | HEADS.get(task.name, {})
    for layer in range(config.num_hidden_layers):
        old, new = f"{ours}.encoder.layer.{layer}", f"{theirs}.transformer.layer.{layer}"
        names |= {f"{old}.{bert_name}": f"{new}.{name}" for bert_name, name in LAYER.items()}
    weights = {}
    for name, tensor in bert.items():
        module, _, kind = name.rpartition(".")
        if module in names:
            weights[f"{names[module]}.{kind}"] = tensor
    positions = f"{theirs}.embeddings.position_embeddings.weight"
    with torch.no_grad():
        weights[positions] = weights[positions] + bert[f"{ours}.embeddings.token_type_embeddings.weight"][0]
    return weights
