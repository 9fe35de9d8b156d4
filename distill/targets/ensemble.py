"""Several teachers as one: a target set of logits that is the weighted mean of two others."""

import hashlib
from pathlib import Path

import numpy as np

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.core.files import sha256
from distill.store.codecs.registry import codec_of
from distill.store.manifest import Manifest, Shard, SplitShards, differences, libraries
from distill.store.output_names import LOGITS
from distill.store.readers import StoredOutput
from distill.store.shards import columns_of, write_shard
from distill.store.target_set import TargetStore


def write_mean(folder: Path, first: TargetStore, second: TargetStore, weight: float) -> None:
    """Write `folder`/logits, weight·first + (1 − weight)·second, of all splits; the same sets and weight give the same bytes.

    Means of several sets are made two by two. Rows are cut into the first set's shards. Sets of other rows, tokens or labels are
    refused, and replayed logits (masked-lm). Where a given set lacks rows or splits, the mean lacks them too, and that is said.
    """
    one, other = _require_alike(first, second)
    splits = {}
    for split, part in one.splits.items():
        if split in other.splits:
            made = _write_split(folder / LOGITS, first, part, second, split, weight)
            splits.update({} if made is None else {split: made})
    if not splits:
        raise UserError(f"{first.folder}: has answers for no row that {second.folder} has answers for: no mean can be made")
    _manifest(one, other, weight).model_copy(update={"splits": splits}).write(folder / LOGITS)


def _write_split(
    folder: Path, first: TargetStore, part: SplitShards, second: TargetStore, split: str, weight: float
) -> SplitShards | None:
    """A split of the mean; None if there is no row that both sets have."""
    theirs = second.output(LOGITS, split)
    assert isinstance(theirs, StoredOutput)
    made = [_write_part(folder, first, entry, theirs, weight) for entry in part.shards]
    shards = tuple(shard for shard, _ in made if shard is not None)
    lacking = 0
    if part.lacking or theirs.lacking:  # else rows that one alone has are rows of old
        lacking = part.lacking + sum(lost for _, lost in made)
        print_result(f"{folder.parent.name}: {split}: {sum(shard.rows for shard in shards)} rows have answers of both sets")
    return SplitShards(dataset=part.dataset, shards=shards, lacking=lacking) if shards else None


def _write_part(folder: Path, first: TargetStore, entry: Shard, theirs: StoredOutput, weight: float) -> tuple[Shard | None, int]:
    """A shard of the mean: the rows of the first set's that the other has too; and how many vectors the other lacks.

    The other set may hold rows that the first has not.
    """
    ours = first.part(LOGITS, entry)
    found = theirs.search(ours.ids)
    rows, found = np.flatnonzero(found >= 0), found[found >= 0]
    lengths = ours.lengths[rows]
    had = int(ours.gather(np.arange(len(ours))).isfinite().all(dim=1).sum())
    if not len(rows):
        return None, had
    if not np.array_equal(theirs.lengths[found], lengths):
        raise UserError(f"{theirs.name}: rows have other numbers of tokens than in {ours.name}; use sets of one data set")
    mean = ours.gather(rows) * weight + theirs.gather(found) * (1 - weight)
    codec = codec_of(LOGITS, "fp32", mean.shape[1], {})
    columns, path = columns_of(codec.encode(mean, lengths), codec.counts(lengths)), folder / entry.file
    write_shard(path, LOGITS, ours.ids[rows], columns, codec.name, codec.statistics)
    share = int(lengths.sum()) / int(ours.lengths.sum())
    counts = {"rows": len(rows), "tokens": round(entry.tokens * share)}
    return entry.model_copy(update={**counts, "bytes": path.stat().st_size, "sha256": sha256(path)}), had - int(
        mean.isfinite().all(dim=1).sum()
    )


def _require_alike(first: TargetStore, second: TargetStore) -> tuple[Manifest, Manifest]:
    """The manifests of both sets' logits."""
    one, other = first.manifest(LOGITS), second.manifest(LOGITS)
    for store, manifest in ((first, one), (second, other)):
        if manifest.source is not None:
            raise UserError(
                f"{store.folder}: its logits are replayed from {manifest.source}, no mean of them can be kept; "
                "ensembles take sets of other tasks than masked-lm and causal-lm"
            )
    problems = differences(one.fingerprints, other.fingerprints, ("tokenizer", "labels", "max_length"))
    problems = [line.replace("the store was made with", f"in {second.folder} it is") for line in problems]
    for part in ("per", "width"):
        if getattr(one, part) != getattr(other, part):
            problems.append(f"{part} is {getattr(one, part)}, in {second.folder} it is {getattr(other, part)}")
    for split in sorted({*one.splits, *other.splits}):
        rows = [m.splits[split].dataset[:12] for m in (one, other) if split in m.splits]  # a given set may lack splits
        if rows[0] != rows[-1]:
            problems.append(f"the rows of {split} are {rows[0]}, in {second.folder} {rows[-1]}")
    if problems:
        raise UserError(f"{first.folder}: no mean of it and another: {'; '.join(problems)}; use sets of one data set")
    return one, other


def _manifest(first: Manifest, second: Manifest, weight: float) -> Manifest:
    """The mean's manifest; its teacher is both, at this weight."""
    both = {}
    for part in ("teacher", "config", "folds", "seeds"):
        prints = [getattr(manifest.fingerprints, part) for manifest in (first, second)]
        both[part] = hashlib.sha256(f"{prints[0]} {prints[1]} {weight!r}".encode()).hexdigest() if any(prints) else None
    return first.model_copy(
        update={
            "codec": "fp32",
            "fingerprints": first.fingerprints.model_copy(update=both),
            "teacher_layers": max(first.teacher_layers, second.teacher_layers),
            "precision": "bf16" if "bf16" in (first.precision, second.precision) else "fp32",
            "libraries": libraries(),
        }
    )
