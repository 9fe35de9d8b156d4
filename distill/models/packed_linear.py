"""A copy of a teacher that computes the same, faster: its linear layers call oneDNN on weights that are laid out for it once.

torch gives fp32 matrix products to MKL, which on AMD CPUs runs at less than half of what oneDNN reaches, on some at 0.6 to 0.8 of
it (`make bench`, docs/store.md). The operators are those that `torch.compile` puts in the place of linear layers when it freezes
a model; without its tracing, one copy serves every shape. The same batch on as many threads gives the same bytes each time.
"""

import copy
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import GELUActivation
from transformers.pytorch_utils import Conv1D

from distill.models.families import FAMILIES


class PackedLinear(nn.Module):
    """A linear layer for inference, and the GELU after it if there is one; in bf16 it computes what autocast would."""

    def __init__(self, linear: nn.Linear | Conv1D, dtype: torch.dtype, *, gelu: bool = False) -> None:
        """Lay out the weight in `dtype`; the linear layer stays as it is. GPT-2's Conv1D is one with its weight transposed."""
        super().__init__()
        weight = linear.weight.detach().T.contiguous() if isinstance(linear, Conv1D) else linear.weight.detach()
        # Neither is a parameter: moving a model or saving it knows nothing of oneDNN's layouts.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype))
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype, copy=True)
        self.dtype, self.activation = dtype, "gelu" if gelu else "none"

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weight, unpacked anew each time: for the few heads that read it beside calling the layer."""
        weight: Tensor = self.packed.to_dense()
        return weight

    def forward(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The layer's output x Wᵀ + b, or its GELU (the exact one, by erf)."""
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs.to(self.dtype), self.packed, self.bias, self.activation, [], "none"
        )
        return outputs


def fast_inference(model: PreTrainedModel, precision: str = "fp32") -> PreTrainedModel:
    """A copy for `torch.inference_mode`, or the model itself where packing does not help: off the CPU, or without oneDNN or AVX2.

    The copy shares embeddings, norms and all else that it does not pack with the model, which stays as it is. It holds the linear
    layers' weights a second time for as long as the caller keeps the model, and does not follow if the model is trained on.
    Hidden states of a model in fp32 differ by less than 1e-5, the rounding of fp32. `precision` bf16 is to be run under autocast.
    """
    fp32 = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    if model.device.type != "cpu" or not fp32 or not _onednn_serves():
        return model
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    packed = copy.deepcopy(model, shared)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    activated = dict.fromkeys(family.feed_forward for family in FAMILIES.values() if family.feed_forward)
    for parent in list(packed.modules()):
        for linear, activation in activated:
            if _is_linear(getattr(parent, linear, None)) and _is_exact_gelu(getattr(parent, activation, None)):
                setattr(parent, linear, PackedLinear(getattr(parent, linear), dtype, gelu=True))
                setattr(parent, activation, nn.Identity())
        for name, child in parent.named_children():
            if _is_linear(child):
                setattr(parent, name, PackedLinear(child, dtype))
    return packed


def _onednn_serves() -> bool:
    onednn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return onednn and torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"}


def _is_linear(module: object) -> bool:
    """Subclasses do something of their own."""
    return type(module) in (nn.Linear, Conv1D)


def _is_exact_gelu(module: object) -> bool:
    return isinstance(module, GELUActivation) and module.act is nn.functional.gelu
