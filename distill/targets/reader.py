"""Reading a target set: rows by `example_id`, gathered from the memory map into torch tensors.

store = TargetStore.open(Path("data/targets/bbc"))
logits = store.output("logits", "train")
rows = logits.locate(ids)                 # (n, 16) uint8 example ids → positions in the store
logits.gather(rows[:32])                  # (32, classes) float32
store.output("hidden-06", "train").gather(rows[:32])   # (tokens of those rows, hidden) float32, no padding
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from distill.errors import UserError
from distill.files import sha256
from distill.prepared import Dataset
from distill.targets.codec import STORED, Codec
from distill.targets.schema import LOGITS, Fingerprints, Manifest, differences, layer_of
from distill.targets.shards import Batch, map_shard

Array = np.ndarray[Any, np.dtype[Any]]


class OutputReader:
    """One output of one split. Buffers are resolved once, when it is opened."""

    def __init__(self, batches: Sequence[Batch], codec: Codec, name: str) -> None:
        """Index the rows of all record batches."""
        self.name = name
        self.codec = codec
        self._batches = batches
        self._which = np.concatenate([np.full(len(batch.ids), i) for i, batch in enumerate(batches)])
        self._start = np.concatenate([batch.starts[:-1] for batch in batches])
        self._stop = np.concatenate([batch.starts[1:] for batch in batches])
        keys = np.ascontiguousarray(np.concatenate([batch.ids for batch in batches])).view(">u8")
        self._order = np.lexsort((keys[:, 1], keys[:, 0]))
        self._keys = keys[self._order]
        self.width = int(batches[0].vectors.shape[1])

    def __len__(self) -> int:
        return len(self._which)

    @property
    def lengths(self) -> Array:
        """Vectors a row: its tokens, or 1 for logits. (rows,) int64"""
        lengths: Array = self._stop - self._start
        return lengths

    def locate(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64.

        Raises:
            UserError: the store lacks a row.
        """
        keys = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
        first = np.searchsorted(self._keys[:, 0], keys[:, 0])
        found = np.minimum(first, len(self) - 1)
        missing = np.flatnonzero((self._keys[found] != keys).any(axis=1))
        if len(missing):
            row = int(missing[0])
            raise UserError(
                f"{self.name}: has no targets for row {row} (example {bytes(ids[row]).hex()}), nor for {len(missing) - 1} more; "
                "the data set changed after the targets were computed: run `dvc repro` of the targets stage"
            )
        positions: Array = self._order[found]
        return positions

    def gather(self, rows: Array) -> Float32[Tensor, "n width"]:
        """The vectors of these rows, one row after the other, decoded."""
        starts, stops = self._start[rows], self._stop[rows]
        ends = np.cumsum(stops - starts)
        total = int(ends[-1]) if len(ends) else 0
        values = torch.empty((total, self.width), dtype=STORED[self.codec.name])
        scales = torch.empty(total, dtype=torch.float16) if self.codec.name == "int8" else None
        target, target_scales = values.numpy(), None if scales is None else scales.numpy()
        at = 0
        for which, start, stop, end in zip(
            self._which[rows].tolist(), starts.tolist(), stops.tolist(), ends.tolist(), strict=True
        ):
            batch = self._batches[which]
            target[at:end] = batch.vectors[start:stop]
            if target_scales is not None and batch.scales is not None:
                target_scales[at:end] = batch.scales[start:stop]
            at = end
        return self.codec.decode(values, scales)


