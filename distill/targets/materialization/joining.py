"""Shards of a target set: each the file of one unit, or those of neighbours joined into about a shard's size."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from distill.core.files import link_or_copy
from distill.store.codecs.vectors import Codec
from distill.store.shards import Column, map_shard, write_shard
from distill.targets.materialization.units import Unit


def joined(units: Sequence[Unit], size_of: Callable[[Unit], int], shard_bytes: int) -> list[list[Unit]]:
    """Consecutive units of the same outputs, in groups of about a shard's size."""
    groups: list[list[Unit]] = []
    size = shard_bytes
    for unit in units:
        if size >= shard_bytes or groups[-1][-1].outputs != unit.outputs:
            groups.append([])
            size = 0
        groups[-1].append(unit)
        size += size_of(unit)
    return groups


def write_joined(path: Path, output: str, files: Sequence[Path], codec: Codec) -> None:
    """Write a shard of the rows of some units' files, in their order; that of one file is a link to it."""
    if len(files) == 1:
        link_or_copy(files[0], path)
        return
    batches = [batch for file in files for batch in map_shard(file).batches]
    columns = {}
    for plane in batches[0].columns:
        parts = [batch.columns[plane] for batch in batches]
        counts = np.concatenate([np.diff(part.starts) for part in parts])
        columns[plane] = Column(np.concatenate([p.values for p in parts]), np.concatenate([[0], np.cumsum(counts)]))
    ids = np.concatenate([batch.ids for batch in batches])
    write_shard(path, output, ids, columns, codec.name, codec.statistics)
