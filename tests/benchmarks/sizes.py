"""What a target set takes on disk: bytes of shards that are really written, for the lengths of real rows.

lengths.json holds how many rows of each length SST-2's training split and XQuAD (English, question and context) have under BERT's
uncased vocabulary, equal texts once, and how many entries of the vocabulary they use.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.data.dataset import ID_BYTES
from distill.store.codecs.attention import AttentionCodec
from distill.store.codecs.registry import TokenCodec
from distill.store.codecs.vectors import calibrate
from distill.store.shards import write_shard
from tests.benchmarks.harness import Figure
from tests.benchmarks.stores import columns_of, part

LENGTHS = json.loads(Path(__file__).with_name("lengths.json").read_text(encoding="utf-8"))
WIDTH, HEADS, HIDDEN, MAPS, POSITIONS = 768, 12, 5, 4, 512
"""TinyBERT's needs of BERT-base: hidden states 0, 3, 6, 9, 12 and the attention of layers 3, 6, 9, 12."""
SAMPLE_TOKENS = 40_000
PADDED = {"sst2": 64, "xquad-en": 384}
"""What the old scripts pad to."""


def lengths_of(data: str) -> np.ndarray[Any, np.dtype[Any]]:
    """The lengths of all rows."""
    counts = LENGTHS[data]["rows_of_length"]
    return np.repeat([int(length) for length in counts], list(counts.values()))


def shard_bytes(folder: Path, output: str, codec: Any, lengths: Any, make: Any) -> int:
    """The size of one shard of these rows."""
    ids = np.random.default_rng(0).integers(0, 256, (len(lengths), ID_BYTES), np.uint8)
    path = part(folder, output, 0)
    write_shard(path, output, ids, columns_of(codec, make(lengths), lengths), codec.name, codec.statistics)
    return path.stat().st_size


def token_bytes(folder: Path, data: str) -> dict[str, float]:
    """Bytes a real token of an int8 hidden state, of the tokens, of a layer's stored maps: of a sample of the rows."""
    every = lengths_of(data)
    sample = np.random.default_rng(0).permutation(every)
    sample = sample[np.cumsum(sample) <= SAMPLE_TOKENS]
    total = int(sample.sum())
    int8 = calibrate("int8", torch.randn(1000, WIDTH))
    hidden = shard_bytes(folder, "hidden-03", int8, sample, lambda rows: torch.randn(int(rows.sum()), WIDTH))
    tokens = shard_bytes(folder, "tokens", TokenCodec(types=True), sample, lambda rows: torch.ones(int(rows.sum()), 2).long())
    few = sample[np.cumsum(sample) <= SAMPLE_TOKENS // 4]
    codec = AttentionCodec("scores-u8", HEADS)
    maps = shard_bytes(folder, "attention-03", codec, few, lambda rows: torch.randn(len(rows), HEADS, *[int(rows.max())] * 2))
    return {"hidden": hidden / total, "tokens": tokens / total, "maps": maps / int(few.sum())}


def needs(data: str, each: dict[str, float]) -> dict[str, float]:
    """Bytes a real token of TinyBERT's needs: ours, by replay or stored maps, the smaller; fp32 with and without padding."""
    lengths = lengths_of(data)
    tokens = int(lengths.sum())
    squares = float((lengths.astype(np.float64) ** 2).sum())
    embeddings = 4 * WIDTH * (LENGTHS[data]["used_vocabulary"] + POSITIONS + 4)
    projections = MAPS * 3 * 4 * (WIDTH * WIDTH + WIDTH)
    stored = (HIDDEN - 1) * each["hidden"] + MAPS * each["maps"] + each["tokens"] + embeddings / tokens
    replayed = (HIDDEN - 1 + MAPS) * each["hidden"] + each["tokens"] + (embeddings + projections) / tokens
    longest = PADDED[data]
    return {
        "ours": min(stored, replayed),
        "fp32": 4 * (HIDDEN * WIDTH + MAPS * HEADS * squares / tokens),
        "padded": 4 * (HIDDEN * WIDTH * longest + MAPS * HEADS * longest**2) * len(lengths) / tokens,
    }


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table."""
    goals = {"sst2": (">= 25", ">= 4"), "xquad-en": (">= 20", ">= 7")}
    figures = {}
    for data, (padded, unpadded) in goals.items():
        each = token_bytes(folder, data)
        found = needs(data, each)
        name = f"TinyBERT's needs of BERT-base on {data}: fp32"
        if data == "sst2":
            figures["bytes a real token and hidden layer, int8, 768 wide"] = Figure(each["hidden"] / WIDTH, "<= 1.02", "× width")
        for kind, what, goal in (("padded", f"padded to {PADDED[data]}", padded), ("fp32", "without padding", unpadded)):
            figures[f"{name} {what} / the store"] = Figure(found[kind] / found["ours"], goal, "ratio of bytes")
    return figures
