"""ONNX files as functions of batches."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from distill.core.arrays import Array
from distill.core.errors import UserError, one_line

FP32, INT8 = "model.onnx", "model-int8.onnx"
"""The two files of an export; the weights of large ones lie beside them, in `data_of` each."""


class Session:
    """An ONNX file in ONNX Runtime, on the CPU."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Read what the graph takes."""
        self.session = session
        self.inputs = tuple(part.name for part in session.get_inputs())

    def __call__(self, batch: Mapping[str, Array]) -> Array:
        """Raw logits, float32: (batch, classes), (batch, seq, classes); of question answering (batch, seq, 2), start and end.

        A batch has `input_ids`, (batch, seq) int64 as all are; `attention_mask` if anything is padded; `token_type_ids` of pairs.
        What the graph does not take is ignored.
        """
        missing = {"attention_mask": np.ones_like, "token_type_ids": np.zeros_like}
        feed = {name: batch[name] if name in batch else missing[name](batch["input_ids"]) for name in self.inputs}
        outputs: list[Array] = self.session.run(None, feed)
        return outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=-1)


def data_of(path: Path) -> Path:
    """model.onnx → model.onnx.data"""
    return path.with_name(f"{path.name}.data")


def files_of(path: Path) -> list[Path]:
    """An ONNX file, and that of its weights if they lie beside it."""
    return [path, *([data_of(path)] if data_of(path).is_file() else [])]


def open_session(path: Path, threads: int | None = None) -> Session:
    """Load an ONNX file that `export` has written; with so many threads for an operator, or one a physical core.

    Threads rest between calls, instead of spinning for the next one on cores that something else may need.
    """
    if not path.is_file():
        stage = "export-teacher" if path.parent.parent.name == "teachers" else "export"
        raise UserError(f"{path}: no such file; run `dvc repro {stage}@{path.parent.name}`, or `dvc pull {path.parent}`")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return Session(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        line = one_line(error)
        raise UserError(f"{path}: ONNX Runtime cannot load it ({line}); delete the folder and export again") from None
