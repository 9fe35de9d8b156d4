"""A table of answers, in whatever form, put beside a data set, and what its record says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.core.files import bytes_of
from distill.data.dataset import Dataset
from distill.params.given import GivenSettings
from distill.sources.files import read_local
from distill.store.output_names import TOKENS
from distill.store.target_set import TargetStore
from distill.targets.given.distillkit import join_compressed
from distill.targets.given.join import AnsweredSplit, join, read_table, shown
from distill.targets.given.likeliest import SPLIT
from distill.targets.given.logprobs import join_logprobs, read_logprobs

LISTED = 100
"""Rows without an answer that the record names."""


def join_table(raw: Path, dataset: Dataset, settings: GivenSettings) -> tuple[Mapping[str, AnsweredSplit], int, int, int]:
    """The rows with answers by split; how many likeliest tokens, 0 for logits; answers of the table, and those of no row."""
    tables, where = read_local(raw), str(raw)
    if settings.compression is not None:
        part, count, strangers = join_compressed(tables, dataset, settings, where)
        return {SPLIT: part}, settings.compression.k, count, strangers
    if settings.columns.form == "logprobs":
        said = read_logprobs(tables, where, settings)
        part, likeliest, strangers = join_logprobs(said, dataset, where)
        return {SPLIT: part}, likeliest, len(said), strangers
    answers, by_split = read_table(tables, dataset, settings, where)
    splits, strangers = join(answers, dataset, settings, where, by_split)
    return splits, 0, len(answers), strangers


def describe(
    folder: Path, store: TargetStore, splits: Mapping[str, AnsweredSplit], scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """What the record says of a set: rows and answers of each split, tokens, and the bytes of each output."""
    return {
        "splits": {
            split: {
                "rows": part.rows,
                "answered": len(part.positions),
                "missing": list(map(shown, part.missing[:LISTED])),
                "scores": scores.get(split, {}),
            }
            for split, part in splits.items()
        },
        "tokens": sum(shard.tokens for part in store.manifest(TOKENS).splits.values() for shard in part.shards),
        "bytes": bytes_of(folder),
    }
