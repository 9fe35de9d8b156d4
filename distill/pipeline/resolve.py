"""The references of params.yaml followed, for distill/params/resolved.py."""

from distill.core.settings import to_yaml
from distill.params.resolved import BenchmarkJob, Resolved, Student, TargetSet, Timed, TrainedEntry
from distill.pipeline.entries import Params


def resolve(params: Params) -> Resolved:
    """What the benchmark and the report read of params.yaml, with all references followed."""
    students = []
    for name, entry in params.students.items():
        members = params.members(entry.target_set)
        students.append(
            Student(
                name=name,
                dataset=entry.dataset,
                origin=params.origin(entry.dataset),
                augmented=entry.dataset in params.augmentations,
                recipe=entry.recipe,
                trains_head=entry.trains_head,
                seeds=entry.seeds,
                targets=tuple(dict.fromkeys(members)),
                teachers=tuple(dict.fromkeys(map(params.teacher, members))),
                further=any(params.further(member) for member in members),
                settings=to_yaml({"students": {name: entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)}}),
            )
        )
    return Resolved(
        datasets=tuple(params.datasets),
        teachers=tuple(
            TrainedEntry(name=name, dataset=entry.dataset, origin=params.origin(entry.dataset))
            for name, entry in params.teachers.items()
        ),
        targets=tuple(
            TargetSet(name=name, teacher=params.teacher(name), origin=params.origin(dataset), given=name in params.given)
            for name, dataset in params.dataset_by_target_set().items()
        ),
        students=tuple(students),
    )


def benchmark_job(resolved: Resolved) -> BenchmarkJob:
    """The teachers, and the students whose head is trained."""
    timed: list[tuple[str, TrainedEntry, str]] = [("teachers", entry, entry.name) for entry in resolved.teachers]
    timed += [("students", entry, entry.teachers[0]) for entry in resolved.students if entry.trains_head]
    models = (
        Timed(kind=kind, name=entry.name, dataset=entry.dataset, origin=entry.origin, teacher=teacher)
        for kind, entry, teacher in sorted(timed, key=lambda one: (one[0] == "students", one[1].name))
    )
    return BenchmarkJob(models=tuple(models))
