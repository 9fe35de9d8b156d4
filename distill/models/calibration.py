"""A trained model's temperature, put into its weights: so every program that runs the model gets honest probabilities."""

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from distill.data.batching import pad_batch
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
    first = pad_batch(validation.rows, np.array([0]))
    parts, training = [part for part in (head.weight, head.bias) if part is not None], model.training
    with torch.no_grad():
        raw = forward_of(model.eval(), task)(first, None)
        before = [part.clone() for part in parts]
        for part in parts:
            part.div_(temperature)
        divided = torch.allclose(forward_of(model, task)(first, None) * temperature, raw, rtol=1e-3, atol=1e-3)
        if divided:
            model.config.calibration_temperature = temperature
        else:
            for part, whole in zip(parts, before, strict=True):
                part.copy_(whole)
    model.train(training)


def last_linear(model: PreTrainedModel) -> nn.Linear | None:
    """The layer that a head ends in: the last linear one outside the trunk."""
    trunk = f"{model.base_model_prefix}."
    found = [part for name, part in model.named_modules() if isinstance(part, nn.Linear) and not name.startswith(trunk)]
    return found[-1] if found else None
