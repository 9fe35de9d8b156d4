"""Materializing a target set: once, resumably, byte for byte the same however often it was interrupted and whoever shares it.

Once the teacher has read a unit, a file for each output goes to the pool under a key of everything that its bytes depend on. A
killed run finds those files again, and so do other processes; a finished one links them into the target set, small ones joined
into larger shards. What an earlier version of the set holds already is taken from there.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from distill.core.errors import UserError
from distill.core.files import atomic_file, link_or_copy, sha256
from distill.data.dataset import Dataset
from distill.models.packed_linear import fast_inference
from distill.models.probing import runs_in_bf16
from distill.store.codecs.registry import codec_of
from distill.store.codecs.vectors import Codec
from distill.store.manifest import VERSION, File, Manifest, Shard, SplitShards, further_of, libraries
from distill.store.output_names import HEADS, REPLAY, TOKENS, kind_of
from distill.store.replay.attention import ProjectionWeights
from distill.store.replay.embeddings import replays_embeddings
from distill.store.replay.registry import replay_weights
from distill.store.shards import write_shard
from distill.store.target_set import TargetStore
from distill.targets.materialization.background import BackgroundCalls
from distill.targets.materialization.codec_statistics import Statistics, statistics_of
from distill.targets.materialization.forward import EncodedRows, Reading, Teacher, encode_unit
from distill.targets.materialization.joining import joined, write_joined
from distill.targets.materialization.outputs import MaterializeSpec, kept_in, resolve, settled
from distill.targets.materialization.previous import KeptShard, PreviousSet
from distill.targets.materialization.unit_pool import Pool
from distill.targets.materialization.units import Layout, Unit, lay_out, token_bar


@dataclass(frozen=True)
class Work:
    """What a run has done: tokens that the teacher read now, and tokens in the set."""

    tokens_computed: int
    tokens: int


class Materializer:
    """Runs a teacher over prepared rows and assembles the target set."""

    def __init__(
        self,
        teacher: Teacher,
        dataset: Dataset,
        job: MaterializeSpec,
        pool: Pool | Path,
        base: TargetStore | None = None,
        statistics: Statistics | None = None,
    ) -> None:
        """Resolve layers, and measure the codecs' statistics, unless another process has done so.

        The pool, or the folder that is to be the pool, belongs to this set alone. Of `base`, an earlier version of it, all that
        fits is taken over.
        """
        if job.precision == "bf16" and not runs_in_bf16(teacher.model):
            raise UserError(f"precision: bf16: a '{teacher.model.config.model_type}' overflows in it; set fp32")
        job = settled(job, teacher.shape.layers, dataset.task, lambda: replays_embeddings(teacher.model))
        self.teacher, self.job, self.pool = teacher, job, pool if isinstance(pool, Pool) else Pool(pool)
        self.outputs = resolve(job, teacher.shape.layers, dataset.task)
        self.rows = {split: dataset.rows(split) for split in dataset.splits}
        self.datasets = {split: str(entry["fingerprint"]) for split, entry in dataset.splits.items()}
        self.base = PreviousSet(base, teacher.fingerprints, job.precision, self.outputs.per)
        computed = {*self.outputs.replayed, *(name for name in self.outputs.stored if kind_of(name)[0] == "attention")}
        self.frozen = {output: replay_weights(teacher.model, output) for output in sorted(computed)}
        fast = fast_inference(teacher.model, job.precision)
        several = None if teacher.several is None else teacher.several.fast(job.precision)
        self.reading = Reading(fast, self.outputs.per, job.batch_tokens, job.precision, self.frozen, several)
        if statistics is None:
            statistics = statistics_of(self.rows, job, self.outputs.stored, self.base, self.reading)
        self.codecs: dict[str, Codec] = {
            output: codec_of(output, codec, self._width(output), statistics.get(output, {}))
            for output, codec in self.outputs.stored.items()
        }

    @cached_property
    def layout(self) -> Layout:
        """All rows, cut into units."""
        return lay_out(self.rows, self.job, self.outputs, self.teacher.shape, self.base)

    @property
    def statistics(self) -> Statistics:
        """What the codecs have measured, by output."""
        return {output: codec.statistics for output, codec in self.codecs.items() if codec.statistics}

    @property
    def tokens(self) -> int:
        """Tokens of all rows of the set, each row once."""
        return sum(int(rows.lengths[rows.firsts()].sum()) for rows in self.rows.values())

    def missing(self) -> list[Unit]:
        """What is yet to be done: units, each with the outputs that the pool lacks."""
        there = self.pool.names()

        def lacking(unit: Unit, outputs: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(output for output in outputs if self.file(unit, output).name not in there)

        rest = [replace(u, compute=lacking(u, u.compute), copy=lacking(u, u.copy)) for u in self.layout.units]
        return [unit for unit in rest if unit.outputs]

    def read(self, unit: Unit) -> int:
        """How many tokens the teacher has to read for a unit."""
        return int(self.rows[unit.split].lengths[unit.positions].sum()) if set(unit.compute) - {TOKENS} else 0

    def run(self, units: Sequence[Unit] | None = None, after_unit: Callable[[], None] = lambda: None) -> Work:
        """Do these units, or all that are missing. `after_unit` is called when one has been written."""
        units = self.missing() if units is None else units
        computed = sum(map(self.read, units))
        with token_bar(computed) as bar:
            self.compute(units, bar.update, after_unit)
        return Work(computed, self.tokens)

    def compute(
        self,
        units: Sequence[Unit],
        advance: Callable[[int], object] = lambda _: None,
        after_unit: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a file for each output of these units: while the teacher reads, threads encode and write what it read before."""
        with BackgroundCalls("write") as writing, BackgroundCalls("encode") as encoding:
            for unit in units:
                wanted = {output: self.codecs[output] for output in unit.compute}
                encoded = encode_unit(self.reading, self.rows[unit.split], unit.positions, wanted, advance, encoding)
                encoding(writing, self._write, unit, encoded, after_unit)

    def _write(self, unit: Unit, encoded: Mapping[str, EncodedRows], after_unit: Callable[[], None]) -> None:
        ids = self.rows[unit.split].ids[unit.positions]
        for output in unit.outputs:
            codec, path = self.codecs[output], self.file(unit, output)
            there = output in encoded
            planes = encoded[output].columns() if there else self.base.copy(unit.split, output, codec, ids)
            write_shard(path, output, ids, planes, codec.name, codec.statistics)
            self.pool.keep(path)
        after_unit()

    def assemble(self, folder: Path) -> None:
        """Build the target set in an empty folder from the finished units and what stays of the base."""
        self.pool.fetch(self.file(unit, output).name for unit in self.layout.units for output in unit.outputs)
        splits: dict[str, dict[str, SplitShards]] = {output: {} for output in self.outputs.names}
        for split in self.rows:
            for output in self.outputs.of_split(split, self.job):
                shards = tuple(self._shards(folder / output, split, output))
                splits[output][split] = SplitShards(dataset=self.datasets[split], shards=shards)
        for output, source in sorted(self.outputs.replayed.items()):
            kept = [split for split in self.rows if kept_in(output, split, self.job)]
            splits[output] = {split: SplitShards(dataset=self.datasets[split], shards=()) for split in kept}
            self._write_replay_weights(folder / output, output, source)
        for output in self.outputs.names:
            self._manifest(folder / output, output, splits[output]).write(folder / output)

    def file(self, unit: Unit, output: str) -> Path:
        """Where a unit's output waits: the name is a hash of all that its bytes depend on."""
        key = self._keys[output].copy()
        key.update(self.rows[unit.split].ids[unit.positions].tobytes())
        return self.pool.folder / f"{key.hexdigest()}.arrow"

    @cached_property
    def _keys(self) -> dict[str, Any]:
        """For each output, the hash of all that its bytes depend on but the rows."""
        prints, keys = self.teacher.fingerprints, {}
        for output, codec in self.codecs.items():
            statistics = [codec.statistics[name].numpy().tobytes() for name in sorted(codec.statistics)]
            what = {
                "version": VERSION,
                "teacher": (prints.teacher, prints.config),
                "further": further_of(prints, output),
                "libraries": libraries(),
                "output": output,
                "per": self.outputs.per[output],
                "codec": (codec.name, hashlib.sha256(b"".join(statistics)).hexdigest()),
                "forward": (self.job.batch_tokens, self.job.precision, str(self.teacher.model.device.type)),
            }
            keys[output] = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
        return keys

    def _shards(self, folder: Path, split: str, output: str) -> Iterator[Shard]:
        """Link or join the shards of an output, ordered by their first example ids."""
        units = [unit for unit in self.layout.units if unit.split == split and output in unit.outputs]
        sources: list[tuple[bytes, KeptShard | list[Unit]]] = [(kept.first, kept) for kept in self.layout.kept[split, output]]
        ids = self.rows[split].ids
        sources += [(bytes(ids[group[0].positions[0]]), group) for group in self._joined(units, output)]
        for number, (_, source) in enumerate(sorted(sources, key=lambda entry: entry[0])):
            path = folder / (name := f"{split}/part-{number:05d}.arrow")
            if isinstance(source, KeptShard):
                link_or_copy(source.path, path)
                yield source.entry.model_copy(update={"file": name})
                continue
            rows, tokens = self._size(source)
            yield Shard(file=name, rows=rows, tokens=tokens, **self._write_shard(path, output, source))

    def _size(self, group: Sequence[Unit]) -> tuple[int, int]:
        """Rows and tokens of some units."""
        lengths = [self.rows[unit.split].lengths[unit.positions] for unit in group]
        return sum(map(len, lengths)), int(sum(part.sum() for part in lengths))

    def _joined(self, units: Sequence[Unit], output: str) -> list[list[Unit]]:
        """The units of each shard."""
        return joined(units, lambda unit: self.file(unit, output).stat().st_size, self.job.shard_bytes)

    def _write_shard(self, path: Path, output: str, group: Sequence[Unit]) -> dict[str, Any]:
        """Write the shard of some units; its size and checksum."""
        write_joined(path, output, [self.file(unit, output) for unit in group], self.codecs[output])
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}

    def _write_replay_weights(self, folder: Path, output: str, source: str) -> None:
        weights = self.frozen[output]
        if source == TOKENS:
            used = np.unique(np.concatenate([self.rows[split].tokens for split in self.rows if split in self.job.hidden_splits]))
            weights = replay_weights(self.teacher.model, output, used)
        with atomic_file(folder / HEADS) as temporary:
            save_file({name: tensor.cpu().contiguous() for name, tensor in weights.tensors().items()}, temporary)

    def _manifest(self, folder: Path, output: str, splits: dict[str, SplitShards]) -> Manifest:
        heads = folder / HEADS
        return Manifest(
            output=output,
            codec=self.outputs.stored.get(output, REPLAY),
            per=self.outputs.per[output],
            width=self._width(output),
            source=self.outputs.replayed.get(output),
            teacher_layers=self.teacher.shape.layers,
            precision=self.job.precision,
            fingerprints=self.teacher.fingerprints,
            heads=File(file=HEADS, bytes=heads.stat().st_size, sha256=sha256(heads)) if heads.exists() else None,
            splits=splits,
            libraries=libraries(),
        )

    def _width(self, output: str) -> int:
        weights = self.frozen.get(output)
        if type(weights) is ProjectionWeights:
            return len(weights.bias)
        return self.teacher.shape.width_of(output, any(rows.token_types is not None for rows in self.rows.values()))
