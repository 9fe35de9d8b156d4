"""data/KIND/NAME, data/prepared/DATASET → data/metrics/KIND/NAME.json"""

from pathlib import Path
from typing import Any

import click

from distill.console import PARAMS, command, say
from distill.files import to_json, write_text
from distill.params.base import load_entry
from distill.params.students import AnyStudent
from distill.params.teachers import TeacherSettings


def measured_teacher(name: str) -> dict[str, Any]:
    """The scores of a teacher."""
    settings = load_entry(PARAMS, "teachers", name, TeacherSettings)
    from distill.measuring import measure_teacher
    from distill.prepared import Dataset

    return measure_teacher(Path("data/teachers", name), Dataset.open(Path("data/prepared", settings.dataset)))


def measured_student(name: str) -> dict[str, Any]:
    """The scores of a student, and its relation to its teacher."""
    settings = load_entry(PARAMS, "students", name, AnyStudent)
    from distill.measuring import measure_student
    from distill.prepared import Dataset
    from distill.targets.reader import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store = TargetStore.open(Path("data/targets", settings.targets))
    return measure_student(Path("data/students", name), dataset, store, settings.seeds)


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Score the teacher or student NAME on the test split; a student also against its teacher's stored logits."""
    measured = measured_teacher(name) if kind == "teachers" else measured_student(name)
    write_text(Path("data/metrics", kind, f"{name}.json"), to_json(measured))
    kept = f", retention {measured['retention']:.1%}" if "retention" in measured else ""
    metric = measured["metric"]
    say(f"evaluate {name}: {metric} {measured[metric]:.4f}{kept} on {measured['rows']} rows")


if __name__ == "__main__":
    main()
