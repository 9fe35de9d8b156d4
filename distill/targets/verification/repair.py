"""Putting a target set right: what is broken is computed again by the teacher, the rest stays as it is."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from distill.core.errors import UserError
from distill.core.files import link_or_copy
from distill.data.dataset import Dataset
from distill.store.manifest import MANIFEST, Manifest, Shard, differences
from distill.store.output_names import REPLAY
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.outputs import MaterializeSpec
from distill.targets.materialization.previous import PreviousSet
from distill.targets.materialization.unit_pool import Pool
from distill.targets.materialization.units import Layout, Unit, lay_out
from distill.targets.verification.integrity import CheckResult

Part = tuple[Shard, list[Unit]]
"""A shard, and the units that it is made of; none if it is whole."""


class Repair(Materializer):
    """Computes the broken shards of a set in the units that they were made in, so that they get their bytes back.

    Units follow from the data set and the job alone if the set was made at once. A set that has grown has shards that
    begin elsewhere; then the missing rows are cut anew, as when a set grows: the numbers are the same up to their last bits.
    """

    def __init__(self, teacher: Teacher, dataset: Dataset, job: MaterializeSpec, pool: Pool | Path, checked: CheckResult) -> None:
        """Find out which units have to be computed; the set must be of this teacher, these rows and this job."""
        self.checked = checked
        self.trusted = {output: m for output, m in checked.manifests.items() if MANIFEST not in checked.broken(output)}
        whole = {output: _without(manifest, checked.broken(output)) for output, manifest in self.trusted.items()}
        self._store = TargetStore(checked.folder, whole, verify=False)
        super().__init__(teacher, dataset, job, pool, self._store)
        self._require_same()
        nothing = PreviousSet(None, teacher.fingerprints, job.precision, {})
        fresh = lay_out(self.rows, job, self.outputs, teacher.shape, nothing).units
        self._units = {split: [unit for unit in fresh if unit.split == split] for split in self.rows}
        self._parts: dict[tuple[str, str], list[Part] | None] = {}
        self.same_units = all(self._find(split, output) for split in self.rows for output in self.outputs.of_split(split, job))

    @cached_property
    def layout(self) -> Layout:
        """What has to be computed."""
        return Layout(tuple(self._broken()), {}) if self.same_units else super().layout

    def assemble(self, folder: Path) -> None:
        """Build the whole set in an empty folder: what is broken anew, the rest by hard links."""
        super().assemble(folder)
        for output in self.trusted if self.same_units else ():
            source = self.checked.folder / output
            named = {entry.file for entry in self.trusted[output].files}
            if named.isdisjoint(self.checked.broken(output)):
                for file in (MANIFEST, *(entry.file for entry in [self.trusted[output].heads] if entry is not None)):
                    (folder / output / file).unlink()
                    link_or_copy(source / file, folder / output / file)

    def _shards(self, folder: Path, split: str, output: str) -> Iterator[Shard]:
        if not self.same_units:
            yield from super()._shards(folder, split, output)
            return
        parts = self._parts[split, output]
        units = [_alone(unit, output) for unit in self._units[split]]
        for entry, group in parts if parts is not None else self._named(split, output, units):
            path = folder / entry.file
            if not group:
                link_or_copy(self.checked.folder / output / entry.file, path)
                yield entry
                continue
            yield entry.model_copy(update=self._write_shard(path, output, group))

    def _named(self, split: str, output: str, units: Sequence[Unit]) -> Iterator[Part]:
        """The shards of an output of which nothing is known: named and filled as when the set was made."""
        for number, group in enumerate(self._joined(units, output)):
            rows, tokens = self._size(group)
            yield Shard(file=f"{split}/part-{number:05d}.arrow", rows=rows, tokens=tokens, bytes=0, sha256="0" * 64), group

    def _find(self, split: str, output: str) -> bool:
        """Find the units of each shard of an output; whether that could be done."""
        manifest = self.trusted.get(output)
        if manifest is None or split not in manifest.splits:
            self._parts[split, output] = None
            return True
        parts: list[Part] = []
        left = list(self._units[split])
        for entry in manifest.splits[split].shards:
            group: list[Unit] = []
            while left and sum(len(unit.positions) for unit in group) < entry.rows:
                group.append(_alone(left.pop(0), output))
            if not group or not self._holds(entry, group, output, whole := entry.file not in self.checked.broken(output)):
                return False
            parts.append((entry, [] if whole else group))
        self._parts[split, output] = parts
        return not left

    def _holds(self, entry: Shard, group: Sequence[Unit], output: str, whole: bool) -> bool:
        """Whether a shard has the rows of these units, as far as can be seen."""
        if self._size(group) != (entry.rows, entry.tokens):
            return False
        ids = np.concatenate([self.rows[unit.split].ids[unit.positions] for unit in group])
        return not whole or np.array_equal(self._store.part(output, entry).ids, ids)

    def _broken(self) -> Iterator[Unit]:
        """The units that have to be computed, each with the outputs of which something is missing."""
        missing = {
            key: {unit.positions[0] for _, group in parts for unit in group} for key, parts in self._parts.items() if parts
        }
        for split, units in self._units.items():
            for unit in units:
                wanted = [
                    output
                    for output in unit.outputs
                    if self._parts[split, output] is None or unit.positions[0] in missing[split, output]
                ]
                if wanted:
                    yield dataclasses.replace(unit, compute=tuple(wanted), copy=())

    def _require_same(self) -> None:
        name = self.checked.folder.name
        for output, manifest in self.trusted.items():
            wrong = differences(self.teacher.fingerprints, manifest.fingerprints)
            codec = self.outputs.stored.get(output, self.outputs.replayed.get(output) and REPLAY)
            asked = (codec, self.outputs.per.get(output), self.job.precision)
            if asked != (there := (manifest.codec, manifest.per, manifest.precision)):
                wrong.append(f"params.yaml asks for {output} as {asked}, the store has {there}")
            for split, entry in manifest.splits.items():
                if self.datasets.get(split) != entry.dataset:
                    wrong.append(f"the rows of {split} are {self.datasets.get(split, 'gone')[:12]}, here {entry.dataset[:12]}")
            if wrong:
                raise UserError(f"{self.checked.folder}: cannot be repaired: {'; '.join(wrong)}; run `dvc repro targets@{name}`")


def _alone(unit: Unit, output: str) -> Unit:
    """The unit as if it had one output."""
    return dataclasses.replace(unit, compute=(output,), copy=())


def _without(manifest: Manifest, broken: set[str]) -> Manifest:
    splits = {
        split: part.model_copy(update={"shards": tuple(shard for shard in part.shards if shard.file not in broken)})
        for split, part in manifest.splits.items()
    }
    return manifest.model_copy(update={"splits": splits})
