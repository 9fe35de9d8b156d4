"""The teacher's forward pass over a unit of rows, batched by length, and what is kept of it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.errors import UserError
from distill.padding import length_batches, pad_batch
from distill.prepared import PreparedRows
from distill.targets.codec import Codec, VectorCodec
from distill.targets.counting import masked, vectors_a_row
from distill.targets.frozen import Frozen
from distill.targets.replay import AttentionHeads
from distill.targets.replay_logits import masked_lm_transform
from distill.targets.schema import LOGITS, TOKENS, TRANSFORM, Per, kind_of, state_of
from distill.targets.shards import Column

Array = np.ndarray[Any, np.dtype[Any]]
Said = tuple[Tensor, dict[int, Tensor]]
"""Logits, or of a masked language model what it multiplies with its output embedding; and hidden states by number. Vectors of
all rows, one after the other."""


def run_teacher(
    model: PreTrainedModel,
    batch: Mapping[str, Tensor],
    layers: Sequence[int],
    precision: str,
    where: Bool[Tensor, " tokens"] | None = None,
) -> tuple[Float32[Tensor, "vectors width"], dict[int, Float32[Tensor, "tokens hidden"]]]:
    """A forward pass: what its head says, and the real tokens of each hidden state, one row after the other.

    Args:
        model: In eval mode.
        batch: As `pad_batch` gives it.
        layers: Hidden states that are wanted.
        precision: fp32 or bf16.
        where: Of a masked language model, the real tokens at which its head runs up to the output embedding: the product with
            that is not computed. Without, logits: (rows, classes), or of models that label tokens or spans (tokens, classes).
    """
    device = model.device
    inputs = {name: tensor.to(device) for name, tensor in batch.items()}
    mask = inputs.get("attention_mask")

    def real(states: Tensor) -> Tensor:
        return states.flatten(0, 1) if mask is None else states[mask.bool()]

    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        outputs = (model if where is None else model.base_model)(**inputs, output_hidden_states=bool(layers))
        if where is not None:
            said = masked_lm_transform(model)(real(outputs.last_hidden_state)[where.to(device)])
        elif "start_logits" in outputs:
            said = real(torch.stack([outputs.start_logits, outputs.end_logits], dim=-1))
        else:
            said = real(outputs.logits) if outputs.logits.dim() == 3 else outputs.logits
    return said.float(), {layer: real(outputs.hidden_states[layer]).float() for layer in layers}


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
    frozen: Mapping[str, Frozen]
    """By output: the matrices of those that are computed from hidden states."""

    def read(self, rows: PreparedRows, positions: Array, layers: Sequence[int]) -> Said:
        """One batch."""
        where = None
        if TRANSFORM in self.per:
            where = torch.from_numpy(masked(rows, positions) | (self.per[TRANSFORM] == "token"))
        return run_teacher(self.model, pad_batch(rows, positions), layers, self.precision, where)


def layers_of(outputs: Sequence[str]) -> list[int]:
    """The hidden states that outputs are, or are made of."""
    return sorted({state for output in outputs if (state := state_of(output)) is not None})


def encode_unit(
    reading: Reading, rows: PreparedRows, positions: Array, codecs: Mapping[str, Codec], advance: Callable[[int], object]
) -> dict[str, dict[str, Column]]:
    """What the teacher says of a unit of rows, each output encoded, rows in the order of `positions`.

    Args:
        reading: How it reads.
        rows: The prepared split.
        positions: The unit's rows.
        codecs: By output.
        advance: Told the number of tokens done after each batch.

    Raises:
        UserError: the teacher's logits, or states, are NaN or infinite.
    """
    lengths = rows.lengths[positions]
    encoded = {output: _Rows(len(positions)) for output in codecs}
    if TOKENS in codecs:
        encoded[TOKENS].add(codecs[TOKENS], token_inputs(rows, positions), lengths, np.arange(len(positions)))
    wanted = {output: on_device(codec, reading.model.device) for output, codec in codecs.items() if output != TOKENS}
    counts = {output: vectors_a_row(reading.per[output], rows, positions) for output in wanted}
    layers = layers_of(list(wanted))
    for chosen in length_batches(lengths, reading.batch_tokens) if wanted else ():
        said, hidden = reading.read(rows, positions[chosen], layers)
        _require_finite(said, rows, positions[chosen], reading.per.get(TRANSFORM, reading.per[LOGITS]))
        for output, codec in wanted.items():
            tensor = kept_of(output, said, hidden, lengths[chosen], reading.frozen)
            encoded[output].add(codec, tensor, counts[output][chosen], chosen)
        advance(int(lengths[chosen].sum()))
    return {output: parts.columns() for output, parts in encoded.items()}


def _require_finite(said: Tensor, rows: PreparedRows, positions: Array, per: Per) -> None:
    finite = said.isfinite().all(dim=1)
    if not finite.all():
        row = int(np.repeat(positions, vectors_a_row(per, rows, positions))[int((~finite).nonzero()[0, 0])])
        raise UserError(f"the teacher's logits of row {row} are NaN or infinite; train it again with a lower learning rate")


def token_inputs(rows: PreparedRows, positions: Array) -> Tensor:
    """What the teacher reads of these rows, (tokens, 1 or 2) int64: ids, and types where rows are pairs."""
    sources = [rows.tokens] if rows.token_types is None else [rows.tokens, rows.token_types]
    places = np.concatenate([np.arange(rows.offsets[i], rows.offsets[i + 1]) for i in positions])
    return torch.from_numpy(np.stack([source[places] for source in sources], axis=1).astype(np.int64))


def sample(
    reading: Reading, rows: PreparedRows, positions: Array, outputs: Sequence[str]
) -> dict[str, Float32[Tensor, "vectors hidden"]]:
    """The vectors of a sample of rows, for the codecs' statistics, in the order of the batches."""
    found: dict[str, list[Tensor]] = {output: [] for output in outputs}
    for chosen in length_batches(rows.lengths[positions], reading.batch_tokens):
        said, hidden = reading.read(rows, positions[chosen], layers_of(outputs))
        for output, parts in found.items():
            parts.append(kept_of(output, said, hidden, rows.lengths[positions[chosen]], reading.frozen).cpu())
    return {output: torch.cat(parts) for output, parts in found.items()}


