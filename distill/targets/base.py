"""Growing: what an earlier version of a target set has already, row by row."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from distill.console import say
from distill.errors import UserError
from distill.files import link_or_copy
from distill.targets.codec import Codec
from distill.targets.gather import StoredOutput
from distill.targets.outputs import codec_of
from distill.targets.pool import Pool
from distill.targets.reader import TargetStore
from distill.targets.schema import Fingerprints, Manifest, Per, Shard, differences
from distill.targets.shards import Column, MappedShard, map_shard, row_keys

Array = np.ndarray[Any, np.dtype[Any]]
COMPUTE, COPY, KEEP = 0, 1, 2
"""What is to be done for a row's output: the teacher reads it, its bytes are copied, its shard stays."""
WORTH_KEEPING = 0.5
"""The share of a shard's rows that must still be wanted for the shard to stay."""
EXACT = "fp32"
"""The codec from which any other can be made without the teacher."""


@dataclass(frozen=True)
class Kept:
    """A shard that stays as it is."""

    path: Path
    entry: Shard
    first: bytes
    """Its first example id."""


class Base:
    """An earlier version of a target set, or nothing."""

    def __init__(self, store: TargetStore | None, fingerprints: Fingerprints, precision: str, per: Mapping[str, Per]) -> None:
        """Outputs of another teacher or precision, or with vectors of something else, are as good as absent."""
        self.store = store
        usable = {} if store is None else store.manifests
        teacher = (fingerprints.teacher, fingerprints.config)
        self.manifests = {
            output: manifest
            for output, manifest in usable.items()
            if (manifest.fingerprints.teacher, manifest.fingerprints.config) == teacher
            and (manifest.precision, manifest.per) == (precision, per.get(output))
        }
        self._copied: dict[tuple[str, str], StoredOutput] = {}
        self._whole: dict[tuple[str, str], list[tuple[Shard, MappedShard]]] = {}

    def statistics(self, output: str, codec: str) -> Mapping[str, Any] | None:
        """What a codec had measured, so that what is added goes with what is there; None if nothing is there."""
        manifest = self.manifests.get(output)
        if self.store is None or manifest is None or manifest.codec != codec:
            return None
        for split in manifest.splits:
            for _, mapped in self._intact(output, split):
                return mapped.statistics
        return None

    def state(self, split: str, output: str, codec: str, ids: Array) -> tuple[Array, list[Kept]]:
        """What is to be done for each row, (rows,) uint8, and the shards that stay.

        Args:
            split: Of the data set.
            output: A stored output.
            codec: How it is to be kept.
            ids: The rows that are wanted, (rows, 16) uint8.
        """
        state = np.full(len(ids), COMPUTE, np.uint8)
        manifest = self.manifests.get(output)
        if manifest is None or manifest.codec not in (codec, EXACT):
            return state, []
        kept, copied = [], []
        for entry, mapped in self._intact(output, split):
            own = np.concatenate([batch.ids for batch in mapped.batches])
            wanted = np.isin(row_keys(ids), row_keys(own))
            if manifest.codec == codec and wanted.sum() >= WORTH_KEEPING * len(own):
                assert self.store is not None
                kept.append(Kept(self.store.folder / output / entry.file, entry, own[0].tobytes()))
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
        rows, missing = source.search(ids)
        return None if missing.any() else source.gather(rows)

    def copy(self, split: str, output: str, codec: Codec, ids: Array) -> dict[str, Column]:
        """Rows that are there already: their bytes, or encoded anew where they were exact."""
        source = self._copied[split, output]
        rows = source.locate(ids)
        lengths = source.lengths[rows]
        same = source.codec.name == codec.name
        planes = source.planes(rows) if same else codec.encode(source.gather(rows), lengths)
        counts = codec.counts(lengths)
        return {
            plane: Column(values.numpy(), np.concatenate([[0], np.cumsum(counts[plane])])) for plane, values in planes.items()
        }

    def _intact(self, output: str, split: str) -> Sequence[tuple[Shard, MappedShard]]:
        if (output, split) in self._whole:
            return self._whole[output, split]
        assert self.store is not None
        manifest, found = self.manifests[output], self._whole.setdefault((output, split), [])
        for entry in manifest.splits[split].shards if split in manifest.splits else ():
            try:
                found.append((entry, map_shard(self.store.file(output, entry))))
            except UserError as error:
                say(f"{error}; its rows are computed again")
        return found


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


def remembered(scratch: Path) -> TargetStore | None:
    """The last whole version of a set, if it is there and readable."""
    base = scratch / "base"
    try:
        return TargetStore.open(base) if base.exists() else None
    except UserError as error:
        say(f"{error}; all is computed again")
        return None
