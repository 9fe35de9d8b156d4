"""Newborn students: layers copied from a larger model, or random weights in any shape."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from distill.encoders import set_labels
from distill.errors import UserError
from distill.params.base import nearest


def evenly(depth: int, teacher_layers: int) -> tuple[int, ...]:
    """`depth` layers of `teacher_layers`, evenly spaced, the first and the last among them: 6 of 12 are 0, 2, 4, 7, 9, 11.

    Raises:
        UserError: the teacher is not so deep.
    """
    if depth > teacher_layers:
        raise UserError(f"init.depth: {depth} layers are wanted, the model that they come from has {teacher_layers}")
    return tuple(int(layer) for layer in np.round(np.linspace(0, teacher_layers - 1, depth)))


def layer_stack(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The path and the list of a model's transformer layers.

    Raises:
        UserError: there is no single list of as many modules as the config says.
    """
    depth = int(model.config.num_hidden_layers)
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and "." in name
    ]
    if not found:
        raise UserError(
            f"{type(model).__name__}: its layers were not found; start the student from random weights: init.architecture"
        )
    return min(found, key=lambda entry: entry[0].count("."))


def from_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A model of the same family and width with copies of these layers, embeddings, pooler and head included.

    Args:
        model: Where they come from; it is left as it is.
        layers: Numbers of transformer layers, counted from 0, in the student's order.

    Raises:
        UserError: a layer that the model lacks.
    """
    prefix, stack = layer_stack(model)
    for layer in layers:
        if layer >= len(stack):
            raise UserError(f"init.layers: there is no layer {layer}; expected 0 to {len(stack) - 1}")
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(layers)
    student = type(model)(config)
    weights = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(f"{prefix}."):
            weights[name] = tensor
            continue
        number, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        weights |= {f"{prefix}.{new}.{rest}": tensor for new, old in enumerate(layers) if old == int(number)}
    student.load_state_dict(weights)
    return student


def random_student(architecture: Mapping[str, Any], labels: Sequence[str], vocabulary: int, pad_token: int) -> PreTrainedModel:
    """A student with random weights, from torch's current random state.

    Args:
        architecture: `model_type` (default bert) and keys of its config.
        labels: The label names in order.
        vocabulary: How many tokens are embedded.
        pad_token: The id that pads.

    Raises:
        UserError: an unknown model type or config key, or values that do not go together.
    """
    from transformers import CONFIG_MAPPING

    settings = {"vocab_size": vocabulary, "pad_token_id": pad_token, **architecture}
    family = str(settings.pop("model_type", "bert"))
    if family not in CONFIG_MAPPING:
        raise UserError(f"init.architecture.model_type: '{family}' is unknown{nearest(family, CONFIG_MAPPING)}")
    default = AutoConfig.for_model(family)
    known = {*default.to_dict(), *default.attribute_map}
    for key in settings:
        if key not in known:
            raise UserError(f"init.architecture.{key}: not a setting of {family}{nearest(key, known)}")
    try:
        config = AutoConfig.for_model(family, num_labels=len(labels), **settings)
        set_labels(config, labels)
        return cast(PreTrainedModel, AutoModelForSequenceClassification.from_config(config))
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"init.architecture: {family} cannot be built so: {str(error).splitlines()[0]}") from None