class _Rows:
    """The planes of an output, row by row, put back into the unit's order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pieces: dict[str, list[Array]] = {}

    def add(self, codec: Codec, tensor: Tensor, lengths: Array, places: Array) -> None:
        counts = codec.counts(lengths)
        for plane, values in codec.encode(tensor, lengths).items():
            pieces = self.pieces.setdefault(plane, [np.empty(0)] * self.size)
            for place, piece in zip(places.tolist(), _cut(values.cpu().numpy(), counts[plane]), strict=True):
                pieces[place] = piece

    def columns(self) -> dict[str, Column]:
        return {
            plane: Column(np.concatenate(pieces), np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]))
            for plane, pieces in self.pieces.items()
        }


def _cut(values: Array, counts: Array) -> Iterator[Array]:
    ends = np.cumsum(counts).tolist()
    return (values[start:end] for start, end in zip([0, *ends], ends, strict=False))


def kept_of(output: str, said: Tensor, hidden: Mapping[int, Tensor], lengths: Array, frozen: Mapping[str, Frozen]) -> Tensor:
    """The tensor that a stored output keeps of a batch, before its codec."""
    kind, layer = kind_of(output)
    if layer is None:
        return said
    if kind == "attention":
        heads = frozen[output]
        assert isinstance(heads, AttentionHeads)
        return heads.scores(hidden[layer - 1], lengths)
    states = hidden[layer]
    return states[np.cumsum(lengths) - lengths] if kind == "cls" else states


def on_device(codec: Codec, device: torch.device) -> Codec:
    """A codec whose statistics lie where the teacher computes."""
    if not isinstance(codec, VectorCodec):
        return codec
    return dataclasses.replace(codec, statistics={name: tensor.to(device) for name, tensor in codec.statistics.items()})
