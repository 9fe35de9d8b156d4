"""Newborn students: layers copied from a larger model, or random weights in any shape."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from distill.encoders import set_labels
from distill.errors import UserError
from distill.params.base import nearest
from distill.stacks import layer_stack
from distill.tasks.base import Task

TRIAL_TOKENS = 4


def evenly(depth: int, teacher_layers: int) -> tuple[int, ...]:
    """`depth` layers of `teacher_layers`, evenly spaced, the first and the last among them: 6 of 12 are 0, 2, 4, 7, 9, 11.

    Raises:
        UserError: the teacher is not so deep.
    """
    if depth > teacher_layers:
        raise UserError(f"init.depth: {depth} layers are wanted, the model that they come from has {teacher_layers}")
    return tuple(int(layer) for layer in np.round(np.linspace(0, teacher_layers - 1, depth)))


def from_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A model of the same family and width with copies of these layers, embeddings, pooler and head included.

    Args:
        model: Where they come from; it is left as it is.
        layers: Numbers of transformer layers, counted from 0, in the student's order.

    Raises:
        UserError: a layer that the model lacks, or that cannot stand where it is wanted.
    """
    prefix, stack = layer_stack(model)
    for layer in layers:
        if layer >= len(stack):
            raise UserError(f"init.layers: there is no layer {layer}; expected 0 to {len(stack) - 1}")
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None) is not None:
        config.layer_types = [config.layer_types[layer] for layer in layers]
    student = type(model)(config)
    weights = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(f"{prefix}."):
            weights[name] = tensor
            continue
        number, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        weights |= {f"{prefix}.{new}.{rest}": tensor for new, old in enumerate(layers) if old == int(number)}
    odd = sorted(weights.keys() ^ student.state_dict().keys())
    if odd:
        raise UserError(
            f"init.layers: {list(layers)} of a {model.config.model_type}: its layers are not alike, {odd[0]} has no place; "
            "keep layer 0 first and nowhere else, or give depth"
        )
    student.load_state_dict(weights)
    return student


def random_student(
    architecture: Mapping[str, Any], task: Task, labels: Sequence[str], vocabulary: int, pad_token: int
) -> PreTrainedModel:
    """A student with random weights and the task's head, from torch's current random state.

    Args:
        architecture: `model_type` (default bert) and keys of its config.
        task: What it will learn.
        labels: The label names in order; none for masked language models.
        vocabulary: How many tokens are embedded.
        pad_token: The id that pads.

    Raises:
        UserError: an unknown model type or config key, or values that do not go together.
    """
    settings = {"vocab_size": vocabulary, "pad_token_id": pad_token, **architecture}
    family = str(settings.pop("model_type", "bert"))
    if family not in transformers.CONFIG_MAPPING:
        raise UserError(f"init.architecture.model_type: '{family}' is unknown{nearest(family, transformers.CONFIG_MAPPING)}")
    default = AutoConfig.for_model(family)
    known = {*default.to_dict(), *default.attribute_map}
    for key in settings:
        if key not in known:
            raise UserError(f"init.architecture.{key}: not a setting of {family}{nearest(key, known)}")
    settings = {default.attribute_map.get(key, key): value for key, value in settings.items()}
    try:
        config = AutoConfig.for_model(family, **settings, **({"num_labels": len(labels)} if labels else {}))
        _require_heads(config)
        if labels:
            set_labels(config, labels)
        student = cast(PreTrainedModel, getattr(transformers, task.auto).from_config(config))
        _try(student)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError, LookupError, StrictDataclassError) as error:
        raise UserError(f"init.architecture: {family} cannot be built so: {' '.join(str(error).split()):.200}") from None
    return student


def copy_embeddings(student: PreTrainedModel, source: PreTrainedModel) -> None:
    """Give a student the embeddings of another model, in place; narrower ones get them in fewer dimensions (`narrowed`).

    Raises:
        UserError: they are of another kind or shape, or the student's are wider.
    """
    own, theirs = (getattr(model.base_model, "embeddings", None) for model in (student, source))
    if own is None or theirs is None:
        raise UserError(f"init.copy_embeddings: a {student.config.model_type} keeps none that could be copied; remove it")
    shapes = {name: tuple(tensor.shape) for name, tensor in own.state_dict().items()}
    width, words = student.get_input_embeddings().weight.shape[1], source.get_input_embeddings().weight.detach()
    weights = dict(theirs.state_dict()) if width >= words.shape[1] else own.state_dict() | narrowed(theirs, words, width)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(shapes.keys() | found.keys()):
        if shapes.get(name) != found.get(name):
            raise UserError(
                f"init.copy_embeddings: {name} is {shapes.get(name)} in the student, {found.get(name)} in the source; "
                "give the architecture the same embeddings, or remove copy_embeddings"
            )
    own.load_state_dict(weights)


def narrowed(embeddings: nn.Module, words: Float[Tensor, "words wide"], width: int) -> dict[str, Tensor]:
    """The tables of an embedding module along the `width` principal axes of its word table, (entries, width) each.

    Of all projections to so few dimensions it keeps most of the word table's squared norm, and so of what tells words apart;
    a random student of few rows never meets most words. What is no table (a LayerNorm) is left out: it speaks of channels
    that are no more.
    """
    tables = {f"{name}.weight": part.weight for name, part in embeddings.named_modules() if isinstance(part, nn.Embedding)}
    doubled = words.double()
    axes = torch.linalg.eigh(doubled.T @ doubled).eigenvectors[:, -width:]
    axes = axes * torch.where(axes.sum(dim=0) < 0, -1.0, 1.0)
    fitting = {name: table for name, table in tables.items() if table.shape[1] == len(axes)}
    return {name: (table.detach().double() @ axes).to(table.dtype) for name, table in fitting.items()}


def _require_heads(config: PretrainedConfig) -> None:
    width, heads = getattr(config, "true_hidden_size", config.hidden_size), config.num_attention_heads
    if heads < 1 or width % heads:
        raise UserError(f"init.architecture: {heads} heads do not divide a width of {width}; choose a divisor of it")


def _try(student: PreTrainedModel) -> None:
    """Not every config that can be built can be run."""
    student.eval()
    with torch.no_grad():
        student(input_ids=torch.full((1, TRIAL_TOKENS), 1))
    student.train()
