"""What an earlier version of a target set has already, row by row: on disk, in DVC's cache or in its remote."""

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from distill.core.arrays import Array
from distill.core.console import print_progress, print_result
from distill.core.errors import UserError, first_line
from distill.core.files import atomic_folder, link_or_copy, read_json
from distill.core.recorded import LOCK, is_recorded, recorded_files
from distill.data.row_index import row_keys
from distill.params.task_specs import Per
from distill.store.codecs.registry import codec_of
from distill.store.codecs.vectors import Codec
from distill.store.manifest import MANIFEST, Fingerprints, Manifest, Shard, differences, further_of
from distill.store.readers import StoredOutput
from distill.store.shards import Column, MappedShard, columns_of, map_shard
from distill.store.target_set import TargetStore
from distill.targets.materialization.unit_pool import Pool

COMPUTE, COPY, KEEP = 0, 1, 2
"""What is to be done for a row's output: the teacher reads it, its bytes are copied, its shard stays."""

RECORD = "record.json"
"""In the scratch folder: data/runs/targets/NAME.json of the version that is remembered."""

EXACT = "fp32"
"""The codec from which any other can be made without the teacher."""


@dataclass(frozen=True)
class KeptShard:
    """A shard that stays as it is."""

    path: Path
    entry: Shard
    first: bytes
    """Its first example id."""


class PreviousSet:
    """An earlier version of a target set, or nothing."""

    def __init__(self, store: TargetStore | None, fingerprints: Fingerprints, precision: str, per: Mapping[str, Per]) -> None:
        """Outputs of another teacher or precision, or with vectors of something else, are as good as absent."""
        self.store = store
        self.manifests = {
            output: manifest
            for output, manifest in ({} if store is None else store.manifests).items()
            if _same_teachers(manifest, fingerprints) and (manifest.precision, manifest.per) == (precision, per.get(output))
        }
        self._copied: dict[tuple[str, str], StoredOutput] = {}
        self._whole: dict[tuple[str, str], list[tuple[Shard, MappedShard]]] = {}

    def forget_cost(self, scratch: Path) -> None:
        """Remove the record of what the set has cost, where nothing of it stays: another teacher's seconds are not this one's."""
        if not self.manifests:
            (scratch / RECORD).unlink(missing_ok=True)

    def statistics(self, output: str, codec: str) -> Mapping[str, Any] | None:
        """What a codec had measured, so that what is added goes with what is there; None if nothing is there."""
        manifest = self.manifests.get(output)
        splits = () if manifest is None or manifest.codec != codec else manifest.splits
        return next((mapped.statistics for split in splits for _, mapped in self._intact(output, split)), None)

    def state(self, split: str, output: str, codec: str, ids: Array) -> tuple[Array, list[KeptShard]]:
        """What is to be done for each of these rows of a stored output, (rows,) uint8, and the shards that stay.

        No shard stays that has a row which is wanted no more: who reads all of a set, or publishes it, would have that too.
        """
        state = np.full(len(ids), COMPUTE, np.uint8)
        manifest = self.manifests.get(output)
        if manifest is None or manifest.codec not in (codec, EXACT):
            return state, []
        kept, copied = [], []
        for entry, mapped in self._intact(output, split):
            present = np.concatenate([batch.ids for batch in mapped.batches])
            wanted = np.isin(row_keys(ids), row_keys(present))
            if manifest.codec == codec and wanted.sum() == len(present):
                assert self.store is not None
                kept.append(KeptShard(self.store.folder / output / entry.file, entry, present[0].tobytes()))
                state[wanted] = KEEP
            elif wanted.any():
                copied.append(mapped)
                state[wanted] = COPY
        if copied:
            source = codec_of(output, manifest.codec, manifest.width, copied[0].statistics)
            self._copied[split, output] = StoredOutput(copied, source, output)
        return state, kept

    def vectors(self, split: str, output: str, ids: Array) -> Tensor | None:
        """The exact vectors of rows, if all are there."""
        manifest = self.manifests.get(output)
        shards = [] if manifest is None or manifest.codec != EXACT else [mapped for _, mapped in self._intact(output, split)]
        if manifest is None or not shards:
            return None
        source = StoredOutput(shards, codec_of(output, EXACT, manifest.width, {}), output)
        rows = source.search(ids)
        return None if (rows < 0).any() else source.gather(rows)

    def copy(self, split: str, output: str, codec: Codec, ids: Array) -> dict[str, Column]:
        """Rows that are there already: their bytes, or encoded anew where they were exact."""
        source = self._copied[split, output]
        rows = source.locate(ids)
        lengths = source.lengths[rows]
        same = source.codec.name == codec.name
        planes = source.planes(rows) if same else codec.encode(source.gather(rows), lengths)
        return columns_of(planes, codec.counts(lengths))

    def _intact(self, output: str, split: str) -> Sequence[tuple[Shard, MappedShard]]:
        """The shards of an output that can be read."""
        if (output, split) not in self._whole:
            assert self.store is not None
            manifest, intact = self.manifests[output], self._whole.setdefault((output, split), [])
            for entry in manifest.splits[split].shards if split in manifest.splits else ():
                try:
                    intact.append((entry, map_shard(self.store.file(output, entry))))
                except UserError as error:
                    print_result(f"{error}; its rows are computed again")
        return self._whole[output, split]


