"""data/prepared/DATASET → data/folds/NAME/"""

import shutil
from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, atomic_folder, to_json, write_text
from distill.core.settings import load_entry, require_unedited
from distill.params.training import TeacherSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Fine-tune the further teachers that `folds` or `seeds` of NAME ask for; a killed run trains none of them again."""
    settings = load_entry(PARAMS, "teachers", name, TeacherSettings)
    out, record = Path("data/folds", name), Path("data/runs/folds", f"{name}.json")
    if settings.folds is None and not settings.seeds:
        with atomic_folder(out) as folder:  # as distill/models/folds.py has it, without importing torch
            write_text(folder / "folds.json", to_json({"kind": None, "count": 0}))
        write_text(record, to_json([]))
        return
    from distill.core.recorded import refuse_to_compute_again

    refuse_to_compute_again(f"folds@{name}")
    from distill.data.dataset import Dataset
    from distill.training.cross_fitting import train_further
    from distill.training.distributed import written_once

    dataset, scratch = Dataset.open(Path("data/prepared", settings.dataset)), SCRATCH / "training" / f"folds-{name}"
    with written_once(out) as whole:
        runs = train_further(dataset, settings, name, whole, scratch)
        if whole is not None:
            require_unedited(PARAMS, "teachers", name, settings)
    if whole is None:
        return
    write_text(record, to_json(runs))
    shutil.rmtree(scratch, ignore_errors=True)
    print_result(f"folds {name}: {len(runs)} further teachers, {sum(run['seconds'] for run in runs):.0f} s")


if __name__ == "__main__":
    main()
