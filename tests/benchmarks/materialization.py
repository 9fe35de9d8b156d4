"""Keeping what the teacher computes, against computing it the usual way and keeping nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np

from distill.core.numeric import length_batches
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset, PreparedRows
from distill.models.packed_linear import fast_inference
from distill.store.manifest import Fingerprints
from distill.targets.materialization.forward import Teacher, run_teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.outputs import MaterializeSpec
from tests.benchmarks.harness import Figure, classifier, interleave, random_rows, ratio

ROWS, LONGEST, BUDGET, SHARD_BYTES, ROUNDS = 2048, 64, 4096, 4 * 2**20, 5
LAYERS = (1, 2, 4, 6)


def materializer(rows: PreparedRows, job: MaterializeSpec, scratch: Path) -> Materializer:
    """Of a 6 × 384 teacher with random weights, and rows in the place of a prepared data set."""
    splits = {"train": {"fingerprint": "bench"}}
    dataset = Mock(Dataset, task="sequence-classification", splits=splits, rows=lambda _: rows)
    about = Fingerprints(teacher="bench", config="bench", tokenizer="bench", labels=tuple("abcde"), max_length=LONGEST)
    return Materializer(Teacher(classifier(layers=6, width=384), about), dataset, job, scratch)


def buckets(lengths: Any) -> Iterator[Any]:
    """The usual way: rows sorted by length, batches under a budget of tokens, padded to their longest row."""
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        stop = start + max(1, BUDGET // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table: a 6 × 384 teacher, logits and four hidden states as int8, each file synced."""
    rows = random_rows(ROWS, LONGEST)
    made = materializer(rows, MaterializeSpec(hidden=LAYERS, batch_tokens=BUDGET, shard_bytes=SHARD_BYTES), folder / "scratch")
    model = made.teacher.model
    fast = fast_inference(model)

    def materialize() -> None:
        for file in (folder / "scratch").glob("*.arrow"):
            file.unlink()
        made.run()

    def bare(forward: Any, batches: Any) -> None:
        for chosen in batches:
            run_teacher(forward, pad_batch(rows, chosen), [], "fp32")

    def batches() -> Iterator[Any]:
        for unit in made.layout.units:
            yield from (unit.positions[chosen] for chosen in length_batches(rows.lengths[unit.positions], BUDGET))

    arms = {
        "store": materialize,
        "fast": lambda: bare(fast, batches()),
        "stock": lambda: bare(model, buckets(rows.lengths)),
    }
    seconds = interleave(arms, ROUNDS, "materialization")
    batch, usual = pad_batch(rows, np.arange(32)), "stock length-bucketed fp32 forward passes"
    (_, exact), (_, packed) = (run_teacher(each, batch, LAYERS, "fp32") for each in (model, fast))
    difference = max(float((exact[layer] - packed[layer]).abs().max()) for layer in LAYERS)
    return {
        f"materialization, 4 layers int8 / {usual}": ratio(seconds, "stock", "store", ">= 2", "ratio of speeds"),
        "materialization / its own fast forward pass": ratio(seconds, "fast", "store", ">= 0.97", "ratio of speeds"),
        "hidden states before the codec, largest difference from stock": Figure(difference, "<= 1e-05", "absolute"),
    }
