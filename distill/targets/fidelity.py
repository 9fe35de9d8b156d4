"""What a target set loses: its codecs and replays against the live teacher, on rows of the validation split."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from distill.errors import UserError
from distill.padding import length_batches
from distill.prepared import PreparedRows
from distill.targets.codec import Codec, Planes, relative_error
from distill.targets.counting import vectors_a_row
from distill.targets.forward import kept_of, on_device
from distill.targets.gather import replayed_scores
from distill.targets.layout import unique_rows
from distill.targets.replay import AttentionHeads, ProjectionHeads
from distill.targets.replay_logits import LinearHead, sequence_head
from distill.targets.schema import LOGITS, TOKENS, TRANSFORM, hidden_output, kind_of
from distill.targets.writer import Materializer

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[Tensor, Tensor]
"""What the teacher said, and what a student reads."""
HELD_OUT_ROWS = 64
"""Rows, those of the lowest example ids, that are looked at."""
FEW_POSITIONS = 64
"""About so many positions of a batch, evenly spaced, have their distributions over the vocabulary computed."""


def fidelity(made: Materializer) -> dict[str, dict[str, float]]:
    """How far each output is, as it is kept, from what the teacher said; outputs that are exact are left out.

    `variance_lost` of vectors, Σ(x−x̂)²/Σ(x−mean)²; `kl` of attention, nats a head and query row; `replayed_kl` of logits that
    are replayed, or could be from the last hidden state where it is kept, nats a row or masked position.
    """
    rows = made.rows.get("validation", next(iter(made.rows.values())))
    positions = unique_rows(rows)[:HELD_OUT_ROWS]
    pairs: dict[str, list[Pair]] = {}
    divergences: dict[str, list[Tensor]] = {}
    for chosen in length_batches(rows.lengths[positions], made.job.batch_tokens):
        lengths = rows.lengths[positions[chosen]]
        said, hidden = made.reading.read(rows, positions[chosen], range(made.teacher.shape.layers + 1))
        found = _pairs(made, said, hidden, rows, positions[chosen])
        if logits := _logits(made, said, found, lengths):
            divergences.setdefault(LOGITS, []).append(kl(*logits))
        for output, (exact, kept) in found.items():
            if kind_of(output)[0] == "attention":
                parts = [kl(*(scores[i, :, :n, :n] for scores in (exact, kept))) for i, n in enumerate(lengths.tolist())]
                divergences.setdefault(output, []).extend(parts)
            else:
                pairs.setdefault(output, []).append((exact, kept))
    losses = {output: {"variance_lost": _lost(parts)} for output, parts in pairs.items()}
    for output, values in divergences.items():
        name = "replayed_kl" if output == LOGITS else "kl"
        losses[output] = {name: float(torch.cat(values).mean())}
    return losses


def kl(exact: Float[Tensor, "*rows classes"], kept: Float[Tensor, "*rows classes"]) -> Float[Tensor, " n"]:
    """KL(softmax(exact) ‖ softmax(kept)) of each row, nats, in float64."""
    log_p, log_q = exact.double().log_softmax(-1), kept.double().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).flatten()


def _pairs(made: Materializer, said: Tensor, hidden: dict[int, Tensor], rows: PreparedRows, positions: Array) -> dict[str, Pair]:
    """What the teacher said and what is kept of it, by output."""
    found: dict[str, Pair] = {}
    stored: dict[str, tuple[Planes, Codec]] = {}
    lengths = rows.lengths[positions]
    for output in made.outputs.stored:
        if output in (LOGITS, TOKENS):
            continue
        exact = kept_of(output, said, hidden, lengths, made.frozen)
        counts = vectors_a_row(made.outputs.per[output], rows, positions)
        codec = on_device(made.codecs[output], exact.device)
        stored[output] = (codec.encode(exact, counts), codec)
        found[output] = (exact, codec.decode(stored[output][0], counts))
    for output, source in made.outputs.replayed.items():
        heads = made.frozen[output]
        if source in stored and isinstance(heads, AttentionHeads):
            exact = heads.scores(found[source][0], lengths)
            found[output] = (exact, replayed_scores(heads, *stored[source], lengths))
        elif source in stored and isinstance(heads, ProjectionHeads):
            found[output] = (heads.projected(found[source][0]), heads.projected(found[source][1]))
    return found


def _logits(made: Materializer, said: Tensor, found: dict[str, Pair], lengths: Array) -> Pair | None:
    """The teacher's logits and those that are replayed from what is kept, (n, classes)."""
    vocabulary = made.frozen.get(LOGITS)
    if isinstance(vocabulary, LinearHead):
        exact, kept = (vectors[:: max(1, len(vectors) // FEW_POSITIONS)] for vectors in found[TRANSFORM])
        return vocabulary.logits(exact), vocabulary.logits(kept)
    last = hidden_output(made.teacher.shape.layers)
    if last not in found or made.outputs.per[LOGITS] != "row":
        return None
    try:
        head = sequence_head(made.teacher.model)
    except UserError:
        return None
    return said, head.logits(found[last][1][np.cumsum(lengths) - lengths])


def _lost(parts: list[Pair]) -> float:
    exact, kept = (torch.cat(side).cpu() for side in zip(*parts, strict=True))
    return relative_error(exact, kept)
