"""data/exports/KIND/NAME/: a model for production.

`model.onnx` is fp32, `model-int8.onnx` INT8; `config.json` and the tokenizer's files are as transformers reads them, label names
in the former; `README.md` is the model card.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.export.onnx_graph import export_model, inputs_of
from distill.export.quantize import quantize
from distill.export.session import FP32, INT8
from distill.params.exports import ExportSettings


def write_export(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, settings: ExportSettings
) -> None:
    """Write all but the model card."""
    export_model(model, folder / FP32)
    static = settings.quantization == "static"
    quantize(
        folder / FP32,
        folder / INT8,
        calibration=calibration_of(dataset, settings.calibration_rows, inputs_of(model)) if static else None,
        keep_fp32=settings.keep_fp32,
        reduce_range=settings.reduce_range,
    )
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def calibration_of(dataset: Dataset, count: int, inputs: tuple[str, ...]) -> Iterator[dict[str, Array]]:
    """Rows of the validation split, spread evenly over it, one a batch: so nothing is padded."""
    rows = dataset.rows("validation")
    for row in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)):
        batch = {name: part.numpy() for name, part in pad_batch(rows, np.array([row])).items()}
        ids = batch["input_ids"]
        whole = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids), **batch}
        yield {name: whole[name] for name in inputs}
