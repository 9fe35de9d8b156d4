"""How the rows of a target set are cut into units of work, so that the same rows always end in the same shards.

Rows are taken in the order of their example ids, whatever their order in the data set. A unit is one piece of the teacher's
work: rows for which the same outputs are missing, closed when its largest output has reached a shard's size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.progress import bar
from distill.data.dataset import PreparedRows
from distill.models.sentence_encoder import vector_size
from distill.store.codecs.attention import bytes_a_row
from distill.store.codecs.vectors import bytes_a_vector
from distill.store.codecs.vocabulary import vocabulary_codec
from distill.store.output_names import IN_PART, LOGITS, TOKENS, TRANSFORM, kind_of
from distill.store.replay.logits import vocabulary_shape
from distill.targets.materialization.outputs import MaterializeSpec, Outputs, vectors_a_row
from distill.targets.materialization.previous import COMPUTE, COPY, KEEP, KeptShard, PreviousSet

SMALL = (LOGITS, TOKENS, "cls", *IN_PART)

SMALL_UNIT_TOKENS = 65_536
"""The most tokens of a unit, where all that is kept of it is small: what a killed run may have to compute again."""


@dataclass(frozen=True)
class TeacherShape:
    """What sizes depend on."""

    layers: int
    width: int
    heads: int
    classes: int
    inner: int = 0
    """The width of what a masked language model multiplies with its output embedding."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> "TeacherShape":
        """A model's: of its weights only shapes are read. Classes may be a vocabulary, or the numbers of a vector."""
        config = model.config
        classes, inner = vocabulary_shape(model) or (vector_size(model) or config.num_labels, 0)
        heads = getattr(config, "num_attention_heads", 0)
        return cls(config.num_hidden_layers, config.hidden_size, heads, classes, inner)

    def width_of(self, output: str, types: bool) -> int:
        """The width of an output, as its manifest has it; that of projections is the hidden size, unless their heads say else."""
        widths = {
            LOGITS: self.classes,
            TOKENS: 1 + types,
            "attention": self.heads,
            TRANSFORM: self.inner,
            **dict.fromkeys(IN_PART, self.classes),
        }
        return widths.get(kind_of(output)[0], self.width)


@dataclass(frozen=True)
class Unit:
    """Rows of a split that are worked on together."""

    split: str
    positions: Array
    compute: tuple[str, ...]
    """Outputs that the teacher has to be asked for."""
    copy: tuple[str, ...]
    """Outputs whose bytes the base has."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs of the unit."""
        return (*self.compute, *self.copy)


@dataclass(frozen=True)
class Layout:
    """All that is to be done, and what stays of the base: (split, output) → shards."""

    units: tuple[Unit, ...]
    kept: Mapping[tuple[str, str], tuple[KeptShard, ...]]


def lay_out(
    dataset: Mapping[str, PreparedRows], job: MaterializeSpec, outputs: Outputs, shape: TeacherShape, base: PreviousSet
) -> Layout:
    """Cut all rows of all splits into units."""
    units: list[Unit] = []
    kept: dict[tuple[str, str], tuple[KeptShard, ...]] = {}
    for split, rows in dataset.items():
        names = outputs.of_split(split, job)
        positions = rows.firsts()
        states = np.empty((len(positions), len(names)), np.uint8)
        for column, output in enumerate(names):
            states[:, column], shards = base.state(split, output, outputs.stored[output], rows.ids[positions])
            kept[split, output] = tuple(shards)
        for pattern in np.unique(states, axis=0):
            compute, copy = (tuple(np.array(names)[pattern == state].tolist()) for state in (COMPUTE, COPY))
            if (pattern == KEEP).all():
                continue
            chosen = positions[(states == pattern).all(axis=1)]
            sizes = _bytes_a_row(rows, chosen, (*compute, *copy), outputs, shape)
            small = all(kind_of(output)[0] in SMALL for output in (*compute, *copy))
            spans = cut(chosen, sizes, job.shard_bytes, rows.lengths[chosen], SMALL_UNIT_TOKENS if small else None)
            units += [Unit(split, span, compute, copy) for span in spans]
    return Layout(tuple(units), kept)


def cut(positions: Array, sizes: Array, unit_bytes: int, lengths: Array, unit_tokens: int | None) -> Iterator[Array]:
    """Spans of rows, each closed once it has so many bytes, or so many tokens.

    A span depends on where it begins alone, so that rows which are cut again give the same spans.
    """
    filled, read = np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([[0], np.cumsum(lengths)])
    start = 0
    while start < len(positions):
        stop = int(np.searchsorted(filled, filled[start] + unit_bytes))
        if unit_tokens is not None:
            stop = min(stop, int(np.searchsorted(read, read[start] + unit_tokens)))
        yield positions[start:stop]
        start = stop


def row_bytes(output: str, codec: str, vectors: Array, types: bool, shape: TeacherShape) -> Array:
    """What the values of a stored output take of rows with so many vectors (of maps: tokens), (rows,) int64."""
    if kind_of(output)[0] == "attention":
        return bytes_a_row(codec, shape.heads, vectors)
    if output == TOKENS:
        return vectors * (5 if types else 4)
    if output in IN_PART:
        return vectors * vocabulary_codec(codec, shape.classes).bytes_a_token
    return vectors * bytes_a_vector(codec, shape.width_of(output, types))


def _bytes_a_row(rows: PreparedRows, positions: Array, names: Sequence[str], outputs: Outputs, shape: TeacherShape) -> Array:
    """Bytes a row of the largest of some outputs."""
    types = rows.token_types is not None
    vectors = {per: vectors_a_row(per, rows, positions) for per in {outputs.per[output] for output in names}}
    sizes = [row_bytes(output, outputs.stored[output], vectors[outputs.per[output]], types, shape) for output in names]
    return max(sizes, key=lambda sizes: int(sizes.sum()))


def token_bar(tokens: int) -> "tqdm[NoReturn]":
    """A bar of tokens that the teacher reads."""
    return bar(total=tokens, title="targets", unit="token", unit_scale=True)
