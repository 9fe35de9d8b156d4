"""data/inits/NAME, data/prepared/DATASET, data/targets/TARGETS → data/students/NAME/"""

import shutil
from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, to_json, write_text
from distill.core.settings import require_unedited
from distill.recipes.loading import load_student


@command
@click.argument("name")
def main(name: str) -> None:
    """Train the student NAME from the target store; the teacher is not opened. Every seed is a run of its own.

    The processes of `torchrun` or `accelerate launch` share each step.
    """
    settings = load_student(PARAMS, name)
    from distill.data.dataset import Dataset
    from distill.store.target_set import TargetStore
    from distill.students.distill import distill_student
    from distill.training.distributed import written_once

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store = TargetStore.open(Path("data/targets", settings.targets))
    with written_once(Path("data/students", name)) as folder:
        initial, scratch = Path("data/inits", name), SCRATCH / "training" / f"students-{name}"
        runs = distill_student(initial, dataset, store, settings, folder, scratch, f"student {name}")
        if folder is not None:
            require_unedited(PARAMS, "students", name, settings)
    if folder is None:
        return
    write_text(Path("data/runs/students", f"{name}.json"), to_json([run.record(seed) for seed, run in runs.items()]))
    for seed, run in runs.items():
        print_result(f"student {name}: seed {seed}: {run.summary(dataset.metric)}")
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
