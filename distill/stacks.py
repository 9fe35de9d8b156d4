"""Where a model keeps its transformer layers, whatever its family."""

from torch import nn
from transformers import PreTrainedModel

from distill.errors import UserError


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
            f"{type(model).__name__}: has no list of {depth} layers, they share weights or are kept otherwise; "
            "start the student from random weights: init.architecture"
        )
    return min(found, key=lambda entry: entry[0].count("."))
