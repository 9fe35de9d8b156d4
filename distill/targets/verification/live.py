"""Whether a target set holds what its teacher computes: rows drawn at random are computed again and compared.

Each number may differ by what its codec can lose, plus a slack for other hardware, threads and batches, which change last bits:
1e-4 + 5e-5·|x| for a teacher in fp32, 200 times that in bf16. Logits: 1e-4 times their spread, if that is above 1. What is
replayed from states is compared with what the teacher's own matrices make of the kept states, for these are compared themselves.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.core.devices import has_fast_bf16
from distill.core.numeric import length_batches
from distill.data.dataset import Dataset, PreparedRows
from distill.models.packed_linear import fast_inference
from distill.store.codecs.attention import PROBABILITIES
from distill.store.codecs.vectors import VectorCodec
from distill.store.codecs.vocabulary import LOWEST, Draws, TopK
from distill.store.manifest import Manifest
from distill.store.output_names import IN_PART, LOGITS, TOKENS, kind_of
from distill.store.readers import OutputReader, OutputReaders, StoredOutput
from distill.store.replay.frozen_weights import FrozenMatrices
from distill.store.replay.registry import replay_weights
from distill.store.target_set import TargetStore
from distill.targets.materialization.distributions import parts, uniform_of
from distill.targets.materialization.forward import Reading, Teacher, kept_of, layers_of
from distill.targets.materialization.outputs import vectors_a_row

ABSOLUTE, RELATIVE = 1e-4, 5e-5

SLACK = {"fp32": 1.0, "bf16": 200.0}
"""Of a teacher's precision."""


@dataclass
class LiveDifference:
    """How far an output is from the live teacher."""

    output: str
    rows: int = 0
    worst: float = 0.0
    """The largest difference as a multiple of its bound: beyond 1 it is wrong."""
    split: str = ""
    example: str = ""
    """Where that is: the example id, in hexadecimal."""

    def add(self, ratios: Tensor, split: str, ids: Array) -> None:
        """Take in some rows."""
        self.rows += len(ratios)
        worst = int(ratios.nan_to_num(nan=torch.inf).argmax())
        if not ratios[worst] <= self.worst or not self.split:
            self.worst, self.split, self.example = float(ratios[worst]), split, bytes(ids[worst]).hex()


def compare(store: TargetStore, teacher: Teacher, dataset: Dataset, rows: int, batch_tokens: int = 4096) -> list[LiveDifference]:
    """Compare at most so many rows of all splits. The set's content decides which: the same set gives the same rows."""
    some = next(iter(store.manifests))
    store.require(dataset, tuple(store.manifests[some].splits), some)
    content = "".join(manifest.model_dump_json() for _, manifest in sorted(store.manifests.items()))
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(content.encode()).digest()[:8]))
    candidates = [(split, row) for split in dataset.splits for row in dataset.rows(split).firsts().tolist()]
    chosen = [candidates[i] for i in rng.choice(len(candidates), min(rows, len(candidates)), replace=False)]
    found = {output: LiveDifference(output) for output in sorted(store.manifests)}
    reading = _reading(store, teacher, batch_tokens)
    for split in dataset.splits:
        positions = np.array([row for other, row in chosen if other == split], np.int64)
        prepared = dataset.rows(split)
        readers = store.outputs([output for output, m in store.manifests.items() if split in m.splits], split)
        for batch in length_batches(prepared.lengths[positions], batch_tokens) if len(positions) else ():
            for output, ratios in _compare_batch(store, reading, prepared, positions[batch], readers):
                found[output].add(ratios, split, prepared.ids[positions[batch]])
    return list(found.values())


def _reading(store: TargetStore, teacher: Teacher, batch_tokens: int) -> Reading:
    manifests = store.manifests
    precision = next(iter(manifests.values())).precision
    computed = [output for output, m in manifests.items() if m.source not in (None, TOKENS) or kind_of(output)[0] == "attention"]
    frozen = {output: replay_weights(teacher.model, output) for output in computed}
    per = {output: manifest.per for output, manifest in manifests.items()}
    several = None if teacher.several is None else teacher.several.fast(precision)
    return Reading(fast_inference(teacher.model, precision), per, batch_tokens, precision, frozen, several)


