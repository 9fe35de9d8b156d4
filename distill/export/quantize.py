"""ONNX graphs in 8 bits: weights a channel, embedding tables too; activations as they come, or by calibration."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.export.session import data_of

OPERATORS = ("MatMul", "Gemm", "Gather")
"""What is quantized: linear layers and embedding tables, where a model's bytes are."""
RENAMED = "_MatMul"
"""What the dynamic quantizer adds to the name of a Gemm, which it makes a MatMul before it looks at what is excluded."""


def quantize(
    source: Path,
    target: Path,
    *,
    calibration: Iterable[dict[str, Array]] | None = None,
    exact: Sequence[str] = (),
    reduce_range: bool = False,
) -> None:
    """Write an ONNX file's INT8 version: int8 weights with a scale a channel (embedding tables: one), uint8 activations.

    Batches for `calibration` fix the scales of activations once and for all (static); without them each batch has its own
    (dynamic), so a row's logits depend a little on the rows beside it. `exact` names nodes that are left as they are, as
    `excluded` and `weighted` give them. `reduce_range` makes 7-bit weights, for CPUs with AVX2 or AVX-512 but no
    VNNI, whose products of 8 bits overflow. Weights lie beside the file if those of the source do.
    """
    how: dict[str, Any] = {
        "op_types_to_quantize": list(OPERATORS),
        "nodes_to_exclude": [*exact, *(f"{node}{RENAMED}" for node in exact if node.endswith("Gemm"))],
        "per_channel": True,
        "reduce_range": reduce_range,
        "weight_type": QuantType.QInt8,
        "use_external_data_format": data_of(source).is_file(),
    }
    with _without_advice():
        if calibration is None:
            quantize_dynamic(source, target, **how)
        else:
            how |= {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QUInt8}
            quantize_static(source, target, _Rows(calibration), **how)


def excluded(source: Path, keep_fp32: Sequence[str]) -> list[str]:
    """The nodes that belong to these parts of the model, as torch has them: `classifier`, `encoder.layer.11`."""
    nodes = [node.name for node in onnx.load(source, load_external_data=False).graph.node if node.op_type in OPERATORS]
    dotted = {node: f"{node.replace('/', '.')}." for node in nodes}
    nodes_of = {part: [node for node in nodes if f".{part}." in dotted[node]] for part in keep_fp32}
    for part in keep_fp32:
        if not nodes_of[part]:
            modules = sorted({name.rpartition(".")[0].rpartition(".")[0].removeprefix(".model.") for name in dotted.values()})
            near = ", ".join(modules[:3])
            raise UserError(f"keep_fp32: the model has no part '{part}'; expected names such as {near}, or a part of them")
    return sorted({node for names in nodes_of.values() for node in names})


def weighted(source: Path) -> dict[str, int]:
    """The nodes that have matrices or tables of weights, in the graph's order, and how many weights each has."""
    graph = onnx.load(source, load_external_data=False).graph
    tables = {part.name: math.prod(part.dims) for part in graph.initializer if len(part.dims) > 1}
    nodes = {node.name: sum(tables.get(name, 0) for name in node.input) for node in graph.node if node.op_type in OPERATORS}
    return {name: weights for name, weights in nodes.items() if weights}


class _Rows(CalibrationDataReader):
    """Batches, one after the other, as the quantizer asks for them."""

    def __init__(self, batches: Iterable[dict[str, Array]]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, Array] | None:
        return next(self.batches, None)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the quantizer's advice on preprocessing, which changes nothing here, off the screen."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