@dataclass(frozen=True)
class TargetStore:
    """A target set, or one output of it (`data/targets/NAME/logits`)."""

    folder: Path
    manifests: dict[str, Manifest]
    verify: bool

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True) -> "TargetStore":
        """Read the manifests.

        Args:
            folder: data/targets/NAME, or data/targets/NAME/logits.
            verify: Check each shard's SHA-256 when it is first opened. Without it only its size is checked.

        Raises:
            UserError: nothing is there, or a manifest is damaged.
        """
        alone = (folder / "manifest.json").exists()
        outputs = [folder] if alone else sorted(path.parent for path in folder.glob("*/manifest.json"))
        if not outputs:
            raise UserError(f"{folder}: no target set; run `dvc repro targets@{folder.name}`, or `dvc pull {folder}`")
        manifests = {output.name: Manifest.read(output) for output in outputs}
        for name, manifest in manifests.items():
            if manifest.output != name:
                raise UserError(f"{folder}: the folder {name} holds {manifest.output}; put it back in its place")
        return cls(folder.parent if alone else folder, manifests, verify)

    @property
    def teacher_layers(self) -> int:
        """How many layers the teacher has."""
        return next(iter(self.manifests.values())).teacher_layers

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """The hidden states that are kept."""
        return tuple(layer for name in self.manifests if (layer := layer_of(name)) is not None)

    def manifest(self, output: str) -> Manifest:
        """An output's manifest.

        Raises:
            UserError: the store has no such output.
        """
        if output not in self.manifests:
            layer = layer_of(output)
            name = self.folder.name
            add = f"add {layer} to `hidden` of targets.{name}" if layer is not None else f"run `dvc repro targets@{name}`"
            advice = f"{add}, or get all of the set: `dvc pull targets@{name}`"
            raise UserError(f"{self.folder}: has no {output}, only {', '.join(self.manifests)}; {advice}")
        return self.manifests[output]

    def require(self, dataset: Dataset, splits: Sequence[str], output: str = LOGITS) -> None:
        """Refuse a store that was not computed from this prepared data set.

        Raises:
            UserError: what differs, with both fingerprints.
        """
        manifest = self.manifest(output)
        found = manifest.fingerprints
        own = Fingerprints(found.teacher, found.config, dataset.tokenizer, dataset.labels, dataset.max_length)
        problems = differences(own, found, ("tokenizer", "labels", "max_length"))
        for split in splits:
            if split not in manifest.splits:
                problems.append(f"{output} has no split {split}, only {', '.join(manifest.splits)}")
            elif manifest.splits[split].dataset != dataset.splits[split]["fingerprint"]:
                want, got = dataset.splits[split]["fingerprint"], manifest.splits[split].dataset
                problems.append(f"the rows of {split} are {want[:12]}, the store was made from {got[:12]}")
        if problems:
            raise UserError(
                f"{self.folder}: does not fit {dataset.folder}: {'; '.join(problems)}; run `dvc repro targets@{self.folder.name}`"
            )

    def output(self, output: str, split: str) -> OutputReader:
        """Map an output of a split into memory.

        Raises:
            UserError: there is none, or a shard is missing, truncated, changed or swapped.
        """
        manifest = self.manifest(output)
        where = f"{self.folder}/{output}/{split}"
        if split not in manifest.splits:
            raise UserError(f"{where}: not in the store, which has {', '.join(manifest.splits)}; see hidden_splits")
        batches: list[Batch] = []
        codecs = []
        for shard in manifest.splits[split].shards:
            path = self.folder / output / shard.file
            self._check(path, shard.bytes, shard.sha256)
            views, codec = map_shard(path, output)
            if codec.name != manifest.codec or any(view.vectors.shape[1] != manifest.width for view in views):
                raise UserError(f"{path}: is not what its manifest says; run `dvc repro targets@{self.folder.name}`")
            batches += views
            codecs.append(codec)
        if not batches:
            raise UserError(f"{where}: has no shards; run `dvc repro targets@{self.folder.name}`")
        return OutputReader(batches, codecs[0], where)

    def _check(self, path: Path, size: int, checksum: str) -> None:
        again = f"run `dvc repro --force targets@{self.folder.name}`, or `dvc pull --force {self.folder}`"
        if not path.is_file():
            raise UserError(f"{path}: is missing; {again}")
        if path.stat().st_size != size:
            raise UserError(f"{path}: has {path.stat().st_size} bytes, expected {size}: truncated or changed; {again}")
        if self.verify and sha256(path) != checksum:
            raise UserError(f"{path}: its content is not that of its checksum {checksum[:12]}: damaged or swapped; {again}")
