"""The metrics file of a teacher or a student."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.devices import best_device
from distill.evaluation import agreement, over_seeds, predict, retention, scores, size
from distill.models import load_for
from distill.prepared import Dataset
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS


def measure_teacher(folder: Path, dataset: Dataset) -> dict[str, Any]:
    """A teacher's scores on the test split.

    Raises:
        UserError: the model does not fit the data set.
    """
    model, _ = load_for(folder, dataset)
    rows = dataset.rows("test")
    logits = predict(model.to(best_device()), rows, f"evaluate {folder.name}")
    return {"metric": dataset.metric, "rows": len(rows), **size(model, folder), **scores(logits, rows.labels)}


def measure_student(folder: Path, dataset: Dataset, store: TargetStore, seeds: Sequence[int]) -> dict[str, Any]:
    """A student's scores on the test split, means over its seeds, and its relation to the teacher, whose logits the store has.

    Raises:
        UserError: the student or the store does not fit the data set.
    """
    store.require(dataset, ["test"])
    rows = dataset.rows("test")
    reader = store.output(LOGITS, "test")
    teacher = reader.gather(reader.locate(rows.ids)).numpy()
    runs, predictions = {}, []
    for seed, place in seed_folders(folder, seeds).items():
        model, _ = load_for(place, dataset)
        logits = predict(model.to(best_device()), rows, f"evaluate {folder.name}")
        predictions.append(logits.argmax(axis=1))
        runs[seed] = {**scores(logits, rows.labels), **agreement(logits, teacher)}
        sizes = size(model, place)
    return {
        "metric": dataset.metric,
        "rows": len(rows),
        **sizes,
        **over_seeds(list(runs.values())),
        **retention(dataset.metric, np.array(predictions), teacher.argmax(axis=1), rows.labels),
        "seeds": {str(seed): values[dataset.metric] for seed, values in runs.items()},
    }


def seed_folders(folder: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """Where each seed's model is: the best on validation at the root, the others under `seeds/`."""
    places = {seed: folder / "seeds" / str(seed) for seed in seeds}
    return {seed: place if place.exists() else folder for seed, place in places.items()}
