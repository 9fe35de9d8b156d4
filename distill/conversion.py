"""A BERT as a DistilBERT: the same weights in other modules.

DistilBERT (Sanh et al. 2019, arXiv 1910.01108) has neither token types nor a pooler. Token type 0 is added to the position
embeddings, so that rows of one segment have the same hidden states; in a pair, the second text is read as the first is.
"""

from collections.abc import Mapping
from typing import cast

import torch
import transformers
from jaxtyping import Float
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from distill.errors import UserError
from distill.tasks.base import Task

EMBEDDINGS = {
    "bert.embeddings.word_embeddings": "distilbert.embeddings.word_embeddings",
    "bert.embeddings.position_embeddings": "distilbert.embeddings.position_embeddings",
    "bert.embeddings.LayerNorm": "distilbert.embeddings.LayerNorm",
}
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
}
"""By task. A classifier of texts stands on BERT's pooler, which DistilBERT has not: it is new."""


def to_distilbert(model: PreTrainedModel, task: Task) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A DistilBERT with a BERT's embeddings and layers, and its head where DistilBERT has the same.

    Args:
        model: A BERT with the task's head; it is left as it is.
        task: Which head that is.

    Returns:
        The model, and the names of its parameters that are new, from torch's current random state.

    Raises:
        UserError: the model is no BERT.
    """
    family = model.config.model_type
    if family != "bert":
        raise UserError(f"init.as: distilbert takes the layers of a bert, got a {family}; remove `as`, or give architecture")
    student = cast(PreTrainedModel, getattr(transformers, task.auto).from_config(_config(model.config)))
    missing, unexpected = student.load_state_dict(_weights(model.state_dict(), model.config, task), strict=False)
    assert not unexpected, unexpected
    student.tie_weights()
    return student, tuple(missing)


def _config(bert: PretrainedConfig) -> PretrainedConfig:
    return AutoConfig.for_model(
        "distilbert",
        vocab_size=bert.vocab_size,
        max_position_embeddings=bert.max_position_embeddings,
        n_layers=bert.num_hidden_layers,
        n_heads=bert.num_attention_heads,
        dim=bert.hidden_size,
        hidden_dim=bert.intermediate_size,
        activation=bert.hidden_act,
        dropout=bert.hidden_dropout_prob,
        attention_dropout=bert.attention_probs_dropout_prob,
        initializer_range=bert.initializer_range,
        pad_token_id=bert.pad_token_id,
        tie_word_embeddings=bert.tie_word_embeddings,
        id2label=dict(bert.id2label),
        label2id=dict(bert.label2id),
    )


def _weights(bert: Mapping[str, Float[Tensor, "..."]], config: PretrainedConfig, task: Task) -> dict[str, Float[Tensor, "..."]]:
    names = {**EMBEDDINGS, **HEADS.get(task.name, {})}
    for layer in range(config.num_hidden_layers):
        old, new = f"bert.encoder.layer.{layer}", f"distilbert.transformer.layer.{layer}"
        names |= {f"{old}.{theirs}": f"{new}.{own}" for theirs, own in LAYER.items()}
    found = {}
    for name, tensor in bert.items():
        module, _, kind = name.rpartition(".")
        if module in names:
            found[f"{names[module]}.{kind}"] = tensor
    positions = "distilbert.embeddings.position_embeddings.weight"
    with torch.no_grad():
        found[positions] = found[positions] + bert["bert.embeddings.token_type_embeddings.weight"][0]
    return found
