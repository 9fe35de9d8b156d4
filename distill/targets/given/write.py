"""Answers that were given, as a target set: `logits`, and the `tokens` that training loops batch with."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from distill.core.arrays import Array
from distill.core.files import sha256
from distill.data.dataset import UNLABELLED, Dataset
from distill.params.given import GivenSettings
from distill.store.codecs.registry import codec_of
from distill.store.codecs.vectors import Codec
from distill.store.manifest import Fingerprints, Manifest, Shard, SplitShards, libraries
from distill.store.output_names import LIKELIEST, LOGITS, TOKENS
from distill.store.shards import columns_of, write_shard
from distill.targets.given.join import AnsweredSplit

SHARD_BYTES = 32 * 2**20
CODECS = {LOGITS: "fp32", TOKENS: TOKENS}


def write_given(
    folder: Path, dataset: Dataset, splits: Mapping[str, AnsweredSplit], settings: GivenSettings, likeliest: int = 0
) -> None:
    """Write the set to an empty folder, rows in the order of the data; the same answers give the same bytes.

    Of a decoder's tokens the answers are so many of the `likeliest`, else logits.
    """
    fingerprints = _fingerprints(dataset, splits, settings)
    some = next(iter(splits))
    tokens = dataset.rows(some).inputs(np.zeros(1, np.int64)).shape[1]
    answers = (LIKELIEST, dataset.vocabulary) if likeliest else (LOGITS, splits[some].logits.shape[1])
    for output, width in (answers, (TOKENS, tokens)):
        keeper = codec_of(output, CODECS.get(output, f"top-{likeliest}"), width, {})
        Manifest(
            output=output,
            codec=keeper.name,
            per="token" if output == TOKENS else dataset.spec.logits_per,
            width=width,
            source=None,
            teacher_layers=0,
            precision="fp32",
            fingerprints=fingerprints,
            heads=None,
            splits={
                split: SplitShards(
                    dataset=str(dataset.splits[split]["fingerprint"]),
                    shards=tuple(_shards(folder / output, output, keeper, dataset, part, split)),
                    lacking=_lacking(output, dataset, part, split),
                )
                for split, part in splits.items()
            },
            libraries=libraries(),
        ).write(folder / output)


def _fingerprints(dataset: Dataset, splits: Mapping[str, AnsweredSplit], settings: GivenSettings) -> Fingerprints:
    """The teacher's is that of the answers, its config is how they were read."""
    how = settings.model_dump_json(exclude={"missing", "table"})
    content = hashlib.sha256()
    for split, part in splits.items():
        content.update(dataset.rows(split).ids[part.positions].tobytes())
        content.update(np.ascontiguousarray(part.logits).reshape(-1).data)
    return Fingerprints(
        teacher=content.hexdigest(),
        config=hashlib.sha256(how.encode()).hexdigest(),
        tokenizer=dataset.seen_tokenizer,
        labels=dataset.labels,
        max_length=dataset.seen_max_length,
    )


def _shards(folder: Path, output: str, keeper: Codec, dataset: Dataset, part: AnsweredSplit, split: str) -> Iterator[Shard]:
    """Cut the rows into shards of about SHARD_BYTES, and write them."""
    rows = dataset.rows(split)
    lengths = rows.lengths[part.positions]
    lines = lengths if output == TOKENS or dataset.spec.labels_per_token else np.ones_like(lengths)
    if output == LIKELIEST:
        lines = np.add.reduceat((rows.labels != UNLABELLED).astype(np.int64), rows.offsets[:-1])[part.positions]
    ends = np.cumsum(lines)
    columns = rows.inputs(part.positions[:1]).shape[1] if output == TOKENS else part.logits.shape[1]
    cuts = np.flatnonzero(np.diff(ends * columns * 4 // SHARD_BYTES)) + 1
    for number, chosen in enumerate(np.split(np.arange(len(lines)), cuts)):
        start, stop = int(ends[chosen[0]] - lines[chosen[0]]), int(ends[chosen[-1]])
        positions = part.positions[chosen]
        values: Array = rows.inputs(positions) if output == TOKENS else part.logits[start:stop]
        encoded = keeper.encode(torch.from_numpy(values), lines[chosen])
        path = folder / (name := f"{split}/part-{number:05d}.arrow")
        write_shard(path, output, rows.ids[positions], columns_of(encoded, keeper.counts(lines[chosen])), keeper.name, {})
        count = int(lengths[chosen].sum())
        yield Shard(file=name, rows=len(chosen), tokens=count, bytes=path.stat().st_size, sha256=sha256(path))


def _lacking(output: str, dataset: Dataset, part: AnsweredSplit, split: str) -> int:
    """How many vectors the data set would have besides."""
    rows = dataset.rows(split)
    if output == LIKELIEST:
        return 0
    if output == LOGITS and not dataset.spec.labels_per_token:
        return len(part.missing)
    held = rows.lengths[part.positions].sum() if output == TOKENS else np.isfinite(part.logits).all(axis=1).sum()
    return int(rows.lengths[rows.firsts()].sum() - held)
