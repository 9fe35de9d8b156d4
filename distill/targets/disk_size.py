"""What a target set will take on disk, from the lengths of its rows, before the teacher runs.

Shards are written in full, with zeros for values, to a sink that counts and keeps nothing: Arrow's own framing is thereby exact.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.data.dataset import ID_BYTES, PreparedRows
from distill.params.task_specs import Per
from distill.store.codecs.registry import codec_of, empty_planes
from distill.store.codecs.vectors import needs_statistics
from distill.store.output_names import HEADS, REPLAY, TOKENS, kind_of
from distill.store.replay.embeddings import replays_embeddings
from distill.store.replay.registry import NO_TOKENS, replay_weights
from distill.store.shards import Column, write_rows
from distill.targets.materialization.outputs import MaterializeSpec, resolve, settled, vectors_a_row
from distill.targets.materialization.units import TeacherShape, cut, row_bytes

VARIANCE_LOST = {"fp32": 0.0, "fp16": 5e-8, "bf16": 3e-6, "int8": 6e-5, "int4": 1e-2}
"""The fraction of a trained BERT's hidden states' variance that a codec loses."""

KL_LOST = {REPLAY: 1e-4, "probabilities-u8": 1e-4, "scores-u8": 2e-4, "scores-fp16": 1e-7}
"""Nats between a trained BERT's attention distributions and those that are read back; `replay` is from int8 states."""


class DiskSize:
    """Bytes of the outputs of any job over a data set. Equal rows are stored once."""

    def __init__(self, dataset: Mapping[str, PreparedRows], model: PreTrainedModel, task: str) -> None:
        """Look at the rows of each split. Of the teacher's `model` shapes alone are read: it may lie on the meta device."""
        self.shape, self.task, self.rows, self.model = TeacherShape.of(model), task, dataset, model
        self.lengths = {split: rows.lengths[rows.firsts()] for split, rows in dataset.items()}
        self._known: dict[tuple[object, ...], int] = {}

    def outputs(self, job: MaterializeSpec) -> dict[str, dict[str, int]]:
        """Bytes of each output by split, and of `heads.safetensors` of a replayed one; manifests, some kB each, are left out."""
        job = settled(job, self.shape.layers, self.task, lambda: replays_embeddings(self.model))
        outputs = resolve(job, self.shape.layers, self.task)
        found: dict[str, dict[str, int]] = {output: {} for output in outputs.stored}
        for split in self.lengths:
            for output in outputs.of_split(split, job):
                codec, per = outputs.stored[output], outputs.per[output]
                found[output][split] = self._split(output, codec, per, split, job.shard_bytes)
        for output, source in outputs.replayed.items():
            found[output] = {HEADS: self._frozen(output, source, job.hidden_splits)}
        return dict(sorted(found.items()))

    def total(self, job: MaterializeSpec) -> int:
        """Bytes of the whole set."""
        return sum(sum(sizes.values()) for sizes in self.outputs(job).values())

    def attention(self, job: MaterializeSpec) -> dict[str, int]:
        """What a job's attention adds to its set, by the ways to keep it."""
        rest = self.total(replace(job, attention=()))
        return {kind: self.total(replace(job, attention_as=kind)) - rest for kind in KL_LOST}

    def _split(self, output: str, codec: str, per: Per, split: str, shard_bytes: int) -> int:
        rows, key = self.rows[split], (kind_of(output)[0], codec, per, split, shard_bytes)
        if key not in self._known:
            types = rows.token_types is not None
            vectors = self._vectors(per, split)
            sizes = row_bytes(output, codec, vectors, types, self.shape)
            shards = cut(np.arange(len(sizes)), sizes, shard_bytes, self.lengths[split], None)
            width = self.shape.width_of(output, types)
            self._known[key] = sum(file_bytes(output, codec, width, vectors[chosen]) for chosen in shards)
        return self._known[key]

    def _vectors(self, per: Per, split: str) -> Array:
        """Vectors a row of an output that has one of each `per`."""
        if per == "position":
            return vectors_a_row(per, self.rows[split], self.rows[split].firsts())
        return self.lengths[split] if per == "token" else np.ones_like(self.lengths[split])

    def _frozen(self, output: str, source: str, splits: tuple[str, ...]) -> int:
        """The frozen matrices of a replayed output: their numbers, and some 90 bytes of header for each."""
        key = (output, splits)
        if key not in self._known:
            used = NO_TOKENS
            if source == TOKENS:
                tokens = [self.rows[split].tokens for split in self.rows if split in splits]
                used = np.flatnonzero(np.bincount(np.concatenate(tokens)))
            self._known[key] = sum(tensor.nbytes + 90 for tensor in replay_weights(self.model, output, used).tensors().values())
        return self._known[key]


def file_bytes(output: str, codec: str, width: int, vectors: Array) -> int:
    """An Arrow file of rows with so many vectors (of maps: tokens)."""
    statistics = {}
    if needs_statistics(codec):
        statistics = {"mean": torch.zeros(width), "deviation": torch.ones(width)}
    keeper = codec_of(output, codec, width, statistics)
    counts, columns = keeper.counts(vectors), {}
    for name, plane in empty_planes(output, width, keeper).items():
        starts = np.concatenate([[0], np.cumsum(counts[name])])
        columns[name] = Column(np.zeros((int(starts[-1]), plane.shape[1]), plane.numpy().dtype), starts)
    ids = np.zeros((len(vectors), ID_BYTES), np.uint8)
    sink = pa.MockOutputStream()
    write_rows(sink, output, ids, columns, codec, statistics)
    return int(sink.size())
