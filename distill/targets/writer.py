"""Materializing a target set: once, resumably, byte for byte the same however often it was interrupted.

Rows are cut into units. A unit is one stretch of the teacher's work: once it has run, a file for each output goes to the scratch
folder under a key of everything that its bytes depend on. A killed run finds those files again; a finished one links them into
the target set. Logits, which are tiny, are joined into larger shards.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from distill.errors import UserError
from distill.files import link_or_copy, sha256
from distill.prepared import Dataset, PreparedRows
from distill.targets.codec import Codec, Encoded, calibrate
from distill.targets.forward import encode_unit, hidden_sample
from distill.targets.schema import (
    LOGITS,
    VERSION,
    Fingerprints,
    Manifest,
    Shard,
    SplitShards,
    differences,
    hidden_output,
    libraries,
)
from distill.targets.shards import map_shard, write_shard

Array = np.ndarray[Any, np.dtype[Any]]
CALIBRATION_ROWS = 512
"""Rows of the first split whose hidden states give the int8 codec its channel statistics."""
LOGITS_ONLY_TOKENS = 65_536
"""Tokens of a unit where no hidden state is kept."""


@dataclass(frozen=True)
class Job:
    """What is to be materialized, and how."""

    hidden: tuple[int, ...] = ()
    """Hidden states, from 0 (the embedding output) on; negative from the last."""
    hidden_splits: tuple[str, ...] = ("train",)
    codec: str = "int8"
    shard_bytes: int = 32 * 2**20
    batch_tokens: int = 4096
    precision: str = "fp32"


@dataclass(frozen=True)
class Work:
    """What a run has done: tokens that the teacher read now, and tokens in the set."""

    tokens_computed: int
    tokens: int


@dataclass(frozen=True)
class Unit:
    """Rows of a split that are computed together, and the outputs that are kept of them."""

    split: str
    positions: Array
    outputs: tuple[str, ...]


def resolve_layers(hidden: Sequence[int], depth: int) -> tuple[int, ...]:
    """Hidden states as numbers from 0 to `depth`, sorted.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
    for layer in hidden:
        if not -depth - 1 <= layer <= depth:
            raise UserError(
                f"hidden: the teacher has no hidden state {layer}; expected 0 (embeddings) to {depth}, or -1 for the last"
            )
    layers = sorted(layer % (depth + 1) for layer in hidden)
    if len(set(layers)) < len(layers):
        raise UserError(f"hidden: {list(hidden)} names a layer twice; give each once")
    return tuple(layers)


def unique_rows(rows: PreparedRows) -> Array:
    """Positions of the first row of each example id, in order: equal rows have equal targets."""
    _, first = np.unique(rows.ids, axis=0, return_index=True)
    return np.sort(first)


