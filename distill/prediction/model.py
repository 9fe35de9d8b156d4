"""A model and its tokenizer, as a function of rows: a checkpoint in torch, or an export in ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from distill.devices import best_device
from distill.encoders import load_or_explain, load_tokenizer, longest
from distill.errors import UserError
from distill.evaluation import Forward, forward_of, predict_by
from distill.exports.measuring import forward_of_session
from distill.exports.sessions import FP32, open_session
from distill.prepared import ID_BYTES, PreparedRows
from distill.tasks.base import Task
from distill.tasks.catalogue import task_of

Array = np.ndarray[Any, np.dtype[Any]]
HEADS = {
    "ForSequenceClassification": "sequence-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "masked-lm",
}
MOST_TOKENS = 512
"""Of a model that does not say how long its rows may be."""
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Encoded:
    """The tokens of some rows."""

    tokens: PreparedRows
    spans: list[Array]
    """(tokens, 2) int a row: the characters that each token covers, empty for special tokens"""
    cut: list[bool]
    """Whether the row was longer than the model takes."""


@dataclass(frozen=True)
class Model:
    """What answers are made with."""

    forward: Forward
    task: Task
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    most: int
    """Tokens a row, special tokens included: as many as the rows had that the model was measured on. Longer texts are cut, or
    read in windows (question answering)."""

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None]) -> Encoded:
        """Tokenize texts, or pairs of texts, the longer one of a pair cut first."""
        found = [self._encode(text, pair) for text, pair in zip(texts, pairs, strict=True)]
        ids = [np.array(one["input_ids"][0], np.int32) for one in found]
        paired = any(pair is not None for pair in pairs) and all("token_type_ids" in one for one in found)
        types = [np.array(one["token_type_ids"][0], np.int8) for one in found] if paired else None
        spans = [np.array(one["offset_mapping"][0], np.int64) for one in found]
        return Encoded(rows_of(ids, types, self.pad_token), spans, [len(one["input_ids"]) > 1 for one in found])

    @property
    def pad_token(self) -> int:
        """The id that pads a batch."""
        return int(self.tokenizer.pad_token_id or 0)

    def logits(self, rows: PreparedRows, task: Task | None = None) -> Array:
        """Logits of all rows, one line a row, a real token or a masked position: as `predict` in distill/evaluation.py."""
        return predict_by(self.forward, task or self.task, rows, None, BATCH_TOKENS)

    def _encode(self, text: str, pair: str | None) -> Any:
        texts = (text,) if pair is None else (text, pair)
        return self.tokenizer(
            *texts, truncation=True, max_length=self.most, return_overflowing_tokens=True, return_offsets_mapping=True
        )


def rows_of(ids: Sequence[Array], types: Sequence[Array] | None, pad_token: int, labels: Array | None = None) -> PreparedRows:
    """Rows that are nowhere on disk; without labels, theirs are 0."""
    return PreparedRows(
        ids=np.zeros((len(ids), ID_BYTES), np.uint8),
        tokens=np.concatenate(ids),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64),
        token_types=None if types is None else np.concatenate(types),
        labels=np.zeros(len(ids), np.int64) if labels is None else labels,
        pad_token=pad_token,
    )


def open_model(place: Path, threads: int | None = None) -> Model:
    """A model by its folder (data/students/NAME, data/exports/students/NAME: its fp32 file), or by its ONNX file.

    Raises:
        UserError: there is none, or it is of no task that is known.
    """
    file = place if place.suffix == ".onnx" else place / FP32
    folder = place.parent if place.suffix == ".onnx" else place
    if not (folder / "config.json").is_file():
        raise UserError(f"{place}: no model; expected data/students/NAME, data/exports/students/NAME, or a .onnx file in it")
    config = load_or_explain(folder, "config", lambda: AutoConfig.from_pretrained(folder))
    task = task_of(task_name(config, str(folder)))
    if place == file or file.is_file():
        forward = forward_of_session(open_session(file, threads))
    else:
        load = getattr(transformers, task.auto).from_pretrained
        model = load_or_explain(folder, "model", lambda: load(folder, dtype="float32"))
        torch.set_num_threads(threads or torch.get_num_threads())
        forward = forward_of(model.eval().to(best_device()), task)
    labels = tuple(str(config.id2label[i]) for i in sorted(config.id2label))
    tokenizer = load_tokenizer(folder)
    return Model(forward, task, tokenizer, labels, most_tokens(tokenizer, config))


def most_tokens(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """As many as the tokenizer says, and at most as many as the model has positions."""
    told = tokenizer.model_max_length if tokenizer.model_max_length < VERY_LARGE_INTEGER else MOST_TOKENS
    return min(told, longest(config) or told)


def task_name(config: PretrainedConfig, where: str) -> str:
    """The task that a model's head is for.

    Raises:
        UserError: it has no head that is known.
    """
    (architecture,) = config.architectures or ("none",)
    found = next((task for ending, task in HEADS.items() if architecture.endswith(ending)), None)
    if found is None:
        raise UserError(f"{where}: is a {architecture}, expected a model {', '.join(HEADS)}")
    return "regression" if found == "sequence-classification" and config.num_labels == 1 else found
