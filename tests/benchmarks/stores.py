"""Target sets of random numbers: how fast one is read does not depend on what it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.prepared import PreparedRows
from distill.targets.codec import calibrate, vector_codec
from distill.targets.forward import token_inputs
from distill.targets.gather import OutputReader, StoredOutput
from distill.targets.outputs import TokenCodec
from distill.targets.schema import LOGITS, TOKENS, kind_of
from distill.targets.shards import Column, map_shard, write_shard

ROWS_A_SHARD = 2048
CLASSES = 5


class InRam:
    """Targets that are in memory already, decoded: what a store is measured against."""

    def __init__(self, reader: OutputReader) -> None:
        self.reader, self.lengths = reader, reader.lengths
        self.values = reader.gather(np.arange(len(reader)))
        per_row = reader.lengths if len(self.values) > len(reader) else np.ones(len(reader), np.int64)
        self.stops = np.cumsum(per_row)
        self.starts = self.stops - per_row

    def locate(self, ids: Any) -> Any:
        return self.reader.locate(ids)

    def gather(self, rows: Any) -> torch.Tensor:
        spans = zip(self.starts[rows].tolist(), self.stops[rows].tolist(), strict=True)
        return torch.cat([self.values[start:stop] for start, stop in spans])


class ManyMaps(InRam):
    """Attention scores that are in memory already, as long as their rows."""

    def __init__(self, reader: OutputReader) -> None:
        self.reader, self.lengths = reader, reader.lengths
        every = [reader.gather(np.array([row]))[0] for row in range(len(reader))]
        self.rows = every

    def gather(self, rows: Any) -> torch.Tensor:
        chosen = [self.rows[row] for row in rows.tolist()]
        longest = max(scores.shape[-1] for scores in chosen)
        padded = torch.zeros(len(chosen), chosen[0].shape[0], longest, longest)
        for target, scores in zip(padded, chosen, strict=True):
            target[:, : scores.shape[-1], : scores.shape[-1]] = scores
        return padded


def random_store(folder: Path, rows: PreparedRows, outputs: Mapping[str, Any], width: int) -> dict[str, OutputReader]:
    """Readers of freshly written shards.

    Args:
        folder: Where they are written.
        rows: Their ids and lengths.
        outputs: Names, each with its codec; None stands for the usual one.
        width: Of hidden states.
    """
    dice = torch.Generator().manual_seed(0)
    usual = {LOGITS: vector_codec("fp32"), TOKENS: TokenCodec(types=False)}
    int8 = calibrate("int8", torch.randn(1000, width, generator=dice))
    readers: dict[str, OutputReader] = {}
    for output, given in outputs.items():
        codec = given or usual.get(output, int8)
        shards = []
        for number, start in enumerate(range(0, len(rows), ROWS_A_SHARD)):
            positions = np.arange(start, min(start + ROWS_A_SHARD, len(rows)))
            lengths = np.ones(len(positions), np.int64) if output == LOGITS else rows.lengths[positions]
            planes, counts = codec.encode(_random(output, codec, rows, positions, width, dice), lengths), codec.counts(lengths)
            columns = {
                name: Column(plane.numpy(), np.concatenate([[0], np.cumsum(counts[name])])) for name, plane in planes.items()
            }
            path = folder / "set" / output / "train" / f"part-{number:05d}.arrow"
            write_shard(path, output, rows.ids[positions], columns, codec.name, codec.statistics)
            shards.append(map_shard(path))
        readers[output] = StoredOutput(shards, codec, output)
    return readers


def _random(output: str, codec: Any, rows: PreparedRows, positions: Any, width: int, dice: torch.Generator) -> torch.Tensor:
    lengths = rows.lengths[positions]
    kind, _ = kind_of(output)
    if kind == TOKENS:
        return token_inputs(rows, positions)
    if kind == LOGITS:
        return torch.randn(len(positions), CLASSES, generator=dice)
    if kind == "attention":
        return 2 * torch.randn(len(positions), codec.heads, int(lengths.max()), int(lengths.max()), generator=dice)
    return torch.randn(int(lengths.sum()), width, generator=dice)
