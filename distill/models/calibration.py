"""A trained model's temperature, put into its weights: so every program that runs the model gets calibrated probabilities."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.data.batching import pad_batch
from distill.models.evaluating import evaluating
from distill.models.predict import forward_of, predict
from distill.tasks.base import EvaluationSplit, Task
from distill.tasks.calibration import fit_temperature


def calibrate(model: PreTrainedModel, task: Task, validation: EvaluationSplit) -> None:
    """Divide a trained model's logits by the temperature of the least log-loss on validation rows; its answers stay the same.

    The last layer's weights are divided, and config.json's `calibration_temperature` says by how much: torch, ONNX, transformers'
    pipelines and transformers.js agree, and none has to know. A head that does not end in a linear layer is left as it is.
    (`temperature` alone would be a parameter of generation, with which transformers saves no config.)
    """
    head = last_linear(model)
    if not task.calibrates or head is None:
        return
    temperature = fit_temperature(*task.distributions(predict(model, task, validation.rows, "calibrate"), validation))
    parts = [part for part in (head.weight, head.bias) if part is not None]
    with evaluating(model):
        if _divides(model, task, parts, validation):
            model.config.calibration_temperature = temperature
            for part in parts:
                part.div_(temperature)


def _divides(model: PreTrainedModel, task: Task, parts: Sequence[Tensor], validation: EvaluationSplit) -> bool:
    """Whether half of the head's weights makes half of the logits, as they do unless something comes behind that layer."""
    first = pad_batch(validation.rows, np.array([0]))
    raw = forward_of(model, task)(first, None)
    for part in parts:
        part.div_(2)
    halved = forward_of(model, task)(first, None)
    for part in parts:
        part.mul_(2)
    return torch.allclose(2 * halved, raw, rtol=1e-3, atol=1e-3)


def last_linear(model: PreTrainedModel) -> nn.Linear | None:
    """The layer that a head ends in: the last linear one outside the trunk."""
    trunk = f"{model.base_model_prefix}."
    found = [part for name, part in model.named_modules() if isinstance(part, nn.Linear) and not name.startswith(trunk)]
    return found[-1] if found else None
