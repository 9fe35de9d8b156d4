"""A model tried on two short rows, before anything is spent on it."""

import inspect

import torch
from torch import Tensor
from transformers import PreTrainedModel

from distill.core.errors import UserError, one_line
from distill.data.dataset import Dataset
from distill.models.causal_heads import logits_follow_from_states
from distill.models.evaluating import evaluating
from distill.models.families import NOT_EXPORTED, NOT_TRAINED
from distill.models.fit import require_fit

LENGTHS = (6, 4)
"""Tokens of the rows; the second is padded."""


def require_trainable(model: PreTrainedModel, dataset: Dataset, where: str, *, exported: bool = False) -> None:
    """Refuse what `require_fit` does, and a model that does not run on padded token ids in train mode.

    It must have a hidden state for each token, of the embeddings and of each layer; and an `exported` one an ONNX graph.
    """
    problem = (NOT_EXPORTED.get(model.config.model_type) if exported else None) or _problem(model)
    causal = dataset.spec.causal
    if problem is None and causal and not _looks_back_alone(model):
        problem = "it sees the tokens that it is to predict"
    if problem is None and causal and not logits_follow_from_states(model):
        problem = "its logits are more than its output embedding times its last hidden state"
    if problem is not None:
        family, others = model.config.model_type, "a decoder of docs/decoders.md" if causal else "an encoder of docs/families.md"
        raise UserError(f"{where}: a '{family}' cannot be distilled: {problem}; choose {others}")
    require_fit(model, dataset, where)


def _problem(model: PreTrainedModel) -> str | None:
    if "attention_mask" not in inspect.signature(model.forward).parameters:
        return "it takes no attention mask, and reads padding as text"
    unknown = [name for name in ("num_hidden_layers", "hidden_size") if getattr(model.config, name, None) is None]
    if unknown:
        return f"it is no stack of layers with a state for each token: its config.json has no {' and no '.join(unknown)}"
    depth, shape = model.config.num_hidden_layers + 1, (len(LENGTHS), max(LENGTHS), model.config.hidden_size)
    try:
        found = [tuple(states.shape) for states in _states(model)]
    except Exception as error:  # noqa: BLE001 whatever a family raises
        told = one_line(error)
        return NOT_TRAINED.get(model.config.model_type) or f"it does not run on two short rows, one of them padded: {told}"
    return None if found == [shape] * depth else f"got {len(found)} hidden states of {found[-1]}, expected {depth} of {shape}"


def _looks_back_alone(model: PreTrainedModel) -> bool:
    """Whether the states of a row's first tokens stay the same when its last token is another one."""
    ids = torch.ones((2, max(LENGTHS)), dtype=torch.int64, device=model.device)
    ids[1, -1] = 2
    with evaluating(model):
        first, second = model(input_ids=ids, output_hidden_states=True).hidden_states[-1][:, :-1]
    return torch.allclose(first, second, rtol=1e-4, atol=1e-5)


def runs_in_bf16(model: PreTrainedModel) -> bool:
    """Whether a model runs under bf16 autocast: DeBERTa masks with the lowest fp32 number, which bf16 does not have."""
    try:
        with torch.autocast(model.device.type, torch.bfloat16):
            _states(model)
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        return False
    return True


def _states(model: PreTrainedModel) -> tuple[Tensor, ...]:
    """Hidden states in train mode; torch's random state stays as it is."""
    padding = model.config.pad_token_id or 0
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long().to(model.device)
    training = model.training
    try:
        with torch.random.fork_rng(), torch.no_grad():
            ids = torch.where(mask.bool(), 0 if padding else 1, padding)
            outputs = model.train()(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    finally:
        model.train(training)
    states: tuple[Tensor, ...] = outputs.hidden_states
    return states
