"""A target set, opened.

store = TargetStore.open(Path("data/targets/bbc"))
logits = store.output("logits", "train")
rows = logits.locate(ids)                 # (n, 16) uint8 example ids → positions in the store
logits.gather(rows[:32])                  # (32, classes) float32
store.output("hidden-06", "train").gather(rows[:32])   # (tokens of those rows, hidden) float32, no padding
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill.core.errors import UserError, one_line
from distill.core.files import sha256
from distill.data.dataset import Dataset
from distill.store.codecs.registry import codec_of, empty_planes
from distill.store.codecs.vectors import Codec
from distill.store.manifest import MANIFEST, File, Manifest, Shard, differences
from distill.store.origin import repair_of, stage_of
from distill.store.output_names import LOGITS, PROJECTIONS, REPLAY, TRANSFORM, kind_of
from distill.store.readers import OutputReader, OutputReaders, ReplayedOutput, StoredOutput
from distill.store.remote import Mirror
from distill.store.replay.frozen_weights import FrozenMatrices
from distill.store.replay.registry import load_replay_weights
from distill.store.shards import DAMAGE, MappedShard, map_shard


@dataclass(frozen=True)
class TargetStore:
    """A target set, or one output of it (`data/targets/NAME/logits`)."""

    folder: Path
    manifests: dict[str, Manifest]
    verify: bool
    mirror: Mirror | None = None
    """Of a set at a URL: where its files come from; `folder` has the manifests alone."""
    _opened: dict[tuple[str, str], OutputReader] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path | str, *, verify: bool = True, cache: Path | None = None) -> "TargetStore":
        """Read the manifests.

        Args:
            folder: data/targets/NAME, or data/targets/NAME/logits; or a URL of either, such as s3://bucket/targets/NAME.
            verify: Check each file's SHA-256 when it is first opened. Without it only its size is checked.
            cache: Where files of a URL are kept; by default $DISTILL_CACHE, or ~/.cache/distill/targets.
        """
        mirror = Mirror.open(folder, cache) if isinstance(folder, str) and "://" in folder else None
        folder = Path(folder) if mirror is None else mirror.folder
        alone = (folder / MANIFEST).exists()
        outputs = [folder] if alone else sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
        if not outputs:
            raise UserError(f"{folder}: no target set; run `dvc repro {stage_of(folder)}`, or `dvc pull {folder}`")
        manifests = {output.name: Manifest.read(output) for output in outputs}
        for name, manifest in manifests.items():
            if manifest.output != name:
                raise UserError(f"{folder}: the folder {name} holds {manifest.output}; put it back in its place")
        return cls(folder.parent if alone else folder, manifests, verify, mirror)

    @property
    def teacher_layers(self) -> int:
        """How many layers the teacher has."""
        return next(iter(self.manifests.values())).teacher_layers

    def manifest(self, output: str) -> Manifest:
        """An output's manifest."""
        if output not in self.manifests:
            kind, layer = kind_of(output)
            name, stage = self.folder.name, stage_of(self.folder)
            key = "relations" if kind in PROJECTIONS else kind
            if self.teacher_layers == 0 and layer is not None:
                raise UserError(
                    f"{self.folder}: was given, as answers alone: no {output}; take a recipe of logits, such as hinton"
                )
            if output == TRANSFORM:
                raise UserError(
                    f"{self.folder}: logits are replayed from {TRANSFORM}, which is not here; write `targets: {name}`, not "
                    f"`{name}/logits`, and get all of the set: `dvc pull {stage}`"
                )
            add = f"run `dvc repro {stage}`" if layer is None else f"add {layer} to `{key}` of targets.{name}"
            advice = f"{add}, or get all of the set: `dvc pull {stage}`"
            raise UserError(f"{self.folder}: has no {output}, only {', '.join(self.manifests)}; {advice}")
        return self.manifests[output]

    def require(self, dataset: Dataset, splits: Sequence[str], output: str = LOGITS) -> None:
        """Refuse a store that was not computed from this prepared data set.

        What is kept for whole rows asks that the teacher's tokenizer has seen the same rows, whatever the student reads; what is
        kept for tokens asks that the student reads the teacher's tokens.
        """
        manifest = self.manifest(output)
        found = manifest.fingerprints
        seen, length = dataset.tokenizer, dataset.max_length
        if manifest.per == "row":
            seen, length = dataset.seen_tokenizer, dataset.seen_max_length
        elif seen != found.tokenizer:
            alone = "" if output == LOGITS else f"read logits alone ({self.folder}/logits with a recipe of logits), or "
            raise UserError(
                f"{self.folder}: {output} is kept for tokens of the tokenizer {found.tokenizer[:12]}, the rows of "
                f"{dataset.folder} are of {seen[:12]}: tokens cannot align; {alone}prepare with the teacher's tokenizer"
            )
        expected = found.model_copy(update={"tokenizer": seen, "labels": dataset.labels, "max_length": length})
        problems = differences(expected, found, ("tokenizer", "labels", "max_length"))
        for split in splits:
            if split not in manifest.splits:
                problems.append(f"{output} has no split {split}, only {', '.join(manifest.splits)}")
            elif manifest.splits[split].dataset != dataset.splits[split]["fingerprint"]:
                want, got = dataset.splits[split]["fingerprint"], manifest.splits[split].dataset
                problems.append(f"the rows of {split} are {want[:12]}, the store was made from {got[:12]}")
        if problems:
            raise UserError(
                f"{self.folder}: does not fit {dataset.folder}: {'; '.join(problems)}; run `dvc repro {stage_of(self.folder)}`"
            )

    def outputs(self, outputs: Iterable[str], split: str) -> OutputReaders:
        """Several outputs of a split, for batches that need them all."""
        return OutputReaders({output: self.output(output, split) for output in outputs})

    def output(self, output: str, split: str) -> OutputReader:
        """An output of a split. Its files, and those that it is replayed from, are opened and verified the first time."""
        if (output, split) in self._opened:
            return self._opened[output, split]
        manifest = self.manifest(output)
        where = f"{self.folder}/{output}/{split}"
        if split not in manifest.splits:
            raise UserError(f"{where}: not in the store, which has {', '.join(manifest.splits)}; see hidden_splits")
        if manifest.codec == REPLAY:
            reader = self._replayed(manifest, split, where)
        else:
            reader = self._stored(manifest, manifest.splits[split].shards, where, manifest.splits[split].lacking)
        return self._opened.setdefault((output, split), reader)

    def part(self, output: str, entry: Shard) -> StoredOutput:
        """Open one shard of an output."""
        return self._stored(self.manifest(output), [entry], f"{self.folder}/{output}/{entry.file}")

    def file(self, output: str, entry: File) -> Path:
        """A file of an output, once it has been found to be whole."""
        if self.mirror is not None:
            return self.mirror.file(output, entry, verify=self.verify)
        path = self.folder / output / entry.file
        if not path.is_file():
            raise self._damaged(path, "is missing")
        if path.stat().st_size != entry.bytes:
            raise self._damaged(path, f"has {path.stat().st_size} bytes, expected {entry.bytes}: truncated or changed")
        if self.verify and sha256(path) != entry.sha256:
            raise self._damaged(path, f"its content is not that of its checksum {entry.sha256[:12]}: damaged or swapped")
        return path

    def _stored(self, manifest: Manifest, entries: Sequence[Shard], where: str, lacking: int = 0) -> StoredOutput:
        with ThreadPoolExecutor() as threads:
            shards = list(threads.map(lambda entry: self._shard(manifest, entry), entries))
        try:
            if (
                len({b"".join(each.statistics[name].numpy().tobytes() for name in sorted(each.statistics)) for each in shards})
                > 1
            ):
                raise ValueError("its shards have different statistics")
            reader = StoredOutput(shards, self._codec(manifest, shards[0].statistics), where, lacking)
            if reader.lengths.min() < 1 or (manifest.per == "row" and reader.lengths.max() > 1):
                raise ValueError(f"a row of {reader.lengths.min()} to {reader.lengths.max()} vectors")
        except (KeyError, ValueError) as error:
            raise self._damaged(Path(where), f"is not what its manifest says ({error})") from None
        found, expected = [len(reader)], [sum(entry.rows for entry in entries)]
        if manifest.per == "token":
            found.append(int(reader.lengths.sum()))
            expected.append(sum(entry.tokens for entry in entries))
        if found != expected:
            raise self._damaged(Path(where), f"has {found} rows and tokens, its manifest says {expected}")
        return reader

    def _shard(self, manifest: Manifest, entry: File) -> MappedShard:
        path = self.file(manifest.output, entry)
        shard = map_shard(path)
        if shard.output != manifest.output:
            raise self._damaged(path, f"holds {shard.output[:40]!r}, expected {manifest.output}: put in a foreign place")
        if shard.codec != manifest.codec or any(len(tensor) != manifest.width for tensor in shard.statistics.values()):
            raise self._damaged(path, f"is kept as {shard.codec[:40]!r}, expected {manifest.codec} of width {manifest.width}")
        empty = empty_planes(manifest.output, manifest.width, self._codec(manifest, shard.statistics))
        planes = {name: (plane.numpy().dtype, plane.shape[1]) for name, plane in empty.items()}
        found = [
            {name: (column.values.dtype, column.values.shape[1]) for name, column in batch.columns.items()}
            for batch in shard.batches
        ]
        if not found or any(each != planes for each in found):
            raise self._damaged(path, f"is not what its manifest says: has {found[:1]}, expected {planes}")
        return shard

    def _codec(self, manifest: Manifest, statistics: Mapping[str, Tensor]) -> Codec:
        try:
            return codec_of(manifest.output, manifest.codec, manifest.width, statistics)
        except UserError as error:
            raise self._damaged(self.folder / manifest.output, str(error)) from None

    def replay_weights(self, output: str) -> FrozenMatrices:
        """The frozen matrices of a replayed output."""
        heads = self.manifest(output).heads
        if heads is None:
            raise self._damaged(self.folder / output, "lacks what it is replayed from")
        path = self.file(output, heads)
        try:
            return load_replay_weights(output, load_file(path), str(path))
        except (SafetensorError, RuntimeError, *DAMAGE) as error:
            raise self._damaged(path, one_line(error)) from None

    def _replayed(self, manifest: Manifest, split: str, where: str) -> OutputReader:
        if manifest.heads is None or manifest.source is None:
            raise self._damaged(self.folder / manifest.output, "lacks what it is replayed from")
        path = self.file(manifest.output, manifest.heads)
        source = self.output(manifest.source, split)
        attention = kind_of(manifest.output)[0] == "attention"
        try:
            tensors = load_file(path)
            reader = ReplayedOutput(source, load_replay_weights(manifest.output, tensors, str(path)), where)
            if self.manifest(manifest.source).per != manifest.per:
                raise ValueError(f"it has a vector a {self.manifest(manifest.source).per}")
            if attention and int(tensors["heads"]) != manifest.width:
                raise ValueError(f"{int(tensors['heads'])} heads")
            length = int(reader.lengths[0])
            expected = (1, manifest.width, length, length) if attention else (length, manifest.width)
            found = tuple(reader.gather(np.zeros(1, np.int64)).shape)
            if found != expected:
                raise ValueError(f"gives {found} for the first row, expected {expected}")
        except (SafetensorError, RuntimeError, *DAMAGE) as error:
            what = one_line(error)
            raise self._damaged(path, f"does not fit {manifest.source} ({what})") from None
        return reader

    def _damaged(self, path: Path, what: str) -> UserError:
        stage = stage_of(self.folder)
        return UserError(f"{path}: {what}; run `{repair_of(stage)}`, or `dvc pull --force {stage}`")
