"""All entries of params.yaml, checked one by one, and what follows from their names."""

from dataclasses import dataclass

from distill.params.annotators import AnnotatorSettings, SelectionSettings
from distill.params.augmentations import AugmentationSettings
from distill.params.datasets import DatasetSettings
from distill.params.ensembles import EnsembleSettings
from distill.params.exports import ExportSettings
from distill.params.given import GivenSettings
from distill.params.sources import Source
from distill.params.students import StudentSettings
from distill.params.targets import TargetSettings
from distill.params.task_specs import TaskName
from distill.params.training import TeacherSettings


@dataclass(frozen=True)
class Params:
    """All entries, checked, by name."""

    sources: dict[str, Source]
    datasets: dict[str, DatasetSettings]
    augmentations: dict[str, AugmentationSettings]
    annotators: dict[str, AnnotatorSettings]
    selections: dict[str, SelectionSettings]
    teachers: dict[str, TeacherSettings]
    targets: dict[str, TargetSettings]
    given: dict[str, GivenSettings]
    ensembles: dict[str, EnsembleSettings]
    students: dict[str, StudentSettings]
    exports: dict[str, ExportSettings]
    """Of every teacher and student."""

    def origin(self, dataset: str) -> str:
        """The entry of `datasets` from which a prepared data set was made, through whatever augmentations."""
        while dataset in self.augmentations:
            dataset = self.augmentations[dataset].of
        return dataset

    def preparing(self, dataset: str) -> str:
        """The stage that makes a prepared data set."""
        return f"{'augment' if dataset in self.augmentations else 'prepare'}@{dataset}"

    def task(self, dataset: str) -> TaskName:
        """The task of a prepared data set."""
        return self.datasets[self.origin(dataset)].task

    def rows_dataset(self, place: str) -> str:
        """The data set of the rows that an annotator or a selection reads, followed to data/prepared/NAME."""
        _, kind, name = place.split("/")
        if kind == "prepared":
            return name
        return self.rows_dataset((self.annotators[name] if kind == "annotations" else self.selections[name]).rows)

    def members(self, target_set: str) -> tuple[str, ...]:
        """The entries of `targets` and `given` whose mean an ensemble is; a target set is its own."""
        if target_set not in self.ensembles:
            return (target_set,)
        ensemble = self.ensembles[target_set]
        return (*self.members(ensemble.first), *self.members(ensemble.second))

    def dataset_by_target_set(self) -> dict[str, str]:
        """The data set of each entry of `targets` and `given`."""
        computed = {name: entry.dataset for name, entry in self.targets.items()}
        return computed | {name: entry.dataset for name, entry in self.given.items()}

    def further(self, member: str) -> bool:
        """Whether a set's logits are those of further teachers, of `folds` or `seeds`, and not of its teacher alone."""
        teacher = self.teachers[self.targets[member].teacher] if member in self.targets else None
        return teacher is not None and bool(teacher.folds or teacher.seeds)

    def teacher(self, member: str) -> str:
        """Who answers in an entry of `targets` or `given`: a teacher, or the given set itself, named so that no entry is."""
        return self.targets[member].teacher if member in self.targets else f"{member} (given)"
