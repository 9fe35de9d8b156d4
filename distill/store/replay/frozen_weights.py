"""Small sets of frozen matrices: to and from flat tensors, and a matrix product that is fast on CPUs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TypeVar, get_type_hints

import numpy as np
import torch
from jaxtyping import Float32, Int64, jaxtyped
from torch import Tensor
from torch.nn import functional

from distill.core.errors import UserError
from distill.store.codecs.vectors import Codec, Planes
from distill.store.output_names import HEADS

Lengths = Int64[np.ndarray, " batch"]
Kind = TypeVar("Kind", bound="FrozenMatrices")


@dataclass(frozen=True, eq=False)
class FrozenMatrices(ABC):
    """Tensors and numbers by name. A field that may be None is left out of what is saved."""

    def tensors(self) -> dict[str, Tensor]:
        """What is saved; numbers become tensors of one element, float64 or int64."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def from_tensors(cls: type[Kind], tensors: Mapping[str, Tensor], where: str = HEADS) -> Kind:
        """From what was saved in the file `where`: nothing missing, nothing more, types and shapes as declared."""
        expected = get_type_hints(cls)
        again = f"{where}: expected the matrices of {cls.__name__}; run the targets stage again"
        if unknown := sorted(set(tensors) - set(expected)):
            raise UserError(f"{again}: got {', '.join(unknown)} too")
        found = {name: tensors.get(name) for name in expected}
        numbers = {name: value.item() for name, value in found.items() if value is not None and value.dim() == 0}
        with jaxtyped("context"):  # in which a dimension's name stands for one size
            for name, value in (found | numbers).items():
                if not isinstance(value, expected[name]):
                    got = f"{str(value.dtype)[6:]} {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
                    raise UserError(f"{again}: {name} is {got}, expected {expected[name]}")
        made = cls(**found | numbers)
        if problem := made.problem():
            raise UserError(f"{again}: {problem}")
        return made

    def problem(self) -> str | None:
        """What the declared shapes do not say and is wrong."""
        return None

    @abstractmethod
    def replay(self, vectors: Tensor, lengths: Lengths) -> Tensor:
        """The output, from a batch of what it is computed from: rows of these lengths, one after the other."""

    def replay_stored(self, planes: Planes, codec: Codec, lengths: Lengths) -> Tensor:
        """The same, from vectors as a codec keeps them."""
        return self.replay(codec.decode(planes, lengths), lengths)


def linear(
    weight: Float32[Tensor, "outputs inputs"], bias: Float32[Tensor, " outputs"] | None
) -> Callable[[Float32[Tensor, "n inputs"]], Float32[Tensor, "n outputs"]]:
    """Inputs·Wᵀ + b, without gradients; on a CPU by oneDNN on a weight laid out for it once: on AMD's twice as fast as MKL."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return partial(functional.linear, weight=weight, bias=bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")


def copied(parameter: Tensor) -> Tensor:
    """A parameter's value in fp32, on its device; what is later done to the model does not reach it."""
    return parameter.detach().to(torch.float32, copy=True)
