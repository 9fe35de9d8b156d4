"""A model as an ONNX graph: fp32, any batch, any length."""

import inspect
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import Tensor
from transformers import PreTrainedModel

from distill.export.session import data_of
from distill.models.bi_encoder import reads_apart
from distill.models.evaluating import evaluating
from distill.models.sentence_encoder import SentenceEncoder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 18
INLINE = 2**31 - 2**20
"""The most bytes of a file with its weights inside: protobuf takes no message of 2 GiB."""
TRACED = (2, 9)
"""Rows and tokens of the batch that is traced; both are free in the graph."""


def export_model(model: PreTrainedModel, path: Path) -> None:
    """Write a model with its head as an ONNX file: equal models give equal bytes.

    Weights are inside, or, of a model over INLINE bytes, in `data_of(path)`: torch has a file a tensor for them, others one.

    Inputs are those of INPUTS that the model reads, (batch, length) int64. Outputs are `logits`, `start_logits` and
    `end_logits`, or `sentence_embedding`; a masked language model's are of every token, over the whole vocabulary.

    The graph comes from torch's tracing exporter. The newer one of torch 2.13 agrees with it to 1e-6 in every family here, but
    takes 5 to 14 times as long, writes source paths into the file, adds a check for NaN to every softmax, and ONNX Runtime's
    quantizer refuses some of its graphs (TinyBERT-4's and MobileBERT's classifiers).
    """
    with TemporaryDirectory(dir=path.parent) as folder:
        traced = Path(folder, path.name)
        _trace(model, traced)
        if sum(file.stat().st_size for file in traced.parent.iterdir()) <= INLINE:
            traced.rename(path)
        else:
            onnx.save(onnx.load(traced), path, save_as_external_data=True, location=data_of(path).name)


def _trace(model: PreTrainedModel, path: Path) -> None:
    names = inputs_of(model)
    asked = type(model).__name__.endswith("ForQuestionAnswering")
    answer = "sentence_embedding" if isinstance(model, SentenceEncoder) and not reads_apart(model.config) else "logits"
    outputs = ("start_logits", "end_logits") if asked else (answer,)
    reads = [torch.full(TRACED, int(name != "token_type_ids"), device=model.device) for name in names]
    with warnings.catch_warnings(), evaluating(model), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model, names, outputs).eval(),
            tuple(reads),
            str(path),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )


def inputs_of(model: PreTrainedModel) -> tuple[str, ...]:
    """The inputs that a model reads; token types only where there are several."""
    taken = inspect.signature(model.forward).parameters
    several = getattr(model.config, "type_vocab_size", 0) > 1 or reads_apart(model.config)
    return tuple(name for name in INPUTS if name in taken and (several or name != "token_type_ids"))


class _Logits(torch.nn.Module):
    """A model that takes tensors in order and gives its logits alone, as a traced graph does."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        results: Any = self.model(**dict(zip(self.names, inputs, strict=True)), return_dict=True)
        return tuple(results[name] for name in self.outputs)
