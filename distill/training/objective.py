"""What a training run minimizes: a loss of outputs and batch, and the module whose forward pass returns it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.data.averaging import shares
from distill.models.attention import capture_attention
from distill.models.families import is_causal_lm, layer_stack
from distill.models.loading import only_positions
from distill.tasks.base import HARD_LABELS, Task

Loss = Callable[[Any, Mapping[str, Any], Mapping[int, Tensor]], tuple[Tensor, dict[str, Tensor]]]
"""(the model's outputs, the batch, its attention scores by layer) → the loss, and its terms by name"""


@dataclass(frozen=True)
class Objective:
    """What is minimized, what it reads of the model, and what is trained beside it."""

    task: Task
    loss: Loss
    reads_hidden: bool = False
    reads_last_states: bool = False
    """Whether the loss takes a language model's last hidden states, and makes logits of them itself."""
    reads_attention: tuple[int, ...] = ()
    """The model's layers, counted from 1, whose attention it reads: scores, and projections."""
    extra_modules: nn.Module | None = None
    """Projections and the like: trained, kept in checkpoints, and no part of the model that is saved."""
    row_divergences: Callable[[Any, Mapping[str, Any]], Tensor] | None = None
    """(the model's outputs, the batch) → (rows,) how far each row's answer is from the teacher's, by which rows are chosen."""
    earlier_layers_lr_scale: float | None = None
    """If layers are trained one after the other: the share of the learning rate that earlier ones keep. The batch's
    `current_layer`, from 0, is the one that is being trained."""


def supervised(task: Task) -> Objective:
    """The loss against the labels alone."""

    def loss(outputs: Any, batch: Mapping[str, Any], _: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        mask = batch.get("attention_mask")
        value = task.label_loss(task.align(task.raw(outputs), mask), task.align_labels(batch["labels"], mask))
        value = value * shares(batch)["labels"]
        return value, {HARD_LABELS: value}

    return Objective(task, loss)


class DistillationModel(nn.Module):
    """A model and its extra modules as one module, whose forward pass returns the loss.

    So optimizer, gradient norm, device and checkpoints hold all that is trained, and so does the mean of gradients over
    processes, for which torch's DistributedDataParallel looks at what the forward pass returns.
    """

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        """`model` is the teacher or student that is saved in the end."""
        super().__init__()
        self.model, self.extra_modules, self.objective = model, objective.extra_modules, objective
        self.fixed = {"use_cache": False} if is_causal_lm(model) else {}
        accepted = inspect.signature(model.forward).parameters
        self.inputs = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch as a collator makes it, and the loss's terms by name, without gradients."""
        objective = self.objective
        where = objective.task.positions(batch["labels"], batch.get("attention_mask"))
        model = self.model.base_model if objective.reads_last_states else self.model
        with (
            capture_attention(self.model, objective.reads_attention, values=True) as attention,
            only_positions(self.model, where),
        ):
            inputs = {name: batch[name] for name in self.inputs if name in batch}
            outputs = model(**inputs, output_hidden_states=objective.reads_hidden, **self.fixed)
        with torch.autocast(batch["input_ids"].device.type, enabled=False):
            loss, terms = objective.loss(convert_to_fp32(outputs), batch, attention)
        return loss, {name: value.detach() for name, value in terms.items()}

    def parts(self) -> list[tuple[str, int | None]]:
        """The path of each of the model's layers, with its number from 0; and of the extra modules, with None."""
        prefix, stack = layer_stack(self.model)
        layers: list[tuple[str, int | None]] = [(f"model.{prefix}.{layer}", layer) for layer in range(len(stack))]
        return layers if self.extra_modules is None else [*layers, ("extra_modules", None)]
