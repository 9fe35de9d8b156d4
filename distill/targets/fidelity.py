"""What a target set loses: its codecs and replays against the live teacher, on rows of the validation split."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from distill.errors import UserError
from distill.padding import length_batches, pad_batch
from distill.targets.codec import Codec, Planes, relative_error
from distill.targets.forward import kept_of, on_device, run_teacher
from distill.targets.gather import replayed_scores
from distill.targets.layout import unique_rows
from distill.targets.replay_logits import SequenceHead, sequence_head
from distill.targets.schema import LOGITS, TOKENS, hidden_output, kind_of
from distill.targets.writer import Materializer

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[Tensor, Tensor]
"""What the teacher said, and what a student reads."""
HELD_OUT_ROWS = 64
"""Rows, those of the lowest example ids, that are looked at."""


def fidelity(made: Materializer) -> dict[str, dict[str, float]]:
    """How far each output is, as it is kept, from what the teacher said; outputs that are exact are left out.

    `variance_lost` of hidden and cls outputs, Σ(x−x̂)²/Σ(x−mean)²; `kl` of attention, nats a head and query row; `replayed_kl` of
    logits that are replayed from the last hidden state, where it is kept, nats a row.
    """
    rows = made.rows.get("validation", next(iter(made.rows.values())))
    positions = unique_rows(rows)[:HELD_OUT_ROWS]
    head = _head(made)
    pairs: dict[str, list[Pair]] = {}
    divergences: dict[str, list[Tensor]] = {}
    for chosen in length_batches(rows.lengths[positions], made.job.batch_tokens):
        lengths = rows.lengths[positions[chosen]]
        batch = pad_batch(rows, positions[chosen])
        logits, hidden = run_teacher(made.fast, batch, range(made.teacher.shape.layers + 1), made.job.precision)
        for output, (exact, kept) in _pairs(made, logits, hidden, lengths).items():
            if kind_of(output)[0] == "attention":
                parts = [kl(*(scores[i, :, :n, :n] for scores in (exact, kept))) for i, n in enumerate(lengths.tolist())]
                divergences.setdefault(output, []).extend(parts)
            else:
                pairs.setdefault(output, []).append((exact, kept))
            if head is not None and output == hidden_output(made.teacher.shape.layers):
                replayed = head.logits(kept[np.cumsum(lengths) - lengths])
                divergences.setdefault(LOGITS, []).append(kl(logits, replayed))
    found = {output: {"variance_lost": _lost(parts)} for output, parts in pairs.items()}
    for output, values in divergences.items():
        name = "replayed_kl" if output == LOGITS else "kl"
        found[output] = {name: float(torch.cat(values).mean())}
    return found


def kl(exact: Float[Tensor, "*rows classes"], kept: Float[Tensor, "*rows classes"]) -> Float[Tensor, " n"]:
    """KL(softmax(exact) ‖ softmax(kept)) of each row, nats, in float64."""
    log_p, log_q = exact.double().log_softmax(-1), kept.double().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).flatten()


def _pairs(made: Materializer, logits: Tensor, hidden: dict[int, Tensor], lengths: Array) -> dict[str, Pair]:
    """What the teacher said and what is kept of it, by output."""
    found: dict[str, Pair] = {}
    stored: dict[str, tuple[Planes, Codec]] = {}
    for output in made.outputs.stored:
        if output in (LOGITS, TOKENS):
            continue
        exact = kept_of(output, logits, hidden, lengths, made.attention)
        counted = np.ones_like(lengths) if kind_of(output)[0] == "cls" else lengths
        codec = on_device(made.codecs[output], exact.device)
        stored[output] = (codec.encode(exact, counted), codec)
        found[output] = (exact, codec.decode(stored[output][0], counted))
    for output, source in made.outputs.replayed.items():
        if source in stored:
            exact = kept_of(output, logits, hidden, lengths, made.attention)
            found[output] = (exact, replayed_scores(made.attention[output], *stored[source], lengths))
    return found


def _head(made: Materializer) -> SequenceHead | None:
    try:
        return sequence_head(made.teacher.model)
    except UserError:
        return None


def _lost(parts: list[Pair]) -> float:
    exact, kept = (torch.cat(side).cpu() for side in zip(*parts, strict=True))
    return relative_error(exact, kept)
