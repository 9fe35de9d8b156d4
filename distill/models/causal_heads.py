"""The head of a causal language model: its output embedding, which multiplies the last hidden state."""

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from distill.models.evaluating import evaluating

PROBE = 4
"""Tokens of the row that is tried."""


def softcap_of(model: PreTrainedModel) -> float | None:
    """The bound c of a model's logits z, c·tanh(z / c), if they have one (Gemma 2)."""
    cap = getattr(model.config, "final_logit_softcapping", None)
    return None if cap is None else float(cap)


def logits_follow_from_states(model: PreTrainedModel) -> bool:
    """Whether a causal language model's logits are its output embedding times its last hidden state, under a softcap if any."""
    ids = torch.arange(1, 1 + PROBE, device=model.device)[None]
    embedding, cap = model.get_output_embeddings(), softcap_of(model)
    with evaluating(model):
        logits, states = model(input_ids=ids).logits[0], model.base_model(input_ids=ids).last_hidden_state[0]
        found = functional.linear(states, embedding.weight, embedding.bias)
        found = found if cap is None else cap * torch.tanh(found / cap)
    return found.shape == logits.shape and torch.allclose(found, logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))
