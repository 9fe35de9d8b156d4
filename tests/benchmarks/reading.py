"""Shuffled batches from the store against the same from RAM."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.store.output_names import LOGITS, hidden_output
from tests.benchmarks.harness import Figure, interleave, random_rows, ratio
from tests.benchmarks.stores import InRam, random_store

ROWS, BATCH, LONGEST, WIDTH, ROUNDS = 2048, 32, 64, 768, 9


def measure(folder: Path) -> dict[str, Figure]:
    """The ratio of docs/store.md's table."""
    rows = random_rows(ROWS, LONGEST)
    stored = random_store(folder, rows, dict.fromkeys([LOGITS, *map(hidden_output, (3, 6, 9, 12))]), WIDTH)
    order = np.random.default_rng(1).permutation(ROWS)

    def epoch(targets: Mapping[str, Any]) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, ROWS, BATCH):
                for reader in targets.values():
                    reader.gather(order[start : start + BATCH])

        return run

    arms = {"store": epoch(stored), "ram": epoch({output: InRam(reader) for output, reader in stored.items()})}
    seconds = interleave(arms, ROUNDS, "reading")
    name = "shuffled batches of 32, logits and 4 layers of 768: store / RAM"
    return {name: ratio(seconds, "ram", "store", ">= 0.4", "ratio of speeds")}
