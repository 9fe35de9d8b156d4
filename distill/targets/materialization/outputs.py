"""Which outputs a target set keeps, in what form, of which rows, and how many vectors each row has of them."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED, PreparedRows
from distill.params.layers import resolve_layers
from distill.params.targets import TargetSettings
from distill.params.task_specs import TASK_SPECS, Per
from distill.store.output_names import (
    DRAWS,
    IN_PART,
    LIKELIEST,
    LOGITS,
    REPLAY,
    TOKENS,
    TRANSFORM,
    attention_output,
    cls_output,
    hidden_output,
    kind_of,
    projection_outputs,
)


@dataclass(frozen=True, kw_only=True)
class MaterializeSpec:
    """What is to be materialized, and how."""

    hidden: tuple[int, ...]
    """Hidden states, from 0 (the embedding output) on; negative from the last."""
    cls: tuple[int, ...]
    """Hidden states that are kept at the first token alone."""
    attention: tuple[int, ...]
    """Layers whose attention scores are kept, from 1 on; negative from the last."""
    attention_as: str
    relations: tuple[int, ...]
    """Layers whose queries, keys and values are replayed, from 1 on; negative from the last."""
    positions: str
    """Where the vocabulary's distributions of a masked language model are kept: `masked` tokens, or `all`."""
    replays_embeddings: bool | None = None
    """Whether hidden state 0 is computed again, or stored by the codec; None: as the teacher allows."""
    hidden_splits: tuple[str, ...]
    """The splits of which more than logits is kept."""
    codec: str
    logits_as: str
    """What is kept of a decoder's distributions on training rows: states that they are replayed from, or a part of them."""
    top_k: int
    draws: int
    draw_seed: int
    shard_bytes: int
    batch_tokens: int
    precision: str


@dataclass(frozen=True)
class Outputs:
    """A job's outputs for a teacher of known depth."""

    stored: dict[str, str]
    """By name: the codec."""
    replayed: dict[str, str]
    """By name: the output that it is replayed from."""
    per: dict[str, Per]
    """By name: what it has one vector of."""

    @property
    def names(self) -> tuple[str, ...]:
        """All outputs, sorted."""
        return tuple(sorted({*self.stored, *self.replayed}))

    def of_split(self, split: str, job: MaterializeSpec) -> tuple[str, ...]:
        """The stored outputs of a split."""
        return tuple(name for name in self.stored if kept_in(name, split, job))


def kept_in(output: str, split: str, job: MaterializeSpec) -> bool:
    """Whether an output is kept of a split: logits, and what they are made of, of all; the rest of `hidden_splits`.

    Where a part of a decoder's distributions is kept, that is of training rows; students are scored by the whole ones.
    """
    if output in IN_PART or (output in (LOGITS, TRANSFORM) and job.logits_as != REPLAY):
        return (split == "train") == (output in IN_PART)
    return output in (LOGITS, TOKENS, TRANSFORM) or split in job.hidden_splits


def resolve(job: MaterializeSpec, depth: int, task: str) -> Outputs:
    """Name a job's outputs for a teacher of so many layers; what an output is replayed from is kept with it.

    Vectors of texts, the logits of sentence embedding, are kept as hidden states are.
    """
    stored, replayed = {LOGITS: job.codec if TASK_SPECS[task].embeds else "fp32", TOKENS: TOKENS}, {}
    if TASK_SPECS[task].vocabulary:
        stored, replayed = {TRANSFORM: job.codec, TOKENS: TOKENS}, {LOGITS: TRANSFORM}
        stored |= _in_part(job)
    hidden = set(resolve_layers("hidden", job.hidden, 0, depth))
    attention, relations = (resolve_layers(key, getattr(job, key), 1, depth) for key in ("attention", "relations"))
    below = [(name, layer - 1) for layer in relations for name in projection_outputs(layer)]
    if job.attention_as == REPLAY:
        below += [(attention_output(layer), layer - 1) for layer in attention]
    else:
        stored |= {attention_output(layer): job.attention_as for layer in attention}
    hidden |= {state for _, state in below}
    replayed |= {name: hidden_output(state) for name, state in below}
    if 0 in hidden and job.replays_embeddings:
        hidden.remove(0)
        replayed[hidden_output(0)] = TOKENS
    stored |= {hidden_output(layer): job.codec for layer in sorted(hidden)}
    stored |= {cls_output(layer): job.codec for layer in resolve_layers("cls", job.cls, 0, depth)}
    return Outputs(stored, replayed, {name: _per(name, job, task) for name in (*stored, *replayed)})


def _in_part(job: MaterializeSpec) -> dict[str, str]:
    """What is kept of distributions over a vocabulary in place of states, and its codec."""
    exact = "-fp32" if job.codec == "fp32" else ""
    kept = {"top-k": {LIKELIEST: f"top-{job.top_k}{exact}"}, "draws": {DRAWS: f"draws-{job.draws}-seed-{job.draw_seed}"}}
    return kept.get(job.logits_as, {})


def settled(job: MaterializeSpec, depth: int, task: str, replays_embeddings: Callable[[], bool]) -> MaterializeSpec:
    """The job, with how hidden state 0 is kept; the teacher is asked only where something of it is."""
    if job.replays_embeddings is not None or hidden_output(0) not in resolve(job, depth, task).names:
        return job
    return replace(job, replays_embeddings=replays_embeddings())


def _per(output: str, job: MaterializeSpec, task: str) -> Per:
    if output in (TRANSFORM, *IN_PART) or (output == LOGITS and TASK_SPECS[task].logits_per == "position"):
        return "token" if job.positions == "all" else "position"
    if output == LOGITS:
        return TASK_SPECS[task].logits_per
    return "row" if kind_of(output)[0] == "cls" else "token"


def masked(rows: PreparedRows, positions: Array) -> Array:
    """Which tokens of these rows, one row after the other, are to be predicted: (tokens,) bool."""
    chosen: Array = rows.labels[rows.token_places(positions)] != UNLABELLED
    return chosen


def vectors_a_row(per: Per, rows: PreparedRows, positions: Array) -> Array:
    """Vectors of these rows in an output that has one of each `per`: (n,) int64."""
    lengths = rows.lengths[positions]
    if per == "row":
        return np.ones_like(lengths)
    if per == "token":
        return lengths
    before, ends = np.concatenate([[0], np.cumsum(masked(rows, positions))]), np.cumsum(lengths)
    counts: Array = before[ends] - before[ends - lengths]
    return counts


def job_of(settings: TargetSettings) -> MaterializeSpec:
    """What a target set's entry asks for."""
    asked = settings.model_dump(include={field.name for field in dataclasses.fields(MaterializeSpec)})
    return MaterializeSpec(**asked, shard_bytes=settings.shard_megabytes * 2**20)