def cut_units(rows: PreparedRows, positions: Array, unit_tokens: int) -> list[Array]:
    """Cut rows into stretches of about so many tokens, at least one row each."""
    ends = np.cumsum(rows.lengths[positions])
    return np.split(positions, np.flatnonzero(np.diff((ends - 1) // unit_tokens)) + 1)


def plan_units(dataset: Mapping[str, PreparedRows], job: Job, layers: Sequence[int], width: int) -> list[Unit]:
    """All units of a target set."""
    token_bytes = width * {"fp32": 4, "fp16": 2, "int8": 1}[job.codec]
    units = []
    for split, rows in dataset.items():
        kept = tuple(map(hidden_output, layers)) if split in job.hidden_splits else ()
        tokens = max(1, job.shard_bytes // token_bytes) if kept else LOGITS_ONLY_TOKENS
        units += [Unit(split, stretch, (LOGITS, *kept)) for stretch in cut_units(rows, unique_rows(rows), tokens)]
    return units


class Materializer:
    """Runs a teacher over prepared rows and assembles the target set."""

    def __init__(self, model: PreTrainedModel, dataset: Dataset, fingerprints: Fingerprints, job: Job, scratch: Path) -> None:
        """Resolve layers, cut units, and measure the codec's statistics.

        Args:
            model: The teacher; it is put into eval mode.
            dataset: The prepared rows.
            fingerprints: Of the teacher and its data.
            job: What to keep.
            scratch: Where finished units wait; it belongs to this target set alone.
        """
        self.model = model.eval()
        self.depth = int(model.config.num_hidden_layers)
        self.fingerprints, self.job, self.scratch = fingerprints, job, scratch
        self.layers = resolve_layers(job.hidden, self.depth)
        self.rows = {split: dataset.rows(split) for split in dataset.splits}
        self.datasets = {split: str(entry["fingerprint"]) for split, entry in dataset.splits.items()}
        self.units = plan_units(self.rows, job, self.layers, int(model.config.hidden_size))
        self.codecs = self._calibrate()
        self.libraries = libraries()
        scratch.mkdir(parents=True, exist_ok=True)

    def run(self, after_unit: Callable[[], None] = lambda: None) -> Work:
        """Compute what the scratch folder lacks. `after_unit` is called when a unit's files have been written."""
        everything = sum(int(self.rows[unit.split].lengths[unit.positions].sum()) for unit in self.units)
        computed = 0
        with tqdm(total=everything, desc="targets", unit="token", unit_scale=True, disable=None) as bar:
            for unit in self.units:
                rows = self.rows[unit.split]
                lacking = {output: self.codecs[output] for output in unit.outputs if not self._file(unit, output).exists()}
                tokens = int(rows.lengths[unit.positions].sum())
                if not lacking:
                    bar.update(tokens)
                    continue
                encoded = encode_unit(
                    self.model, rows, unit.positions, lacking, self.job.batch_tokens, self.job.precision, bar.update
                )
                for output, part in encoded.items():
                    lengths = np.ones(len(unit.positions), np.int64) if output == LOGITS else rows.lengths[unit.positions]
                    write_shard(self._file(unit, output), output, rows.ids[unit.positions], lengths, part, self.codecs[output])
                computed += tokens
                after_unit()
        return Work(computed, everything)

    def assemble(self, folder: Path) -> None:
        """Build the target set in an empty folder from the finished units, and forget units of former versions."""
        for output, codec in self.codecs.items():
            splits = {}
            for split in self.rows:
                units = [unit for unit in self.units if unit.split == split and output in unit.outputs]
                if units:
                    shards = self._shards(folder / output, split, output, units)
                    splits[split] = SplitShards(self.datasets[split], tuple(shards))
            width = int(self.model.config.num_labels if output == LOGITS else self.model.config.hidden_size)
            Manifest(output, codec.name, width, self.depth, self.fingerprints, splits, self.libraries).write(folder / output)
        current = {self._file(unit, output) for unit in self.units for output in unit.outputs}
        for file in self.scratch.glob("*.arrow"):
            if file not in current:
                file.unlink()

    def _shards(self, folder: Path, split: str, output: str, units: Sequence[Unit]) -> Iterator[Shard]:
        groups = [[unit] for unit in units] if output != LOGITS else self._joined(units)
        for number, group in enumerate(groups):
            name = f"{split}/part-{number:05d}.arrow"
            path, lengths = folder / name, [self.rows[split].lengths[unit.positions] for unit in group]
            if len(group) == 1:
                link_or_copy(self._file(group[0], output), path)
            else:
                self._join(path, output, group)
            rows, tokens = sum(map(len, lengths)), int(sum(part.sum() for part in lengths))
            yield Shard(name, rows, tokens, path.stat().st_size, sha256(path))

    def _joined(self, units: Sequence[Unit]) -> list[list[Unit]]:
        """Units of logits, in groups of about a shard's size."""
        row_bytes = 4 * int(self.model.config.num_labels) + 16
        sizes = np.cumsum([len(unit.positions) * row_bytes for unit in units])
        cuts = np.flatnonzero(np.diff((sizes - 1) // self.job.shard_bytes)) + 1
        return [[units[i] for i in part] for part in np.split(np.arange(len(units)), cuts)]

    def _join(self, path: Path, output: str, group: Sequence[Unit]) -> None:
        batches = [batch for unit in group for batch in map_shard(self._file(unit, output), output)[0]]
        ids = np.concatenate([batch.ids for batch in batches])
        values = torch.from_numpy(np.concatenate([batch.vectors for batch in batches]))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(path, output, ids, np.ones(len(ids), np.int64), Encoded(values, None), self.codecs[output])

    def _calibrate(self) -> dict[str, Codec]:
        """The codec of each output; int8 is calibrated on the first rows."""
        codecs = {LOGITS: Codec("fp32")} | {hidden_output(layer): Codec(self.job.codec) for layer in self.layers}
        if self.layers and self.job.codec == "int8":
            split = next(split for split in self.rows if split in self.job.hidden_splits)
            sample = unique_rows(self.rows[split])[:CALIBRATION_ROWS]
            states = hidden_sample(self.model, self.rows[split], sample, self.layers, self.job.batch_tokens, self.job.precision)
            codecs |= {hidden_output(layer): calibrate(states[layer]) for layer in self.layers}
        return codecs

    def _file(self, unit: Unit, output: str) -> Path:
        """Where a unit's output waits: the name is a hash of all that its bytes depend on."""
        codec = self.codecs[output]
        statistics = [part.numpy().tobytes() for part in (codec.mean, codec.deviation) if part is not None]
        what = {
            "version": VERSION,
            "teacher": (self.fingerprints.teacher, self.fingerprints.config),
            "libraries": self.libraries,
            "output": output,
            "codec": (codec.name, hashlib.sha256(b"".join(statistics)).hexdigest()),
            "forward": (self.job.batch_tokens, self.job.precision, str(self.model.device.type)),
            "rows": hashlib.sha256(self.rows[unit.split].ids[unit.positions].tobytes()).hexdigest(),
        }
        return self.scratch / f"{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()}.arrow"


def refuse_foreign(folder: Path, fingerprints: Fingerprints) -> None:
    """Refuse to replace a target set that another teacher, tokenizer, label order or length made.

    Raises:
        UserError: what differs, with both fingerprints.
    """
    for path in sorted(folder.glob("*/manifest.json")):
        found = Manifest.read(path.parent).fingerprints
        problems = differences(fingerprints, found, ("teacher", "config", "tokenizer", "labels", "max_length"))
        if problems:
            raise UserError(
                f"{folder}: was made from something else: {'; '.join(problems)}; delete it, or give the new set another name"
            )
