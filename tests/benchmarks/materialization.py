"""Keeping what the teacher computes, against computing it and keeping nothing."""

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from distill.padding import length_batches, pad_batch
from distill.prepared import Dataset, PreparedRows
from distill.targets.forward import run_teacher
from distill.targets.schema import Fingerprints
from distill.targets.writer import Job, Materializer
from tests.benchmarks.harness import Figure, interleave, ratio
from tests.benchmarks.models import classifier, random_rows

ROWS, LONGEST, BATCH, ROUNDS = 1024, 64, 32, 5


class Rows:
    """Random rows in the place of a prepared data set."""

    def __init__(self, rows: PreparedRows) -> None:
        self.train = rows
        self.splits = {"train": {"fingerprint": "bench"}}

    def rows(self, _: str) -> PreparedRows:
        return self.train


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of the README's table: a 6 × 384 teacher, logits and one hidden state as int8."""
    model, rows = classifier(layers=6, width=384), random_rows(ROWS, LONGEST)
    job = Job(hidden=(-1,))
    scratch = folder / "scratch"
    fingerprints = Fingerprints("bench", "bench", "bench", tuple("abcde"), LONGEST)
    materializer = Materializer(model, cast(Dataset, Rows(rows)), fingerprints, job, scratch)

    def materialize() -> None:
        shutil.rmtree(scratch)
        scratch.mkdir()
        materializer.run()

    def bare() -> None:
        for chosen in length_batches(rows.lengths, job.batch_tokens):
            run_teacher(model, pad_batch(rows, chosen), [], "fp32")

    def in_data_order(longest: int | None) -> None:
        for start in range(0, len(rows), BATCH):
            batch: dict[str, Any] = pad_batch(rows, np.arange(start, min(start + BATCH, len(rows))))
            if longest is not None:
                mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
                more = (0, longest - mask.shape[1])
                batch = {
                    "input_ids": torch.nn.functional.pad(batch["input_ids"], more),
                    "attention_mask": torch.nn.functional.pad(mask, more),
                }
            run_teacher(model, batch, [], "fp32")

    arms = {
        "store": materialize,
        "bare": bare,
        "padded": lambda: in_data_order(LONGEST),
        "padded to the batch": lambda: in_data_order(None),
    }
    seconds = interleave(arms, ROUNDS, "materialization")
    unit = "ratio of speeds"
    return {
        "materialization / bare length-bucketed forward pass": Figure(ratio(seconds["bare"], seconds["store"]), ">= 0.95", unit),
        "materialization / loop in data order, padded to max_length": Figure(
            ratio(seconds["padded"], seconds["store"]), ">= 2", unit
        ),
        "materialization / loop in data order, padded to the batch": Figure(
            ratio(seconds["padded to the batch"], seconds["store"]), ">= 1", unit
        ),
    }
