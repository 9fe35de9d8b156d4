"""Training a student from the store, for each of its seeds."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from distill.data.dataset import Dataset
from distill.models.calibration import calibrate
from distill.models.loading import load_for, save_model
from distill.models.predict import tune
from distill.params.students import StudentSettings
from distill.store.expected import require_expected, split_with_expected
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.tasks.registry import task_of
from distill.training.trained import Trained
from distill.training.trainer import run_key, train


def distill_student(
    initial: Path, dataset: Dataset, store: TargetStore, settings: StudentSettings, folder: Path | None, scratch: Path, title: str
) -> dict[int, Trained]:
    """Train the student in folder `initial` once a seed: the best to `folder` (None: nowhere), others to `folder/seeds/SEED`.

    The best is that of the highest validation score; where no head is trained, that of the lowest training loss. What runs have
    made stays in `scratch`, by all that they depend on, so that a killed stage trains none of them again.
    """
    runs: dict[int, Trained] = {}
    validation = split_with_expected(dataset, store, "validation")
    if settings.trains_head:
        require_expected(dataset, store, validation)
    models: dict[int, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}
    for seed in settings.seeds:
        set_seed(seed)
        student, _ = models[seed] = load_for(initial, dataset)
        objective, rows = objective_and_rows(settings, student, dataset, store)
        read = sorted({*rows.targets} if rows.weights is None else {*rows.targets, LOGITS})
        key = run_key(settings, dataset, rows, validation, student, str([store.manifest(output) for output in read]))
        how: dict[str, Any] = {"metric": dataset.metric, "keep": "best" if settings.trains_head else "last"}
        how |= {"title": title if len(settings.seeds) == 1 else f"{title} (seed {seed})", "scratch": scratch / f"{seed}-{key}"}
        runs[seed] = train(student, rows, validation, settings, objective, seed=seed, **how)
        if settings.trains_head and folder is not None:
            calibrate(student, task_of(dataset.task), validation)
            tune(student, task_of(dataset.task), validation)
        student.cpu()
    if folder is not None:
        best = max(runs, key=lambda seed: runs[seed].selection_score)
        for seed, model in models.items():
            save_model(folder if seed == best else folder / "seeds" / str(seed), *model, dataset)
    return runs
