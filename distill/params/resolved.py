"""What the benchmark and the report read of params.yaml: `check` follows its references and writes this to data/jobs.

So neither imports what checks params.yaml: an edit of a recipe or of a loss reruns neither.
"""

from pathlib import Path

from distill.core.files import read_json
from distill.core.validation import Model, Strict, validate


class TrainedEntry(Strict):
    """An entry of `teachers` or `students`."""

    name: str
    dataset: str
    origin: str
    """The entry of `datasets` from which `dataset` was made, through whatever augmentations."""


class TargetSet(Strict):
    """An entry of `targets` or of `given`."""

    name: str
    teacher: str
    """Of a given set, itself: `NAME (given)`."""
    origin: str
    given: bool


class Student(TrainedEntry):
    """An entry of `students`."""

    augmented: bool
    """Whether `dataset` is an entry of `augmentations`."""
    recipe: str
    trains_head: bool
    seeds: tuple[int, ...]
    targets: tuple[str, ...]
    """The entries of `targets` and `given` that it learns from: of an ensemble, its members."""
    teachers: tuple[str, ...]
    """Of those."""
    further: bool = False
    """Whether further teachers, of `folds` or `seeds`, answer in place of one of them."""
    settings: str
    """The entry as YAML, defaults of the recipe left out."""


class Resolved(Strict):
    """All entries that have records, in the order of params.yaml."""

    datasets: tuple[str, ...]
    teachers: tuple[TrainedEntry, ...]
    targets: tuple[TargetSet, ...]
    students: tuple[Student, ...]

    def shippable(self) -> dict[str, str]:
        """The students whose head is trained, and the entry of `datasets` that the data set of each comes from."""
        return {student.name: student.origin for student in self.students if student.trains_head}

    def ensembles_students(self) -> frozenset[str]:
        """The students of several teachers, those of `folds` and `seeds` among them: no one model is behind what they learn."""
        return frozenset(student.name for student in self.students if len(student.teachers) > 1 or student.further)


class Timed(TrainedEntry):
    """A model that the benchmark times."""

    kind: str
    """`teachers` or `students`."""
    teacher: str
    """The one that its speed is compared with; of a teacher, itself. Answers that were given have no speed."""


class BenchmarkJob(Strict):
    """All models to time, teachers first, by name: another order in params.yaml is no reason to measure anew."""

    models: tuple[Timed, ...]


def read_job(model: type[Model], path: Path) -> Model:
    """Read what `check` wrote."""
    return validate(model, read_json(path, "what `dvc repro check` writes"), str(path))
