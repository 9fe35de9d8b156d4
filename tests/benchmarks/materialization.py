"""Keeping what the teacher computes, against computing it the usual way and keeping nothing."""

from collections.abc import Callable, Iterator, Sequence
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
from tests.target_specs import target_spec

ROWS, FEW_ROWS, LONGEST, BUDGET, SHARD_BYTES, ROUNDS = 2048, 512, 64, 4096, 4 * 2**20, 5
SMALL, LARGE = (6, 384), (12, 768)
"""Layers and width of the teachers: MiniLM's and BERT-base's."""
LAYERS, DEEP = (1, 2, 4, 6), (3, 6, 9, 12)
"""The hidden states that are kept of each."""


def materializer(rows: PreparedRows, job: MaterializeSpec, scratch: Path, shape: tuple[int, int] = SMALL) -> Materializer:
    """Of a teacher of so many layers and such a width with random weights, and rows in the place of a prepared data set."""
    splits = {"train": {"fingerprint": "bench"}}
    dataset = Mock(Dataset, task="sequence-classification", splits=splits, rows=lambda _: rows)
    about = Fingerprints(teacher="bench", config="bench", tokenizer="bench", labels=tuple("abcde"), max_length=LONGEST)
    return Materializer(Teacher(classifier(layers=shape[0], width=shape[1]), about), dataset, job, scratch)


def buckets(lengths: Any) -> Iterator[Any]:
    """The usual way: rows sorted by length, batches under a budget of tokens, padded to their longest row."""
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        stop = start + max(1, BUDGET // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def bare(rows: PreparedRows, forward: Any, batches: Any) -> None:
    """The forward pass alone."""
    for chosen in batches:
        run_teacher(forward, pad_batch(rows, chosen), [], "fp32")


def arms(folder: Path, rows: PreparedRows, shape: tuple[int, int], layers: Sequence[int]) -> dict[str, Callable[[], None]]:
    """Materialization by a teacher, its own fast forward pass over the same batches, and that of the model as it comes."""
    made = materializer(rows, target_spec(hidden=tuple(layers), batch_tokens=BUDGET, shard_bytes=SHARD_BYTES), folder, shape)
    fast = fast_inference(made.teacher.model)

    def batches() -> Iterator[Any]:
        for unit in made.layout.units:
            yield from (unit.positions[chosen] for chosen in length_batches(rows.lengths[unit.positions], BUDGET))

    def store() -> None:
        for file in folder.glob("*.arrow"):
            file.unlink()
        made.run()

    return {
        "store": store,
        "fast": lambda: bare(rows, fast, batches()),
        "stock": lambda: bare(rows, made.teacher.model, buckets(rows.lengths)),
    }


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table: logits and four hidden states as int8, each file synced."""
    small = arms(folder / "small", random_rows(ROWS, LONGEST), SMALL, LAYERS)
    large = arms(folder / "large", random_rows(FEW_ROWS, LONGEST), LARGE, DEEP)
    seconds = interleave(small, ROUNDS, "materialization")
    wide = interleave({name: large[name] for name in ("store", "fast")}, ROUNDS, "materialization, 12 × 768")
    model = classifier(layers=SMALL[0], width=SMALL[1])
    batch, usual = pad_batch(random_rows(32, LONGEST), np.arange(32)), "stock length-bucketed fp32 forward passes"
    (_, exact), (_, packed) = (run_teacher(each, batch, LAYERS, "fp32") for each in (model, fast_inference(model)))
    difference = max(float((exact[layer] - packed[layer]).abs().max()) for layer in LAYERS)
    return {
        f"materialization, 4 layers int8 / {usual}": ratio(seconds, "stock", "store", ">= 2", "ratio of speeds"),
        "materialization / its own fast forward pass, 6 × 384": ratio(seconds, "fast", "store", ">= 0.97", "ratio of speeds"),
        "materialization / its own fast forward pass, 12 × 768": ratio(wide, "fast", "store", ">= 0.97", "ratio of speeds"),
        "hidden states before the codec, largest difference from stock": Figure(difference, "<= 1e-05", "absolute"),
    }
