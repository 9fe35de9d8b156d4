"""data/jobs: what stages read of params.yaml beside their own entries, and whether results are of what params.yaml says now."""

from pathlib import Path
from typing import Any

from distill.core.console import PARAMS
from distill.core.files import to_json
from distill.core.recorded import changed_since, has_result
from distill.core.settings import SECTIONS, inherited, read_sections
from distill.core.validation import Strict
from distill.pipeline.entries import Params
from distill.pipeline.local_files import Checksums, local_checksums
from distill.pipeline.project import checked
from distill.pipeline.resolve import benchmark_job, resolve

JOBS = Path("data/jobs")


def jobs_of(params: Params, sections: dict[str, Any], jobs: Path) -> dict[str, Any]:
    """What stages read of params.yaml beside their own entries, by the name of its file in the folder `jobs`, without `.json`.

    DVC refuses a parameter that is not there, and most models have no entry in `exports`, most sections none in `defaults`;
    it cannot depend on a file that some entries name and others do not. So each stage depends on a file of its own, and runs
    again after an edit of what it reads: this is why `check` runs at every `dvc repro`.

        entries/SECTION/NAME          what an entry inherits, and checksums of the local files that it names
        exports/KIND/NAME             what an export reads
        transfer/NAME                 the sources whose rows a data set learns from without labels
        benchmark, report             distill/params/resolved.py
    """
    resolved = resolve(params)
    found: dict[str, Any] = {f"exports/{name}": job for name, job in _export_jobs(params).items()}
    found |= {f"entries/{name}": job for name, job in _entry_jobs(params, sections, jobs).items()}
    found |= {f"transfer/{name}": list(dataset.transfer_sources) for name, dataset in params.datasets.items()}
    return found | {"benchmark": benchmark_job(resolved).model_dump(mode="json"), "report": resolved.model_dump(mode="json")}


def outdated(stage: str) -> list[str]:
    """Of a stage and those before it, the ones whose settings or data are no longer those that dvc.lock has their results for."""
    if not has_result(stage):
        return []
    sections = read_sections(PARAMS)
    jobs = {JOBS / f"{name}.json": to_json(job) for name, job in jobs_of(checked(sections, PARAMS), sections, JOBS).items()}
    edited = {path for path, text in jobs.items() if path.exists() and path.read_text(encoding="utf-8") != text}
    return changed_since(stage, {path.as_posix() for path in edited})


def _entry_jobs(params: Params, sections: dict[str, Any], jobs: Path) -> dict[str, dict[str, Any]]:
    """By SECTION/NAME what an entry reads that is not in the entry itself."""
    checksums, found = Checksums(), {}
    for section in SECTIONS:
        for name in sections[section]:
            local = local_checksums(getattr(params, section)[name], checksums, jobs / "entries" / section / f"{name}.json")
            found[f"{section}/{name}"] = {"defaults": inherited(sections, section, name), "checksums": local}
    checksums.remember()
    return found


def _export_jobs(params: Params) -> dict[str, dict[str, Any]]:
    """By KIND/NAME what the export of a teacher or student, and its model card, say of params.yaml."""
    jobs: dict[str, dict[str, Any]] = {}
    for name, teacher in params.teachers.items():
        jobs[f"teachers/{name}"] = {"entry": _given(teacher), "export": _given(params.exports[name])}
    for name, student in params.students.items():
        teachers = sorted(set(map(params.teacher, params.members(student.target_set))))
        jobs[f"students/{name}"] = {"entry": _given(student), "export": _given(params.exports[name]), "teachers": teachers}
    return jobs


def _given(settings: Strict) -> dict[str, Any]:
    """What params.yaml gives of an entry, itself or by its defaults, as JSON has it."""
    return settings.model_dump(by_alias=True, exclude_unset=True, mode="json")
