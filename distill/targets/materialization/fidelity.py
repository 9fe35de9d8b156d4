"""What a target set loses: its codecs and replays against the live teacher, on rows of the validation split."""

import torch
from jaxtyping import Float
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.numeric import length_batches
from distill.data.dataset import PreparedRows
from distill.models.sentence_encoder import SentenceEncoder
from distill.store.codecs.vectors import Codec, Planes, relative_error
from distill.store.codecs.vocabulary import Draws, TopK
from distill.store.output_names import DRAWS, IN_PART, LOGITS, TOKENS, TRANSFORM, hidden_output, kind_of
from distill.store.replay.logits import sequence_head
from distill.targets.materialization.distributions import keep_in_part
from distill.targets.materialization.forward import kept_of, on_device
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.outputs import vectors_a_row

Pair = tuple[Tensor, Tensor]
"""The teacher's output, and what a student reads of it."""

MEASURES = {LOGITS: "replayed_kl", DRAWS: "total_variation"}
"""What a divergence is called; of other outputs `kl`."""

HELD_OUT_ROWS = 64
"""Rows, those of the lowest example ids, that are looked at."""

FEW_POSITIONS = 64
"""About so many positions of a batch, evenly spaced, have their distributions over the vocabulary computed."""


def measure_fidelity(made: Materializer) -> dict[str, dict[str, float]]:
    """How far each output is, as it is kept, from the live teacher's; outputs that are exact are left out.

    `variance_lost` of vectors, Σ(x−x̂)²/Σ(x−mean)²; `kl` of attention, nats a head and query row; `replayed_kl` of logits that
    are replayed, or could be from the last hidden state where it is kept, nats a row or masked position. Of a decoder's
    distributions that are kept in part `kl`, nats a token, if the others' mass is spread evenly over them; of draws
    `total_variation`, ½·Σ|p−w|.
    """
    rows = made.rows.get("validation", next(iter(made.rows.values())))
    positions = rows.firsts()[:HELD_OUT_ROWS]
    pairs: dict[str, list[Pair]] = {}
    divergences: dict[str, list[Tensor]] = {}
    for chosen in length_batches(rows.lengths[positions], made.job.batch_tokens):
        lengths = rows.lengths[positions[chosen]]
        head_outputs, hidden = made.reading.read(rows, positions[chosen], range(made.teacher.shape.layers + 1))
        found = _pairs(made, head_outputs, hidden, rows, positions[chosen])
        if logits := _logits(made, head_outputs, found, lengths):
            divergences.setdefault(LOGITS, []).append(kl(*logits))
        for output in (output for output in made.outputs.stored if output in IN_PART):
            divergences.setdefault(output, []).append(_lost_in_part(made, output, head_outputs, rows, positions[chosen]))
        for output, (exact, kept) in found.items():
            if kind_of(output)[0] == "attention":
                parts = [kl(*(scores[i, :, :n, :n] for scores in (exact, kept))) for i, n in enumerate(lengths.tolist())]
                divergences.setdefault(output, []).extend(parts)
            else:
                pairs.setdefault(output, []).append((exact, kept))
    losses = {}
    for output, both in pairs.items():
        exact, kept = (torch.cat(side).cpu() for side in zip(*both, strict=True))
        losses[output] = {"variance_lost": relative_error(exact, kept)}
    for output, values in divergences.items():
        losses[output] = {MEASURES.get(output, "kl"): float(torch.cat(values).mean())}
    return losses


def kl(exact: Float[Tensor, "*rows classes"], kept: Float[Tensor, "*rows classes"]) -> Float[Tensor, " n"]:
    """KL(softmax(exact) ‖ softmax(kept)) of each row, nats, in float64."""
    log_p, log_q = exact.double().log_softmax(-1), kept.double().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).flatten()


def _pairs(
    made: Materializer, head_outputs: Tensor, hidden: dict[int, Tensor], rows: PreparedRows, positions: Array
) -> dict[str, Pair]:
    """The teacher's outputs, and what is kept of them, by name."""
    found: dict[str, Pair] = {}
    stored: dict[str, tuple[Planes, Codec]] = {}
    lengths = rows.lengths[positions]
    for output, how in made.outputs.stored.items():
        if output in (TOKENS, *IN_PART) or (output == LOGITS and how == "fp32"):
            continue
        exact = kept_of(output, head_outputs, hidden, lengths, made.frozen)
        counts = vectors_a_row(made.outputs.per[output], rows, positions)
        codec = on_device(made.codecs[output], exact.device)
        stored[output] = (codec.encode(exact, counts), codec)
        found[output] = (exact, codec.decode(stored[output][0], counts))
    for output, source in made.outputs.replayed.items():
        if source in stored and output != LOGITS:
            weights = made.frozen[output]
            attention = kind_of(output)[0] == "attention"
            kept = weights.replay_stored(*stored[source], lengths) if attention else weights.replay(found[source][1], lengths)
            found[output] = (weights.replay(found[source][0], lengths), kept)
    return found


def _lost_in_part(made: Materializer, output: str, states: Tensor, rows: PreparedRows, positions: Array) -> Tensor:
    """How far a decoder's distributions, kept in part, are from the exact ones, at some positions."""
    codec, head = made.codecs[output], made.frozen[LOGITS]
    assert isinstance(codec, TopK | Draws)
    counts, some = vectors_a_row("position", rows, positions), slice(None, None, max(1, len(states) // FEW_POSITIONS))
    kept = keep_in_part(codec, states, head, rows.ids[positions], counts)[some]
    shares, exact = codec.shares(codec.decode(codec.encode(kept, counts), counts)), head.replay(states[some], counts)
    if output == DRAWS:
        return (exact.double().softmax(dim=-1) - shares).abs().sum(dim=1) / 2
    return kl(exact, shares.clamp_min(torch.finfo(torch.float64).tiny).log())


def _logits(made: Materializer, head_outputs: Tensor, found: dict[str, Pair], lengths: Array) -> Pair | None:
    """The teacher's logits and those that are replayed from what is kept, (n, classes)."""
    if vocabulary := made.frozen.get(LOGITS):
        exact, kept = (vectors[:: max(1, len(vectors) // FEW_POSITIONS)] for vectors in found[TRANSFORM])
        return vocabulary.replay(exact, lengths), vocabulary.replay(kept, lengths)
    last = hidden_output(made.teacher.shape.layers)
    if last not in found or made.outputs.per[LOGITS] != "row" or isinstance(made.teacher.model, SentenceEncoder):
        return None
    try:
        head = sequence_head(made.teacher.model)
    except UserError:
        return None
    return head_outputs, head.replay(found[last][1], lengths)
