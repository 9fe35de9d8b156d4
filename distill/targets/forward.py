"""The teacher's forward pass over a unit of rows, batched by length."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PreTrainedModel

from distill.errors import UserError
from distill.padding import length_batches, pad_batch
from distill.prepared import PreparedRows
from distill.targets.codec import Codec, Encoded
from distill.targets.schema import layer_of

Array = np.ndarray[Any, np.dtype[Any]]


def run_teacher(
    model: PreTrainedModel, batch: Mapping[str, Tensor], layers: Sequence[int], precision: str
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
    batch_tokens: int,
    precision: str,
    advance: Callable[[int], object],
) -> dict[str, Encoded]:
    """What the teacher says of a unit of rows, each output encoded, rows in the order of `positions`.

    Args:
        model: The teacher, in eval mode.
        rows: The prepared split.
        positions: The unit's rows.
        codecs: By output.
        batch_tokens: Tokens a forward pass.
        precision: fp32 or bf16.
        advance: Told the number of tokens done after each batch.

    Raises:
        UserError: the teacher's logits are NaN or infinite.
    """
    lengths = rows.lengths[positions]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    layers = [layer for output in codecs if (layer := layer_of(output)) is not None]
    parts: dict[str, Encoded] = {}
    for chosen in length_batches(lengths, batch_tokens):
        logits, hidden = run_teacher(model, pad_batch(rows, positions[chosen]), layers, precision)
        if not logits.isfinite().all():
            row = int(positions[chosen[int((~logits.isfinite()).any(dim=1).nonzero()[0, 0])]])
            raise UserError(f"the teacher's logits of row {row} are NaN or infinite; train it again with a lower learning rate")
        tokens = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
        for output, codec in codecs.items():
            layer = layer_of(output)
            vectors, places = (logits, chosen) if layer is None else (hidden[layer], tokens)
            size = len(positions) if layer is None else int(starts[-1])
            _place(parts, output, codec.encode(vectors.cpu()), torch.from_numpy(places), size)
        advance(int(lengths[chosen].sum()))
    return parts


def _place(parts: dict[str, Encoded], output: str, encoded: Encoded, places: Tensor, size: int) -> None:
    """Put a batch's vectors where its rows stand in the unit."""
    if output not in parts:
        scales = None if encoded.scales is None else torch.empty(size, dtype=torch.float16)
        parts[output] = Encoded(encoded.values.new_empty((size, encoded.values.shape[1])), scales)
    part = parts[output]
    part.values[places] = encoded.values
    if part.scales is not None and encoded.scales is not None:
        part.scales[places] = encoded.scales


def hidden_sample(
    model: PreTrainedModel, rows: PreparedRows, positions: Array, layers: Sequence[int], batch_tokens: int, precision: str
) -> dict[int, Float32[Tensor, "tokens hidden"]]:
    """The hidden states of a sample of rows, for a codec's statistics."""
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for chosen in length_batches(rows.lengths[positions], batch_tokens):
        _, hidden = run_teacher(model, pad_batch(rows, positions[chosen]), layers, precision)
        for layer in layers:
            found[layer].append(hidden[layer].cpu())
    return {layer: torch.cat(parts) for layer, parts in found.items()}
