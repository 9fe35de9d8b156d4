"""The teacher's forward pass over a unit of rows, batched by length, and what is kept of it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.errors import UserError
from distill.padding import length_batches, pad_batch
from distill.prepared import PreparedRows
from distill.targets.codec import Codec, VectorCodec
from distill.targets.replay import AttentionHeads
from distill.targets.schema import LOGITS, TOKENS, kind_of
from distill.targets.shards import Column

Array = np.ndarray[Any, np.dtype[Any]]


def run_teacher(
    model: PreTrainedModel,
    batch: Mapping[str, Tensor],
    layers: Sequence[int],
    precision: str,
) -> tuple[Float32[Tensor, "batch classes"], dict[int, Float32[Tensor, "tokens hidden"]]]:
    """Logits, and the real tokens of each hidden state, one row after the other."""
    device = model.device
    inputs = {name: tensor.to(device) for name, tensor in batch.items()}
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        outputs = model(**inputs, output_hidden_states=bool(layers))
    mask = inputs.get("attention_mask")

    def real(states: Tensor) -> Tensor:
        flat = states.flatten(0, 1) if mask is None else states[mask.bool()]
        return flat.float()

    return outputs.logits.float(), {layer: real(outputs.hidden_states[layer]) for layer in layers}


def encode_unit(
    model: PreTrainedModel,
    rows: PreparedRows,
    positions: Array,
    codecs: Mapping[str, Codec],
    attention: Mapping[str, AttentionHeads],
    batch_tokens: int,
    precision: str,
    advance: Callable[[int], object],
) -> dict[str, dict[str, Column]]:
    """What the teacher says of a unit of rows, each output encoded, rows in the order of `positions`.

    Args:
        model: The teacher, in eval mode.
        rows: The prepared split.
        positions: The unit's rows.
        codecs: By output.
        attention: The projections of the attention outputs among them.
        batch_tokens: Tokens a forward pass.
        precision: fp32 or bf16.
        advance: Told the number of tokens done after each batch.

    Raises:
        UserError: the teacher's logits, or states, are NaN or infinite.
    """
    lengths = rows.lengths[positions]
    encoded = {output: _Rows(len(positions)) for output in codecs}
    if TOKENS in codecs:
        encoded[TOKENS].add(codecs[TOKENS], token_inputs(rows, positions), lengths, np.arange(len(positions)))
    said = {output: on_device(codec, model.device) for output, codec in codecs.items() if output != TOKENS}
    layers = sorted({layer - (kind == "attention") for kind, layer in map(kind_of, said) if layer is not None})
    for chosen in length_batches(lengths, batch_tokens) if said else ():
        logits, hidden = run_teacher(model, pad_batch(rows, positions[chosen]), layers, precision)
        if not logits.isfinite().all():
            row = int(positions[chosen[int((~logits.isfinite()).any(dim=1).nonzero()[0, 0])]])
            raise UserError(f"the teacher's logits of row {row} are NaN or infinite; train it again with a lower learning rate")
        for output, codec in said.items():
            tensor = kept_of(output, logits, hidden, lengths[chosen], attention)
            one_vector = kind_of(output)[0] in (LOGITS, "cls")
            encoded[output].add(codec, tensor, np.ones(len(chosen), np.int64) if one_vector else lengths[chosen], chosen)
        advance(int(lengths[chosen].sum()))
    return {output: parts.columns() for output, parts in encoded.items()}


def token_inputs(rows: PreparedRows, positions: Array) -> Tensor:
    """What the teacher reads of these rows, (tokens, 1 or 2) int64: ids, and types where rows are pairs."""
    sources = [rows.tokens] if rows.token_types is None else [rows.tokens, rows.token_types]
    places = np.concatenate([np.arange(rows.offsets[i], rows.offsets[i + 1]) for i in positions])
    return torch.from_numpy(np.stack([source[places] for source in sources], axis=1).astype(np.int64))


def sample(
    model: PreTrainedModel, rows: PreparedRows, positions: Array, outputs: Sequence[str], batch_tokens: int, precision: str
) -> dict[str, Float32[Tensor, "vectors hidden"]]:
    """The vectors of a sample of rows, for the codecs' statistics, in the order of the batches."""
    found: dict[str, list[Tensor]] = {output: [] for output in outputs}
    layers = sorted({layer for output in outputs if (layer := kind_of(output)[1]) is not None})
    for chosen in length_batches(rows.lengths[positions], batch_tokens):
        logits, hidden = run_teacher(model, pad_batch(rows, positions[chosen]), layers, precision)
        for output, parts in found.items():
            parts.append(kept_of(output, logits, hidden, rows.lengths[positions[chosen]], {}).cpu())
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


def kept_of(
    output: str, logits: Tensor, hidden: Mapping[int, Tensor], lengths: Array, attention: Mapping[str, AttentionHeads]
) -> Tensor:
    """The tensor that an output keeps of a batch, before its codec."""
    kind, layer = kind_of(output)
    if layer is None:
        return logits
    if kind == "attention":
        return attention[output].scores(hidden[layer - 1], lengths)
    states = hidden[layer]
    return states[np.cumsum(lengths) - lengths] if kind == "cls" else states


def on_device(codec: Codec, device: torch.device) -> Codec:
    """A codec whose statistics lie where the teacher computes."""
    if not isinstance(codec, VectorCodec):
        return codec
    return dataclasses.replace(codec, statistics={name: tensor.to(device) for name, tensor in codec.statistics.items()})
