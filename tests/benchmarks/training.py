"""A student's training epoch: from the store, from RAM, with hard labels alone, with the live teacher in the loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from distill.batches import Collator
from distill.distillation import objective_of
from distill.params.students import RECIPES
from distill.prepared import PreparedRows
from distill.recipes.base import Shapes
from distill.recipes.catalogue import terms_of
from distill.targets.codec import Codec, Encoded
from distill.targets.reader import OutputReader
from distill.targets.schema import LOGITS
from distill.targets.shards import map_shard, write_shard
from tests.benchmarks.harness import Figure, interleave, ratio
from tests.benchmarks.models import classifier, random_rows

ROWS, BATCH, ROUNDS = 192, 32, 9


class InRam:
    """Targets that are in memory already: what a store is measured against."""

    def __init__(self, reader: OutputReader) -> None:
        self.reader = reader
        self.values = reader.gather(np.arange(len(reader)))

    def locate(self, ids: Any) -> Any:
        return self.reader.locate(ids)

    def gather(self, rows: Any) -> torch.Tensor:
        return self.values[torch.from_numpy(rows)]


def stored_logits(folder: Path, rows: PreparedRows) -> OutputReader:
    """A shard of random logits for these rows."""
    path = folder / "bench" / LOGITS / "train" / "part-00000.arrow"
    write_shard(path, LOGITS, rows.ids, np.ones(len(rows), np.int64), Encoded(torch.randn(len(rows), 5), None), Codec("fp32"))
    batches, codec = map_shard(path, LOGITS)
    return OutputReader(batches, codec, "bench")


def epoch(recipe: str, collator: Collator, teacher: PreTrainedModel | None = None) -> Callable[[], None]:
    """A function that trains a fresh 3 × 384 student for one epoch."""
    student = classifier(layers=3, width=384).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, fused=True)
    entry = {"dataset": "x", "targets": "x", "init": {"from": "data/teachers/x"}}
    settings = RECIPES[recipe].model_validate({"recipe": recipe, **entry})
    objective = objective_of(terms_of(settings, Shapes(3, 384, 12, None)))

    def run() -> None:
        for start in range(0, ROWS, BATCH):
            batch = collator(range(start, start + BATCH))
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
            if teacher is not None:
                with torch.inference_mode():
                    batch["targets"] = {LOGITS: teacher(**inputs).logits}
            loss, _ = objective(student(**inputs), batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of the README's table."""
    rows = random_rows(ROWS, longest=64)
    reader = stored_logits(folder, rows)
    cheap = {
        "hard labels": epoch("supervised", Collator(rows)),
        "ram": epoch("hinton", Collator(rows, {LOGITS: InRam(reader)})),
        "store": epoch("hinton", Collator(rows, {LOGITS: reader})),
    }
    seconds = interleave(cheap, ROUNDS, "training")
    teacher = classifier(layers=12, width=768)
    slow = {"store": cheap["store"], "live": epoch("hinton", Collator(rows), teacher)}
    live = interleave(slow, 3, "live teacher")
    unit = "ratio of epochs"
    return {
        "training from the store / hard labels only": Figure(ratio(seconds["store"], seconds["hard labels"]), "<= 1.05", unit),
        "training from the store / targets in RAM": Figure(ratio(seconds["store"], seconds["ram"]), "<= 1.03", unit),
        "live 12 × 768 teacher / training from the store (3 × 384)": Figure(ratio(live["live"], live["store"]), ">= 2.5", unit),
    }
