"""data/KIND/NAME, data/prepared/DATASET, data/runs/KIND/NAME.json → data/{metrics,evaluations}/KIND/, data/plots/*/KIND/"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.console import PARAMS, command, say
from distill.files import read_json, to_json, whole_folder, write_text
from distill.params.base import load_entry
from distill.params.students import AnyStudent
from distill.params.teachers import TeacherSettings

if TYPE_CHECKING:
    from distill.detail.form import Detail


def measured_teacher(name: str) -> "tuple[dict[str, Any], str, Detail]":
    """The scores of a teacher, its data set, and what is told of its predictions."""
    settings = load_entry(PARAMS, "teachers", name, TeacherSettings)
    from distill.measuring import measure_teacher
    from distill.prepared import Dataset

    scores, detail = measure_teacher(Path("data/teachers", name), Dataset.open(Path("data/prepared", settings.dataset)))
    return scores, settings.dataset, detail


def measured_student(name: str) -> "tuple[dict[str, Any], str, Detail]":
    """The same of a student, and its relation to its teacher."""
    settings = load_entry(PARAMS, "students", name, AnyStudent)
    from distill.measuring import measure_student
    from distill.prepared import Dataset
    from distill.targets.reader import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store = TargetStore.open(Path("data/targets", settings.targets))
    scores, detail = measure_student(Path("data/students", name), dataset, store, settings.seeds)
    return scores, settings.dataset, detail


def write(kind: str, name: str, dataset: str, detail: "Detail") -> None:
    """What is told of predictions, and the tables of the plots."""
    from distill.detail.plots import tables

    record = read_json(Path("data/runs", kind, f"{name}.json"), f"what the {kind[:-1]} stage writes")
    with whole_folder(Path("data/evaluations", kind, name)) as folder:
        write_text(folder / "detail.json", detail.to_json())
    for plot, table in tables(detail, record if isinstance(record, list) else [record]).items():
        with whole_folder(Path("data/plots", plot, kind, name)) as folder:
            if table:
                write_text(folder / f"{dataset}.csv", table)


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Score the teacher or student NAME on the test split; a student also against its teacher's stored logits."""
    measured, dataset, detail = measured_teacher(name) if kind == "teachers" else measured_student(name)
    write(kind, name, dataset, detail)
    write_text(Path("data/metrics", kind, f"{name}.json"), to_json(measured))
    kept = f", retention {measured['retention']:.1%}" if "retention" in measured else ""
    metric = measured["metric"]
    say(f"evaluate {name}: {metric} {measured[metric]:.4f}{kept} on {measured['rows']} rows")


if __name__ == "__main__":
    main()
