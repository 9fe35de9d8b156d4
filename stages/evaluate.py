"""data/KIND/NAME, data/prepared/DATASET, data/runs/KIND/NAME.json → data/{metrics,evaluations}/KIND/, data/plots/*/KIND/"""

from pathlib import Path
from typing import Any

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder, read_json, to_json, write_text
from distill.core.settings import load_entry
from distill.params.students import AnyStudent
from distill.params.training import TeacherSettings


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Score the teacher or student NAME on the test split; a student also against its teacher's stored logits."""
    settings: Any = load_entry(PARAMS, kind, name, TeacherSettings if kind == "teachers" else AnyStudent)
    from distill.data.dataset import Dataset
    from distill.evaluation.evaluate import measure_student, measure_teacher
    from distill.evaluation.plots import tables
    from distill.store.target_set import TargetStore
    from distill.tasks.judged import FILE, write_judged

    model, dataset = Path("data", kind, name), Dataset.open(Path("data/prepared", settings.dataset))
    if kind == "teachers":
        measured, detail = measure_teacher(model, dataset)
        judged: Any = {}
    else:
        store = TargetStore.open(Path("data/targets", settings.targets))
        measured, detail, judged = measure_student(model, dataset, store, settings.seeds)
    record = read_json(Path("data/runs", kind, f"{name}.json"), f"what the {kind[:-1]} stage writes")
    with atomic_folder(Path("data/evaluations", kind, name)) as folder:
        write_text(folder / "detail.json", detail.to_json())
        if judged:
            write_judged(folder / FILE, judged)
    for plot, table in tables(detail, record if isinstance(record, list) else [record]).items():
        with atomic_folder(Path("data/plots", plot, kind, name)) as folder:
            if table:
                write_text(folder / f"{settings.dataset}.csv", table)
    write_text(Path("data/metrics", kind, f"{name}.json"), to_json(measured))
    kept = f", retention {measured['retention']:.1%}" if "retention" in measured else ""
    metric = measured["metric"]
    print_result(f"evaluate {name}: {metric} {measured[metric]:.4f}{kept} on {measured['rows']} {dataset.spec.units}")


if __name__ == "__main__":
    main()
