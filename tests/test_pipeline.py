"""The real pipeline under real `dvc`: what reruns, what does not, and what a failure or a kill leaves behind."""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.projects import (
    STUDENTS,
    attempt,
    copy,
    edit_params,
    environment,
    locked,
    make_origin,
    make_project,
    reproduced,
    run,
    stages_run,
)

pytestmark = pytest.mark.slow
PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz")
MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""How pickles, and the archives that torch and numpy put them in, begin."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run: read only."""
    return reproduced(tmp_path_factory.getbasetemp())


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return copy(done, tmp_path / "project")


CHECKED = ("data/checked", "data/export-jobs/")
"""What `check` writes: it comes back from DVC's cache as soon as params.yaml is right."""


def contents(folder: Path) -> dict[str, str]:
    """Every finished output file and the hash of its bytes."""
    files = [file for file in (folder / "data").rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def wait_for(what: str, happened, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def test_a_repro_writes_every_output_and_a_second_one_does_nothing(done: Path) -> None:
    output = run(done, "dvc repro")
    assert "Data and pipelines are up to date." in output
    assert stages_run(output) == set()
    for kind, names in {"teachers": ("tiny",), "students": STUDENTS}.items():
        for name in names:
            assert (done / "data" / kind / name / "model.safetensors").exists()
            assert (done / "data" / "metrics" / kind / f"{name}.json").exists()
            assert name in json.loads((done / "data/metrics/benchmark.json").read_text(encoding="utf-8"))[kind]
    assert (done / "data/audits/tiny.parquet").exists()
    assert {path.name for path in (done / "data/report").iterdir()} == {"index.html", "results.md"}


def test_git_sees_the_code_the_lock_and_the_metrics_only(done: Path) -> None:
    tracked = run(done, "git ls-files data dvc.lock").split()
    students = [f"data/metrics/students/{name}.json" for name in sorted(STUDENTS)]
    assert tracked == ["data/metrics/benchmark.json", *students, "data/metrics/teachers/tiny.json", "dvc.lock"]
    assert run(done, "git status --short") == ""


def test_no_output_is_a_pickle(done: Path) -> None:
    files = [file for file in (done / "data").rglob("*") if file.is_file() and ".scratch" not in file.parts]
    assert len(files) > 40
    assert [file for file in files if file.suffix in PICKLED or "training_args" in file.name] == []
    cached = [file for file in (done / ".dvc/cache/files").rglob("*") if file.is_file()]
    assert [file for file in [*files, *cached] if file.read_bytes().startswith(MAGIC)] == []


def test_an_experiment_reruns_the_student_that_it_changes_and_nothing_else(project: Path) -> None:
    before = contents(project)
    output = run(project, "dvc exp run --set-param students.hinton.temperature=8")
    assert stages_run(output) == {"check", "student@hinton", "evaluate@hinton", "export@hinton", "benchmark", "report"}
    changed = {path for path, found in contents(project).items() if found != before.get(path)}
    assert changed >= {"data/students/hinton/model.safetensors"}
    everyones = ("data/report/", "data/metrics/benchmark.json")
    assert all("hinton" in path or path.startswith(everyones) for path in changed)


def test_an_edit_of_a_loss_reruns_students_and_nothing_above_them(project: Path) -> None:
    with (project / "distill/losses/logits.py").open("a", encoding="utf-8") as file:
        file.write("# an edit\n")
    found = stages_run(run(project, "dvc repro --dry"))
    assert found - {"check", "benchmark", "report"} == {f"student@{name}" for name in STUDENTS}


def test_another_hidden_layer_reruns_no_student_that_reads_logits_alone(project: Path) -> None:
    edit_params(project, targets={"tiny": {"hidden": [1, -1]}})
    assert stages_run(run(project, "dvc repro targets@tiny")) == {"check", "targets@tiny"}
    output = run(project, "dvc repro --dry")
    assert {stage for stage in stages_run(output) if stage.startswith(("student@", "init@", "teacher@"))} == {
        "student@distilbert"
    }


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"students": {"hinton": {"temprature": 8}}}, "students.hinton.temprature: unknown key; did you mean 'temperature'?"),
        ({"targets": {"tiny": {"teacher": "tinny"}}}, "targets.tiny.teacher: no entry 'tinny' in teachers; did you mean 'tiny'?"),
    ],
    ids=["key", "reference"],
)
def test_a_typo_in_params_yaml_stops_the_repro_at_once_with_one_line_and_loses_nothing(
    project: Path, changes: dict[str, dict[str, dict[str, object]]], line: str
) -> None:
    before = contents(project)
    right = (project / "params.yaml").read_text(encoding="utf-8")
    edit_params(project, **changes)
    code, output = attempt(project, "dvc repro")
    assert code != 0
    assert stages_run(output) == {"check"}
    assert "Traceback" not in output
    assert [found for found in output.splitlines() if found.startswith("error: ")] == [f"error: params.yaml: {line}"]
    assert contents(project) == {path: content for path, content in before.items() if not path.startswith(CHECKED)}
    (project / "params.yaml").write_text(right, encoding="utf-8")
    assert stages_run(run(project, "dvc repro")) == set()


def test_a_project_without_students_has_a_report_of_its_teachers(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", make_origin(tmp_path / "origin"))
    path = project / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").partition("\nstudents:")[0] + "\nstudents: {}\n", encoding="utf-8")
    run(project, "dvc repro")
    assert "No student has learnt from tiny yet." in (project / "data/report/index.html").read_text(encoding="utf-8")
    assert stages_run(run(project, "dvc repro")) == set()


def test_data_and_targets_made_again_have_the_same_bytes(project: Path) -> None:
    before = locked(project)
    for folder in ("prepared", "targets", ".scratch"):
        shutil.rmtree(project / "data" / folder)
    output = run(project, "dvc repro --force --single-item prepare@tiny targets@tiny")
    assert stages_run(output) == {"prepare@tiny", "targets@tiny"}
    after = locked(project)
    assert after["prepare@tiny"]["data/prepared/tiny"] == before["prepare@tiny"]["data/prepared/tiny"]
    assert after["targets@tiny"]["data/targets/tiny"] == before["targets@tiny"]["data/targets/tiny"]


def test_a_student_is_trained_where_no_teacher_is(project: Path) -> None:
    shutil.rmtree(project / "data/teachers")
    before = locked(project)["student@hinton"]
    output = run(project, "dvc repro --force --single-item student@hinton")
    assert stages_run(output) == {"student@hinton"}
    assert locked(project)["student@hinton"]["data/students/hinton"] == before["data/students/hinton"]


def test_a_stage_ends_with_a_killed_dvc_and_the_next_repro_goes_on(project: Path) -> None:
    lock = project / "data/.scratch/locks/data-teachers-tiny.lock"
    lock.unlink()
    dvc = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", "teacher@tiny"],
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for("the teacher's training", lambda: lock.exists() and lock.read_text(encoding="utf-8"))
        stage = psutil.Process(int(lock.read_text(encoding="utf-8")))
        assert "stages.teacher" in stage.cmdline()
        assert stage.pid in {child.pid for child in psutil.Process(dvc.pid).children(recursive=True)}
    finally:
        dvc.kill()
        dvc.wait()
    wait_for("the stage's end", lambda: not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE, seconds=5)
    assert not (project / "data/teachers/tiny").exists()
    assert stages_run(run(project, "dvc repro teacher@tiny")) <= {"teacher@tiny"}
    assert (project / "data/teachers/tiny/model.safetensors").exists()
    assert "up to date" in run(project, "dvc repro")
