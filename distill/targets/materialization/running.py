"""A teacher's forward pass over a batch."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.store.replay.logits import masked_lm_transform


def run_teacher(
    model: PreTrainedModel,
    batch: Mapping[str, Tensor],
    layers: Sequence[int],
    precision: str,
    where: Bool[Tensor, " tokens"] | None = None,
) -> tuple[Float32[Tensor, "vectors width"], dict[int, Float32[Tensor, "tokens hidden"]]]:
    """A forward pass: the head's output, and the real tokens of some hidden states, one row after the other.

    The head's output is logits, or vectors: (rows, classes), or (tokens, classes) of models that label tokens or spans. With
    `where`, some of the real tokens of a batch of a language model, it is what the output embedding would multiply; that
    product is not computed.
    """
    device = model.device
    inputs = {name: tensor.to(device) for name, tensor in batch.items()}
    mask = inputs.get("attention_mask")
    places = None if mask is None else mask.flatten().nonzero().squeeze(1)

    def real(states: Tensor) -> Tensor:
        tokens = states.flatten(0, 1)
        return tokens if places is None else tokens.index_select(0, places)

    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        outputs = (model if where is None else model.base_model)(**inputs, output_hidden_states=bool(layers))
        if where is not None:
            head_outputs = masked_lm_transform(model)(real(outputs.last_hidden_state)[where.to(device)])
        elif "start_logits" in outputs:
            head_outputs = real(torch.stack([outputs.start_logits, outputs.end_logits], dim=-1))
        elif "sentence_embedding" in outputs:
            head_outputs = outputs.sentence_embedding
        else:
            head_outputs = real(outputs.logits) if outputs.logits.dim() == 3 else outputs.logits
    return head_outputs.float(), {layer: real(outputs.hidden_states[layer]).float() for layer in layers}
