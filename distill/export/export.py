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
from distill.export.guard import Calibration, GuardedExport, quantize_guarded
from distill.export.onnx_graph import export_model, inputs_of
from distill.export.session import FP32
from distill.params.exports import ExportSettings


def write_export(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, settings: ExportSettings
) -> GuardedExport:
    """Write all but the model card; returns how the INT8 file was made: distill/export/guard.py."""
    export_model(model, folder / FP32)
    model.config.save_pretrained(folder)
    if model.can_generate():  # what ends a text, among others
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    inputs = inputs_of(model)

    def calibration(split: str) -> Calibration:
        return lambda: calibration_of(dataset, settings.calibration_rows, inputs, split)

    return quantize_guarded(folder, dataset, settings, calibration)


def calibration_of(
    dataset: Dataset, count: int, inputs: tuple[str, ...], split: str = "validation"
) -> Iterator[dict[str, Array]]:
    """Rows of a split, spread evenly over it, one a batch: so nothing is padded."""
    rows = dataset.rows(split)
    for row in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)):
        batch = {name: part.numpy() for name, part in pad_batch(rows, np.array([row])).items()}
        ids = batch["input_ids"]
        whole = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids), **batch}
        yield {name: whole[name] for name in inputs}
