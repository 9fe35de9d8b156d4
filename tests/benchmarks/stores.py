"""Target sets of random numbers: how fast one is read does not depend on what it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.data.dataset import PreparedRows
from distill.store.codecs.registry import TokenCodec
from distill.store.codecs.vectors import calibrate, vector_codec
from distill.store.output_names import LOGITS, TOKENS, kind_of
from distill.store.readers import OutputReader, StoredOutput
from distill.store.shards import Column, map_shard, write_shard

ROWS_A_SHARD = 2048
CLASSES = 5


class InRam(OutputReader):
    """Targets that are in memory already, decoded: what a store is measured against."""

    def __init__(self, reader: OutputReader) -> None:
        self.reader, self.lengths = reader, reader.lengths
        self.values = reader.gather(np.arange(len(reader)))
        per_row = reader.lengths if len(self.values) > len(reader) else np.ones(len(reader), np.int64)
        self.stops = np.cumsum(per_row)
        self.starts = self.stops - per_row

    def find(self, ids: Any) -> Any:
        return self.reader.find(ids)

    def _gather(self, rows: Any, batch: Any) -> torch.Tensor:
        spans = zip(self.starts[rows].tolist(), self.stops[rows].tolist(), strict=True)
        return torch.cat([self.values[start:stop] for start, stop in spans])


class ManyMaps(InRam):
    """Attention scores that are in memory already, as long as their rows."""

    def __init__(self, reader: OutputReader) -> None:
        self.reader, self.lengths = reader, reader.lengths
        self.rows = [reader.gather(np.array([row]))[0] for row in range(len(reader))]

    def _gather(self, rows: Any, batch: Any) -> torch.Tensor:
        chosen = [self.rows[row] for row in rows.tolist()]
        longest = max(scores.shape[-1] for scores in chosen)
        padded = torch.zeros(len(chosen), chosen[0].shape[0], longest, longest)
        for target, scores in zip(padded, chosen, strict=True):
            target[:, : scores.shape[-1], : scores.shape[-1]] = scores
        return padded


def part(folder: Path, output: str, number: int) -> Path:
    """Where a shard is written."""
    return folder / "set" / output / "train" / f"part-{number:05d}.arrow"


def columns_of(codec: Any, values: torch.Tensor, lengths: Any) -> dict[str, Column]:
    """The columns of a shard: values of rows of these lengths, encoded."""
    planes, counts = codec.encode(values, lengths), codec.counts(lengths)
    return {name: Column(plane.numpy(), np.concatenate([[0], np.cumsum(counts[name])])) for name, plane in planes.items()}


def random_store(folder: Path, rows: PreparedRows, outputs: Mapping[str, Any], width: int) -> dict[str, OutputReader]:
    """Readers of freshly written shards of these rows; `outputs` are names, each with its codec, or None for the usual one."""
    rng = torch.Generator().manual_seed(0)
    usual = {LOGITS: vector_codec("fp32"), TOKENS: TokenCodec(types=False)}
    int8 = calibrate("int8", torch.randn(1000, width, generator=rng))
    readers: dict[str, OutputReader] = {}
    for output, given in outputs.items():
        codec = given or usual.get(output, int8)
        shards = []
        for number, start in enumerate(range(0, len(rows), ROWS_A_SHARD)):
            positions = np.arange(start, min(start + ROWS_A_SHARD, len(rows)))
            lengths = np.ones(len(positions), np.int64) if output == LOGITS else rows.lengths[positions]
            path = part(folder, output, number)
            columns = columns_of(codec, _random(output, codec, rows, positions, width, rng), lengths)
            write_shard(path, output, rows.ids[positions], columns, codec.name, codec.statistics)
            shards.append(map_shard(path))
        readers[output] = StoredOutput(shards, codec, output)
    return readers


def _random(output: str, codec: Any, rows: PreparedRows, positions: Any, width: int, rng: torch.Generator) -> torch.Tensor:
    lengths = rows.lengths[positions]
    kind, _ = kind_of(output)
    if kind == TOKENS:
        return torch.from_numpy(rows.inputs(positions))
    if kind == LOGITS:
        return torch.randn(len(positions), CLASSES, generator=rng)
    if kind == "attention":
        return 2 * torch.randn(len(positions), codec.heads, int(lengths.max()), int(lengths.max()), generator=rng)
    return torch.randn(int(lengths.sum()), width, generator=rng)
