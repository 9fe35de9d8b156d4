"""What a decoder goes on with."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel

from distill.models.evaluating import evaluating


def continue_greedily(model: PreTrainedModel, ids: Sequence[int], new_tokens: int, pad_token: int) -> list[int]:
    """The likeliest token after the other, at most so many, up to one that ends texts.

    Nothing else of the model's own settings counts: transformers fills in what is not given, such as a penalty of repetition.
    """
    own = model.generation_config
    end = None if own is None else own.eos_token_id
    prompt = torch.tensor([list(ids)], device=model.device)
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=new_tokens, eos_token_id=end, pad_token_id=pad_token
    )
    try:
        with evaluating(model):
            made = model.generate(prompt, attention_mask=torch.ones_like(prompt))
    finally:
        model.generation_config = own
    found: list[int] = made[0, len(ids) :].tolist()
    return found
