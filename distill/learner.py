"""What a training step runs: a model with all that learns beside it, up to the loss."""

import inspect
from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.attention import capture_attention
from distill.models import only_positions
from distill.objectives import Objective
from distill.stacks import layer_stack


class Learner(nn.Module):
    """A model and what is trained along with it, as one module whose forward pass ends in the loss.

    Thus all that learns has its share of optimizer, gradient norm, device, checkpoints and of the mean of gradients over
    processes, for which torch's DistributedDataParallel looks at what the forward pass returns.
    """

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        """`model` is the teacher or student that is saved in the end."""
        super().__init__()
        self.model, self.along, self.objective = model, objective.trained, objective
        accepted = inspect.signature(model.forward).parameters
        self.inputs = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch as a collator makes it, and the loss's terms by name, without gradients."""
        objective = self.objective
        where = objective.task.positions(batch["labels"], batch.get("attention_mask"))
        with (
            capture_attention(self.model, objective.reads_attention, values=True) as attention,
            only_positions(self.model, where),
        ):
            outputs = self.model(
                **{name: batch[name] for name in self.inputs if name in batch}, output_hidden_states=objective.reads_hidden
            )
        with torch.autocast(batch["input_ids"].device.type, enabled=False):
            loss, terms = objective(convert_to_fp32(outputs), batch, attention)
        return loss, {name: value.detach() for name, value in terms.items()}

    def parts(self) -> list[tuple[str, int | None]]:
        """The path of each of the model's layers, with its number from 0; and of what is trained along, with None.

        Raises:
            UserError: the model has no single list of layers.
        """
        prefix, stack = layer_stack(self.model)
        layers: list[tuple[str, int | None]] = [(f"model.{prefix}.{layer}", layer) for layer in range(len(stack))]
        return layers if self.along is None else [*layers, ("along", None)]
