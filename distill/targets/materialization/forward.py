"""The teacher, its forward pass over a unit of rows, batched by length, and what is kept of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.core.errors import UserError
from distill.core.numeric import length_batches
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset, PreparedRows
from distill.models.folds import FurtherTeachers
from distill.models.loading import config_fingerprint, load_for, weights_fingerprint
from distill.params.task_specs import Per
from distill.store.codecs.vectors import Codec, VectorCodec
from distill.store.codecs.vocabulary import Draws, TopK
from distill.store.manifest import Fingerprints
from distill.store.output_names import LOGITS, TOKENS, TRANSFORM, kind_of, state_of
from distill.store.replay.frozen_weights import FrozenMatrices
from distill.store.shards import Column
from distill.targets.materialization.distributions import keep_in_part
from distill.targets.materialization.outputs import masked, vectors_a_row
from distill.targets.materialization.running import run_teacher
from distill.targets.materialization.several_teachers import SeveralTeachers
from distill.targets.materialization.units import TeacherShape

TeacherOutputs = tuple[Tensor, dict[int, Tensor]]
"""The head's output (logits, or what a language model multiplies with its output embedding), and hidden states by number:
vectors of all rows, one after the other."""


@dataclass(frozen=True)
class Teacher:
    """A teacher in eval mode, and what its targets depend on."""

    model: PreTrainedModel
    fingerprints: Fingerprints
    several: SeveralTeachers | None = None
    """Those whose logits are kept in place of its own."""

    @property
    def shape(self) -> TeacherShape:
        """Depth, width, heads, classes."""
        return TeacherShape.of(self.model)


def open_teacher(folder: Path, dataset: Dataset, folds: Path | None = None) -> Teacher:
    """The fine-tuned teacher, on the best device; `folds` is where its further ones are, if it may have any."""
    model, _ = load_for(folder, dataset)
    model = model.eval().to(best_device())
    further = None if folds is None else FurtherTeachers.open(folds)
    fingerprints = Fingerprints(
        teacher=weights_fingerprint(folder),
        config=config_fingerprint(folder),
        tokenizer=dataset.tokenizer,
        labels=dataset.labels,
        max_length=dataset.max_length,
        **({} if further is None else {further.kind: further.fingerprint}),
    )
    if further is None:
        return Teacher(model, fingerprints)
    models = [further.load(number, dataset).to(best_device()) for number in range(further.count)]
    return Teacher(model, fingerprints, SeveralTeachers(further, (*models, *([model] if further.kind == "seeds" else []))))


@dataclass(frozen=True)
class Reading:
    """How a teacher reads rows."""

    model: PreTrainedModel
    """In eval mode, packed or not."""
    per: Mapping[str, Per]
    """By output: what it has one vector of."""
    batch_tokens: int
    """Tokens a forward pass."""
    precision: str
    """fp32 or bf16."""
    frozen: Mapping[str, FrozenMatrices]
    """By output: the matrices of those that are computed from hidden states."""
    several: SeveralTeachers | None = None

    def read(self, rows: PreparedRows, positions: Array, layers: Sequence[int], *, soft_targets: bool = False) -> TeacherOutputs:
        """One batch. `soft_targets` are logits as they are kept: those of `several` teachers, if there are any."""
        if soft_targets and self.several is not None:
            logits = self.several.logits(rows, positions, self.per[LOGITS], self.precision)
            return logits, self.read(rows, positions, layers)[1] if layers else {}
        where = None
        if TRANSFORM in self.per:
            where = torch.from_numpy(masked(rows, positions) | (self.per[TRANSFORM] == "token"))
        return run_teacher(self.model, pad_batch(rows, positions), layers, self.precision, where)


def layers_of(outputs: Sequence[str]) -> list[int]:
    """The hidden states that outputs are, or are made of."""
    return sorted({state for output in outputs if (state := state_of(output)) is not None})


def encode_unit(
    reading: Reading,
    rows: PreparedRows,
    positions: Array,
    codecs: Mapping[str, Codec],
    advance: Callable[[int], object],
    encoding: Callable[..., None],
) -> Mapping[str, "EncodedRows"]:
    """The teacher's outputs for a unit of rows, each encoded, rows in the order of `positions`.

    `advance` gets the number of tokens of each batch. `encoding` makes calls, in their order, while the next batch is read: the
    rows are all there once it has made them.
    """
    lengths = rows.lengths[positions]
    counts = {output: vectors_a_row(reading.per[output], rows, positions) for output in codecs if output != TOKENS}
    encoded = {
        output: EncodedRows(on_device(codec, reading.model.device), counts.get(output, lengths))
        for output, codec in codecs.items()
    }
    if TOKENS in codecs:
        encoding(encoded[TOKENS].add, torch.from_numpy(rows.inputs(positions)), np.arange(len(positions)))
    layers = layers_of(list(counts))

    def encode(read: TeacherOutputs, chosen: Array) -> None:
        for output in counts:
            tensor, codec = kept_of(output, *read, lengths[chosen], reading.frozen), codecs[output]
            if isinstance(codec, TopK | Draws):
                tensor = keep_in_part(codec, tensor, reading.frozen[LOGITS], rows.ids[positions[chosen]], counts[output][chosen])
            encoded[output].add(tensor, chosen)

    for chosen in length_batches(lengths, reading.batch_tokens) if counts else ():
        read = reading.read(rows, positions[chosen], layers, soft_targets=LOGITS in counts)
        _require_finite(read[0], rows, positions[chosen], reading.per.get(TRANSFORM, reading.per[LOGITS]))
        encoding(encode, read, chosen)
        advance(int(lengths[chosen].sum()))
    return encoded


def _require_finite(head_outputs: Tensor, rows: PreparedRows, positions: Array, per: Per) -> None:
    finite = head_outputs.isfinite().all(dim=1)
    if not finite.all():
        row = int(np.repeat(positions, vectors_a_row(per, rows, positions))[int((~finite).nonzero()[0, 0])])
        raise UserError(f"the teacher's logits of row {row} are NaN or infinite; train it again with a lower learning rate")


def sample(
    reading: Reading, rows: PreparedRows, positions: Array, outputs: Sequence[str]
) -> dict[str, Float32[Tensor, "vectors hidden"]]:
    """The vectors of a sample of rows, for the codecs' statistics, in the order of the batches."""
    vectors: dict[str, list[Tensor]] = {output: [] for output in outputs}
    for chosen in length_batches(rows.lengths[positions], reading.batch_tokens):
        head_outputs, hidden = reading.read(rows, positions[chosen], layers_of(outputs))
        for output, parts in vectors.items():
            parts.append(kept_of(output, head_outputs, hidden, rows.lengths[positions[chosen]], reading.frozen).cpu())
    return {output: torch.cat(parts) for output, parts in vectors.items()}


