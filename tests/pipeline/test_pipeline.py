"""The real pipeline under real `dvc`: what it writes, what reruns, and what a failure or a kill leaves behind."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.projects import (
    PARAMS,
    STUDENTS,
    attempt,
    copy,
    edit_params,
    ended,
    environment,
    make_origin,
    make_project,
    outdated,
    reproduced,
    run,
    run_stages,
    stages_run,
    stand_in,
    tried,
    wait_for,
)

pytestmark = pytest.mark.slow
PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz")
MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""How pickles, and the archives that torch and numpy put them in, begin."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run: other processes copy it meanwhile, so that no command may run in it."""
    return reproduced(tmp_path_factory.getbasetemp())


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return copy(done, tmp_path / "project")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of which DVC holds that its pipeline has run: read only."""
    return stand_in(tmp_path_factory.mktemp("stand_ins") / "project")


def contents(folder: Path) -> dict[str, str]:
    """Every finished output file and the hash of its bytes."""
    files = [file for file in (folder / "data").rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_pipeline_that_has_run_has_every_output_and_a_repro_does_nothing(done: Path, project: Path) -> None:
    output = run(project, "dvc repro")
    assert stages_run(output) == set()
    for kind, names in {"teachers": ("tiny",), "students": STUDENTS}.items():
        for name in names:
            assert (done / "data" / kind / name / "model.safetensors").exists()
            assert (done / "data" / "metrics" / kind / f"{name}.json").exists()
            assert name in json.loads((done / "data/metrics/benchmark.json").read_text(encoding="utf-8"))[kind]
    assert (done / "data/audits/tiny.parquet").exists()
    assert {path.name for path in (done / "data/report").iterdir()} == {"index.html", "results.md"}


def test_git_sees_the_code_the_lock_and_the_metrics_only(project: Path) -> None:
    tracked = run(project, "git ls-files data dvc.lock").split()
    students = [f"data/metrics/students/{name}.json" for name in sorted(STUDENTS)]
    assert tracked == ["data/metrics/benchmark.json", *students, "data/metrics/teachers/tiny.json", "dvc.lock"]
    assert run(project, "git status --short") == ""


def test_the_card_of_an_export_names_the_commit_that_it_was_made_from(project: Path) -> None:
    card = (project / "data/exports/students/hinton/README.md").read_text(encoding="utf-8")
    (command,) = [line for line in card.splitlines() if line.startswith("git checkout")]
    found = run(project, command.removeprefix("git checkout $(").removesuffix(")")).strip()
    assert found == run(project, "git log -1 --format=%H").strip()


def test_no_output_is_a_pickle(done: Path) -> None:
    files = [file for file in (done / "data").rglob("*") if file.is_file() and ".scratch" not in file.parts]
    assert len(files) > 40
    assert [file for file in files if file.suffix in PICKLED or "training_args" in file.name] == []
    cached = [file for file in (done / ".dvc/cache/files").rglob("*") if file.is_file()]
    assert [file for file in [*files, *cached] if file.read_bytes().startswith(MAGIC)] == []


def test_an_experiment_reruns_the_student_that_it_changes_and_nothing_else(
    done: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = tried(tmp_path_factory.getbasetemp())
    output = (project.parent / "output.txt").read_text(encoding="utf-8")
    assert stages_run(output) == {"student@hinton", "evaluate@hinton", "export@hinton", "benchmark", "report"}
    before = contents(done)
    changed = {path for path, found in contents(project).items() if found != before.get(path)}
    assert changed >= {"data/students/hinton/model.safetensors"}
    everyones = ("data/report/", "data/metrics/benchmark.json", "data/jobs/report.json")
    assert all("hinton" in path or path.startswith(everyones) for path in changed)


def test_an_edit_of_a_default_reruns_what_inherits_it_and_a_comment_nothing(stand_ins: Path, tmp_path: Path) -> None:
    project = copy(stand_ins, tmp_path / "project")
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(f"# a comment\n{text}", encoding="utf-8")
    assert outdated(project) == set()
    students = "  students: {epochs: 1, batch_size: 4"
    assert students in text
    params.write_text(text.replace(students, students.replace("4", "5")), encoding="utf-8")
    assert outdated(project) == set()
    run_stages(project, "check")
    stages = {stage for stage in outdated(project) if stage.partition("@")[0] in ("student", "teacher", "targets")}
    assert stages == {"student@hinton"}  # not `distilbert`, which has a batch_size of its own


def test_another_hidden_layer_reruns_no_student_that_reads_logits_alone(stand_ins: Path, tmp_path: Path) -> None:
    project = copy(stand_ins, tmp_path / "project")
    edit_params(project, targets={"tiny": {"hidden": [1, -1]}})
    run_stages(project, "check")
    assert outdated(project) == {"targets@tiny"}
    (project / "data/targets/tiny/hidden-01").mkdir()
    (project / "data/targets/tiny/hidden-01/stand-in").touch()
    stages = {stage for stage in outdated(project) if stage.startswith(("student@", "init@", "teacher@", "audit@"))}
    assert stages == {"student@distilbert"}


def test_a_typo_in_params_yaml_stops_the_repro_at_once_with_one_line_and_loses_nothing(stand_ins: Path, tmp_path: Path) -> None:
    project = copy(stand_ins, tmp_path / "project")
    before = contents(project)
    right = (project / "params.yaml").read_text(encoding="utf-8")
    edit_params(project, students={"hinton": {"temprature": 8}})
    code, output = attempt(project, "dvc repro")
    assert code != 0
    assert stages_run(output) == set()
    assert "Traceback" not in output
    assert [found for found in output.splitlines() if found.startswith("error: ")] == [
        "error: params.yaml: students.hinton.temprature: unknown key; did you mean 'temperature'?"
    ]
    assert contents(project) == before
    (project / "params.yaml").write_text(right, encoding="utf-8")
    assert stages_run(run(project, "dvc repro")) == set()
    assert contents(project) == before


def test_data_and_targets_made_again_and_a_student_without_a_teacher_have_the_same_bytes(project: Path) -> None:
    before = contents(project)
    for folder in ("prepared", "targets", ".scratch"):
        shutil.rmtree(project / "data" / folder)
    run_stages(project, "prepare@tiny", "targets@tiny")
    shutil.rmtree(project / "data/teachers")
    run_stages(project, "student@hinton")
    made = ("data/prepared/", "data/targets/", "data/students/")
    assert {path: found for path, found in contents(project).items() if path.startswith(made)} == {
        path: found for path, found in before.items() if path.startswith(made)
    }


def test_a_stage_ends_with_a_killed_dvc_and_the_next_repro_goes_on_and_the_one_after_it_does_nothing(tmp_path: Path) -> None:
    params = PARAMS.partition("\nstudents:")[0]
    project = make_project(tmp_path / "project", make_origin(tmp_path / "origin"), params)
    lock, stage = project / "data/.scratch/locks/data-teachers-tiny.lock", project / "stages/teacher.py"
    own = stage.read_text(encoding="utf-8")
    assert own.count(" save_model(") == 1
    stage.write_text(own.replace(" save_model(", " __import__('time').sleep(400), save_model("), encoding="utf-8")
    dvc = subprocess.Popen(
        ["dvc", "repro"], cwd=project, env=environment(project), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for("the teacher's training", lambda: lock.exists() and lock.read_text(encoding="utf-8"))
        teacher = psutil.Process(int(lock.read_text(encoding="utf-8")))
        assert "stages.teacher" in teacher.cmdline()
        assert teacher.pid in {child.pid for child in psutil.Process(dvc.pid).children(recursive=True)}
    finally:
        dvc.kill()
        dvc.wait()
    wait_for("the stage's end", lambda: ended(teacher.pid))
    stage.write_text(own, encoding="utf-8")
    assert not (project / "data/teachers/tiny").exists()
    assert stages_run(run(project, "dvc repro teacher")) == {"teacher@tiny"}
    assert (project / "data/teachers/tiny/model.safetensors").exists()
    assert stages_run(run(project, "dvc repro teacher")) == set()