def _same_teacher(manifest: Manifest, fingerprints: Fingerprints) -> bool:
    return not differences(fingerprints, manifest.fingerprints, ("teacher", "config"))


def _same_teachers(manifest: Manifest, fingerprints: Fingerprints) -> bool:
    """Also whether further teachers, of whom logits alone depend, are the same."""
    further = [further_of(prints, manifest.output) for prints in (fingerprints, manifest.fingerprints)]
    return _same_teacher(manifest, fingerprints) and further[0] == further[1]


def refuse_foreign(folder: Path, fingerprints: Fingerprints) -> None:
    """Refuse to replace a target set that another teacher, tokenizer, label order or length made."""
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        if problems := differences(fingerprints, Manifest.read(path.parent).fingerprints):
            raise UserError(
                f"{folder}: was made from something else: {'; '.join(problems)}; delete it, or give the new set another name"
            )


def remember(folder: Path, scratch: Path) -> None:
    """Keep a whole set, by hard links, as the base of its next version, and forget the units that it was made of."""
    base, new = scratch / "base", scratch / "base.new"
    shutil.rmtree(new, ignore_errors=True)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            link_or_copy(file, new / file.relative_to(folder))
    shutil.rmtree(base, ignore_errors=True)
    new.rename(base)
    Pool(scratch).forget()


def total_cost(scratch: Path, seconds: float, computed: int, tokens: int) -> tuple[float, int]:
    """Seconds and tokens of the teacher's passes that a set was made by: this run's, and for other tokens those of earlier runs.

    A run that computes nothing changes neither.
    """
    path = scratch / RECORD
    none: dict[str, Any] = {"seconds": 0.0, "tokens_computed": 0}
    earlier = read_json(path, "the record of a target set") if path.exists() else none
    kept = min(earlier["tokens_computed"], tokens - computed)
    if not kept:
        return seconds, computed
    return (seconds if computed else 0.0) + earlier["seconds"] * (kept / earlier["tokens_computed"]), computed + kept


def open_remembered(scratch: Path) -> TargetStore | None:
    """The last whole version of a set, if it is there and readable."""
    base = scratch / "base"
    try:
        return TargetStore.open(base) if base.exists() else None
    except UserError as error:
        print_result(f"{error}; all is computed again")
        return None


def fetch_committed(folder: Path, fingerprints: Fingerprints, base: Path) -> TargetStore | None:
    """Fetch data/targets/NAME, and its record, to `base`, if this teacher has made it and DVC can find all of it."""
    if not is_recorded(folder):
        return None
    try:
        with recorded_files() as remote, atomic_folder(base) as whole:
            found = [name for name in remote.find(folder.as_posix()) if name.endswith(f"/{MANIFEST}")]
            for name in found:
                _get(remote, name, whole / Path(name).relative_to(folder))
            store = TargetStore.open(whole)
            if not all(_same_teacher(manifest, fingerprints) for manifest in store.manifests.values()):
                raise UserError("another teacher has made it")
            print_progress(f"{folder}: fetching the version that {LOCK} names, so that only what is new is computed")
            for output, manifest in store.manifests.items():
                for entry in manifest.files:
                    _get(remote, f"{folder.as_posix()}/{output}/{entry.file}", whole / output / entry.file)
        with contextlib.suppress(UserError), recorded_files() as remote:
            _get(remote, f"data/runs/targets/{folder.name}.json", base.parent / RECORD)
        return TargetStore.open(base)
    except UserError as error:
        print_result(f"{folder}: the version that {LOCK} names is of no use here ({first_line(error)}); all is computed anew")
        return None


def _get(remote: Any, name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remote.get_file(name, str(path))