class EncodedRows:
    """The planes of an output: rows come batch by batch, and stand where the unit has them."""

    def __init__(self, codec: Codec, lengths: Array) -> None:
        """`lengths` are the vectors (of maps: the tokens) of each row."""
        self.codec, self.lengths = codec, lengths
        self.starts = {plane: np.concatenate([[0], np.cumsum(counts)]) for plane, counts in codec.counts(lengths).items()}
        self._planes: dict[str, Array] = {}

    def add(self, tensor: Tensor, chosen: Array) -> None:
        """Encode the rows at these places of the unit."""
        for plane, encoded in self.codec.encode(tensor, self.lengths[chosen]).items():
            starts, values = self.starts[plane], encoded.cpu().numpy()
            if plane not in self._planes:
                self._planes[plane] = np.empty((int(starts[-1]), values.shape[1]), values.dtype)
            place, first = self._planes[plane], 0
            for start, stop in zip(starts[chosen].tolist(), starts[chosen + 1].tolist(), strict=True):
                place[start:stop] = values[first : first + stop - start]
                first += stop - start

    def columns(self) -> dict[str, Column]:
        """What a shard holds of them."""
        return {plane: Column(values, self.starts[plane]) for plane, values in self._planes.items()}


def kept_of(
    output: str, head_outputs: Tensor, hidden: Mapping[int, Tensor], lengths: Array, frozen: Mapping[str, FrozenMatrices]
) -> Tensor:
    """The tensor that a stored output keeps of a batch, before its codec."""
    kind, layer = kind_of(output)
    if layer is None:
        return head_outputs
    if kind == "attention":
        return frozen[output].replay(hidden[layer - 1], lengths)
    states = hidden[layer]
    return states[np.cumsum(lengths) - lengths] if kind == "cls" else states


def on_device(codec: Codec, device: torch.device) -> Codec:
    """A codec whose statistics lie where the teacher computes."""
    if not isinstance(codec, VectorCodec):
        return codec
    return dataclasses.replace(codec, statistics={name: tensor.to(device) for name, tensor in codec.statistics.items()})
