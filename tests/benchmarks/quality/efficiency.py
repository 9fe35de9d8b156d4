"""Label efficiency: students of teachers that saw 500, 2,000 or all labelled rows of SST-2, with and without unlabelled rows."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from distill.core.arrays import Array
from tests.benchmarks.quality.collecting import Row, gain, read
from tests.benchmarks.quality.entries import MINILM, TASKS
from tests.benchmarks.quality.params import BATCH, empty

NAME = "label-efficiency"
ALL = 10_000
"""What `all` labelled rows stands for."""
SIZES = {"500": 500, "2000": 2000, "all": ALL}
UNLABELLED_ROWS = 20_000
VALIDATION = 1000
MINUTES = 75.0
TINY = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
STUDENTS: dict[str, dict[str, Any]] = {
    "half": {"init": {"from": "data/teachers/TEACHER", "layers": [0, 1, 2]}, "learning_rate": 1e-4},
    "tiny": {"init": {"from": "data/prepared/DATASET", "architecture": TINY}, "learning_rate": 5e-4},
}
TITLES = {"half": "3 × 384, from layers", "tiny": "2 × 128, random"}
EPOCHS = {"500": 20, "2000": 8, "all": 2}
"""Of students on the labelled rows; the random one takes twice as many."""
EPOCHS_MORE = 2
"""With the unlabelled rows."""
TEACHER_EPOCHS = {"500": 10, "2000": 5, "all": 2}
SOFT = {"recipe": "hinton", "alpha": 0.0, "temperature": 2}
TRAININGS = {
    "supervised": "supervised",
    "distilled": "distilled, the same rows",
    "more": f"distilled, and {UNLABELLED_ROWS:,} unlabelled rows",
}


def write_rows(tables: Mapping[str, pa.Table], folder: Path, seed: int = 1) -> None:
    """Write a source for each size, `rows-SIZE`, and `rows-SIZE-more` with unlabelled rows after the labelled ones.

    The first rows of one seeded permutation are labelled, so that sizes are nested; the unlabelled rows, the same for all
    sizes, stand beyond all labelled ones.
    """
    order = np.random.default_rng(seed).permutation(tables["train"].num_rows)
    train = tables["train"].take(order)
    spare = train.slice(ALL, UNLABELLED_ROWS)
    label = spare.schema.get_field_index("label")
    spare = spare.set_column(label, train.schema.field("label"), pa.nulls(spare.num_rows, train.schema.field("label").type))
    held_out = {"validation": tables["validation"], "test": tables["test"]}
    for size, count in SIZES.items():
        labelled = train.slice(0, count)
        for name, rows in ((f"rows-{size}", labelled), (f"rows-{size}-more", pa.concat_tables([labelled, spare]))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for split, table in {"train": rows, **held_out}.items():
                pyarrow.parquet.write_table(table, folder / name / f"{split}.parquet")


def efficiency_params(rows: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """A teacher for each size; three trainings of two students under each.

    Teacher and supervised student are given the unlabelled rows too, as a user would have them in one data set: they step over
    the labelled ones alone. Only `distilled`, which is to learn from the same rows as these, has a data set without the others.
    """
    inherited = {"batch_size": BATCH, "seeds": list(seeds)}
    content = empty(datasets={"tokenizer": MINILM}, teachers={"batch_size": BATCH}, students=inherited)
    dataset = {**TASKS["sst2"].dataset, "limit": {"validation": VALIDATION}}
    for size, epochs in TEACHER_EPOCHS.items():
        teacher = f"rows-{size}"
        content["teachers"][teacher] = {
            "dataset": f"{teacher}-more",
            "checkpoint": MINILM,
            **TASKS["sst2"].teacher,
            "epochs": epochs,
        }
        for name in (teacher, f"{teacher}-more"):
            content["sources"][name] = {"path": str((rows / name).absolute())}
            content["datasets"][name] = {"source": name, **dataset}
            content["targets"][name] = {"teacher": teacher, "dataset": name}
        for shape in STUDENTS:
            content["students"] |= _trainings(size, shape)
    return content


def _trainings(size: str, shape: str) -> dict[str, dict[str, Any]]:
    entries = {}
    for training in TRAININGS:
        dataset = f"rows-{size}" if training == "distilled" else f"rows-{size}-more"
        epochs = EPOCHS_MORE if training == "more" else EPOCHS[size]
        student, source = STUDENTS[shape], STUDENTS[shape]["init"]["from"]
        entries[f"{shape}-{size}-{training}"] = {
            **({"recipe": "supervised"} if training == "supervised" else SOFT),
            "dataset": dataset,
            "targets": f"{dataset}/logits",
            "init": {**student["init"], "from": source.replace("TEACHER", f"rows-{size}").replace("DATASET", dataset)},
            "learning_rate": student["learning_rate"],
            "epochs": epochs * (2 if shape == "tiny" else 1),
        }
    return entries


def collect_efficiency(folder: Path, seeds: Sequence[int]) -> list[Row]:
    """A row for each student that has been measured, with its gain over the supervised one of the same size and labels."""
    rows: list[Row] = []
    baselines: dict[tuple[str, str], Array] = {}
    for shape, size, training in itertools.product(STUDENTS, SIZES, TRAININGS):
        name, teacher = f"{shape}-{size}-{training}", folder / "data/metrics/teachers" / f"rows-{size}.json"
        if not teacher.exists() or not (folder / "data/metrics/students" / f"{name}.json").exists():
            continue
        right = correct(folder, name, seeds)
        baseline = baselines.setdefault((shape, size), right) if training == "supervised" else baselines.get((shape, size))
        gained = {"gain": None, "by_rows": None, "by_seeds": None}
        if training != "supervised" and baseline is not None:
            gained = gain(right, baseline)
        scores = [float(score) for score in right.mean(axis=1)]
        row: Row = {"student": TITLES[shape], "labelled": SIZES[size], "training": TRAININGS[training]}
        row |= {"teacher_score": read(teacher)["accuracy"], "score": mean(scores), "seeds": list(seeds)}
        rows.append(row | {"score_sd": stdev(scores) if len(scores) > 1 else 0.0, **gained})
    return rows


def correct(folder: Path, student: str, seeds: Sequence[int]) -> Array:
    """Which test rows each seed's model has right, (seeds, rows) bool."""
    from distill.core.settings import read_yaml
    from distill.data.dataset import Dataset
    from distill.evaluation.evaluate import seed_folders
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.tasks.registry import task_of

    entry = read_yaml(folder / "params.yaml")["students"][student]
    dataset = Dataset.open(folder / "data/prepared" / entry["dataset"])
    rows = dataset.rows("test")
    right = []
    for place in seed_folders(folder / "data/students" / student, seeds).values():
        model, _ = load_for(place, dataset)
        right.append(predict(model, task_of(dataset.task), rows, student).argmax(axis=1) == rows.labels)
    return np.array(right)
