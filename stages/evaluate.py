"""data/KIND/NAME, data/prepared/DATASET → data/metrics/KIND/NAME.json"""

from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import to_json, write_text
from distill.params.base import load_entry
from distill.params.students import load_student
from distill.params.teachers import TeacherSettings


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Score the teacher or student NAME on the test split; a student also against its teacher's stored logits."""
    from distill.measuring import measure_student, measure_teacher
    from distill.prepared import Dataset
    from distill.targets.reader import TargetStore

    folder, prepared = Path("data", kind, name), Path("data/prepared")
    if kind == "teachers":
        teacher = load_entry(PARAMS, "teachers", name, TeacherSettings)
        measured = measure_teacher(folder, Dataset.open(prepared / teacher.dataset))
    else:
        student = load_student(PARAMS, name)
        store = TargetStore.open(Path("data/targets", student.targets))
        measured = measure_student(folder, Dataset.open(prepared / student.dataset), store, student.seeds)
    write_text(Path("data/metrics", kind, f"{name}.json"), to_json(measured))
    kept = f", retention {measured['retention']:.1%}" if "retention" in measured else ""
    metric = measured["metric"]
    say(f"evaluate {name}: {metric} {measured[metric]:.4f}{kept} on {measured['rows']} rows")


if __name__ == "__main__":
    main()