def _compare_batch(
    store: TargetStore, reading: Reading, prepared: PreparedRows, positions: Array, readers: OutputReaders
) -> Iterator[tuple[str, Tensor]]:
    """For each output: the largest difference of each row, as a multiple of its bound, (rows,)."""
    ids, lengths = prepared.ids[positions], prepared.lengths[positions]
    head_outputs, hidden = reading.read(prepared, positions, layers_of(list(readers)), soft_targets=LOGITS in readers)
    for output, reader in readers.items():
        manifest, rows = store.manifests[output], reader.locate(ids)
        counts = vectors_a_row(manifest.per, prepared, positions)
        if output == TOKENS:
            same = (reader.gather(rows) == torch.from_numpy(prepared.inputs(positions))).all(dim=1)
            yield output, _largest(torch.where(same, 0.0, torch.inf)[:, None], lengths)
            continue
        if manifest.source in (None, TOKENS):
            live, precision = kept_of(output, head_outputs, hidden, lengths, reading.frozen), reading.precision
        else:
            source = readers[manifest.source]
            live = reading.frozen[output].replay(source.gather(source.locate(ids)), lengths)
            # Where bf16 products are fast, int8 states are replayed by weights in bf16.
            rounded = output != LOGITS and store.manifests[manifest.source].codec == "int8" and has_fast_bf16()
            precision = "bf16" if rounded else reading.precision
        if output in IN_PART:
            yield output, _ratios_in_part(reader, rows, live, reading.frozen[LOGITS], ids, counts, precision)
        elif kind_of(output)[0] == "attention":
            yield output, _attention_ratios(reader, rows, live.cpu(), manifest, precision)
        else:
            yield output, _vector_ratios(reader, rows, live.cpu(), counts, precision)


def _largest(ratios: Tensor, lengths: Array) -> Tensor:
    """The largest number of each row's vectors, (rows,)."""
    return torch.stack([part.max() for part in torch.split(ratios, lengths.tolist())])


def _slack(live: Tensor, precision: str) -> Tensor:
    return (ABSOLUTE + RELATIVE * live.abs()) * SLACK[precision]


def _vector_ratios(reader: OutputReader, rows: Array, live: Tensor, lengths: Array, precision: str) -> Tensor:
    """The largest difference of each row, as a multiple of its bound, (rows,)."""
    if f"/{LOGITS}/" in reader.name:
        bound = torch.full_like(live, ABSOLUTE * SLACK[precision]) * max(1.0, float(live.max() - live.min()))
    else:
        bound = _slack(live, precision)
    if isinstance(reader, StoredOutput) and isinstance(reader.codec, VectorCodec):
        bound = bound + reader.codec.error_bound(reader.planes(rows), lengths)
    ratios = (reader.gather(rows) - live).abs() / bound
    return _largest(ratios, lengths)


def _ratios_in_part(
    reader: OutputReader, rows: Array, states: Tensor, head: FrozenMatrices, ids: Array, counts: Array, precision: str
) -> Tensor:
    """The same for distributions that are kept in part: log-probabilities, or where the distribution function was passed."""
    assert isinstance(reader, StoredOutput)
    codec, kept, found = reader.codec, reader.gather(rows).to(states.device), []
    assert isinstance(codec, TopK | Draws)
    uniform = uniform_of(codec, ids, counts, states.device) if isinstance(codec, Draws) else None
    for part in parts(len(states), codec.vocabulary):
        logits = head.replay(states[part], counts)
        if isinstance(codec, TopK):
            words, live = kept[part, : codec.k].long(), logits.log_softmax(dim=1)
            rest = live.scatter(1, words, -torch.inf).logsumexp(dim=1, keepdim=True)
            live = torch.cat([live.gather(1, words), rest], dim=1).clamp_min(LOWEST)
            # Half a step of fp16, of the number itself and of those that it was normalized with.
            bound = _slack(live, precision) + (0 if codec.exact else (live.abs() + 12) * 2.0**-11)
            found.append(((kept[part, codec.k :] - live).abs() / bound).amax(dim=1))
        elif uniform is not None:
            above, words = logits.double().softmax(dim=1).cumsum(dim=1), kept[part]
            upper, below = above.gather(1, words), above.gather(1, (words - 1).clamp_min(0)) * (words > 0)
            beyond = torch.maximum(uniform[part] - upper, below - uniform[part])
            found.append((beyond.clamp_min(0) / (ABSOLUTE * SLACK[precision])).amax(dim=1))
    return _largest(torch.cat(found).float().cpu(), counts)


def _attention_ratios(reader: OutputReader, rows: Array, scores: Tensor, manifest: Manifest, precision: str) -> Tensor:
    """The same for maps. probabilities-u8 is compared in its fourth roots, which it keeps in steps of 1/255."""
    ratios = []
    for row, padded, length in zip(rows, scores, reader.lengths[rows].tolist(), strict=True):
        kept, live = reader.gather(row[None])[0, :, :length, :length], padded[:, :length, :length]
        if manifest.codec == PROBABILITIES:
            difference = (kept / 4).exp() - torch.softmax(live, dim=-1).pow(0.25)
            bound = 0.5 / 255 + _slack(torch.ones(()), precision)
        else:
            difference, bound = kept - live, _slack(live.abs().max(), precision)
        if manifest.codec == "scores-fp16":
            bound = bound + live.abs() * 2.0**-11
        if manifest.codec == "scores-u8":
            # Half a step, and what 255 steps can fall short of the range when a step is rounded to fp16.
            step = (kept.amax(dim=-1, keepdim=True) - kept.amin(dim=-1, keepdim=True)) / 255
            bound = bound + step * (0.5 + 255 * 2.0**-11)
        ratios.append((difference.abs() / bound).max())
    return torch.stack(ratios)
