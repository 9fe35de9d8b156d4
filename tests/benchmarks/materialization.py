"""Keeping what the teacher computes, against computing it the usual way and keeping nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from distill.padding import length_batches, pad_batch
from distill.prepared import Dataset, PreparedRows
from distill.targets.forward import run_teacher
from distill.targets.outputs import Job
from distill.targets.packing import fast_inference
from distill.targets.schema import Fingerprints
from distill.targets.teacher import Teacher
from distill.targets.writer import Materializer
from tests.benchmarks.harness import Figure, interleave, ratio
from tests.benchmarks.models import classifier, random_rows

ROWS, LONGEST, BUDGET, ROUNDS = 2048, 64, 4096, 5
LAYERS = (1, 2, 4, 6)


class Rows:
    """Random rows in the place of a prepared data set."""

    def __init__(self, rows: PreparedRows) -> None:
        self.train = rows
        self.splits = {"train": {"fingerprint": "bench"}}

    def rows(self, _: str) -> PreparedRows:
        return self.train


def fingerprints() -> Fingerprints:
    return Fingerprints(teacher="bench", config="bench", tokenizer="bench", labels=tuple("abcde"), max_length=LONGEST)


def buckets(lengths: Any) -> Iterator[Any]:
    """The usual way: rows sorted by length, batches under a budget of tokens, padded to their longest row."""
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        stop = start + max(1, BUDGET // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table: a 6 × 384 teacher, logits and four hidden states as int8, each file synced."""
    model, rows = classifier(layers=6, width=384), random_rows(ROWS, LONGEST)
    job = Job(hidden=LAYERS, batch_tokens=BUDGET)
    made = Materializer(Teacher(model, fingerprints()), cast(Dataset, Rows(rows)), job, folder / "scratch")
    fast = fast_inference(model)

    def materialize() -> None:
        for file in (folder / "scratch").glob("*.arrow"):
            file.unlink()
        made.run()

    def bare(forward: Any, batches: Any) -> None:
        for chosen in batches:
            run_teacher(forward, pad_batch(rows, chosen), [], "fp32")

    arms = {
        "store": materialize,
        "fast": lambda: bare(fast, length_batches(rows.lengths, BUDGET)),
        "stock": lambda: bare(model, buckets(rows.lengths)),
    }
    seconds = interleave(arms, ROUNDS, "materialization")
    unit = "ratio of speeds"
    return {
        "materialization, 4 layers int8 / stock length-bucketed fp32 forward passes": Figure(
            ratio(seconds["stock"], seconds["store"]), ">= 2", unit
        ),
        "materialization / its own fast forward pass": Figure(ratio(seconds["fast"], seconds["store"]), ">= 0.95", unit),
        "hidden states before the codec, largest difference from stock": Figure(
            _difference(model, fast, rows), "<= 1e-05", "absolute"
        ),
    }


def _difference(model: Any, fast: Any, rows: PreparedRows) -> float:
    batch = pad_batch(rows, np.arange(32))
    (_, exact), (_, found) = (run_teacher(each, batch, LAYERS, "fp32") for each in (model, fast))
    return max(float((exact[layer] - found[layer]).abs().max()) for layer in LAYERS)
