"""`sweep`: a grid of students, each an experiment of DVC's; the same scores as one after the other; teacher and targets stay."""

import json
import re
from pathlib import Path

import pytest

from distill.commands import sweep
from distill.commands.sweep import divided, grid
from distill.core.errors import UserError
from distill.pipeline.trials import Trial, error_in, reference
from tests.command_line import invoke, refusal
from tests.projects import (
    attempt,
    commit,
    copy,
    edit_params,
    ended,
    environment,
    reproduced,
    run,
    run_stages,
    stages_run,
    wait_for,
)

OVERRIDES = ("students.hinton.temperature=2,8",)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose pipeline has run: the working folder."""
    project = copy(reproduced(tmp_path_factory.getbasetemp()), tmp_path / "project")
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project)
    return project


def test_a_grid_is_that_of_dvc_and_names_say_what_is_changed():
    found = [Trial(overrides) for overrides in grid(("students.a.learning_rate=1e-4,2e-4", "+students.b.init.depth=2,-1"))]
    assert [trial.overrides for trial in found[:2]] == [
        ("students.a.learning_rate=0.0001", "+students.b.init.depth=2"),
        ("students.a.learning_rate=0.0001", "+students.b.init.depth=-1"),
    ]
    assert [trial.name for trial in found] == [
        "a-learning_rate-0.0001-b-init-depth-2",
        "a-learning_rate-0.0001-b-init-depth--1",
        "a-learning_rate-0.0002-b-init-depth-2",
        "a-learning_rate-0.0002-b-init-depth--1",
    ]
    assert {name for trial in found for name in trial.students} == {"a", "b"}
    assert Trial(("students.a.init={from:data/x,depth:3}",)).name == "a-init-from-data-x-depth-3"


def test_layers_that_the_teacher_has_not_are_refused_before_anything_runs(project: Path) -> None:
    with pytest.raises(UserError, match=r"hinton-init-depth-99: students\.hinton\.init\.depth: got 99, .* has 3 layers"):
        sweep.check_params([Trial(("students.hinton.init.depth=99",))])


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("teachers.tiny.epochs=1,2", "expected students.NAME.KEY=VALUE,…; params of others, which rerun teachers,"),
        ("students.hinton=1", "expected students.NAME.KEY=VALUE"),
        ("students.hinton.temperature=2,2", "two trials are hinton-temperature-2; name each value once"),
        ("students.hinton.temperature=[1", "-S: "),
    ],
)
def test_what_is_no_grid_of_students_is_refused(override, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        grid((override,))


@pytest.mark.parametrize(
    ("cluster", "trials", "jobs", "threads", "expected"),
    [
        ({"CPU": 8.0}, 20, None, None, (8, {"CPU": 1})),
        ({"CPU": 8.0}, 3, None, None, (3, {"CPU": 2})),
        ({"CPU": 8.0}, 20, 4, None, (4, {"CPU": 2})),
        ({"CPU": 8.0}, 20, None, 4, (2, {"CPU": 4})),
        ({"CPU": 8.0}, 20, 4, 4, (2, {"CPU": 4})),
        ({"CPU": 2.0}, 20, 9, None, (2, {"CPU": 1})),
        ({"CPU": 16.0, "GPU": 2.0}, 20, None, None, (2, {"CPU": 8, "GPU": 1.0})),
        ({"CPU": 16.0, "GPU": 2.0}, 20, 8, None, (8, {"CPU": 2, "GPU": 0.25})),
    ],
)
def test_cores_and_gpus_are_divided_among_trials(cluster, trials, jobs, threads, expected):
    assert divided(cluster, trials, jobs, threads) == expected


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("reading\nerror: a: b\nERROR: failed to reproduce 'check'", "a: b"),
        ("ERROR: failed to load", "failed to load"),
        ("", "failed"),
    ],
)
def test_the_first_error_of_what_was_printed_is_told(printed, error):
    assert error_in(printed) == error


def test_more_threads_than_there_are_are_refused():
    with pytest.raises(UserError, match="--threads 3: the cluster has 2 CPUs"):
        divided({"CPU": 2.0}, 4, None, 3)


@pytest.mark.slow
def test_trials_are_refused_before_anything_runs_and_each_advice_leads_on(project, monkeypatch):
    def refused(*overrides: str) -> str:
        options = [word for override in overrides for word in ("-S", override)]
        return refusal(invoke(sweep.main, *options))

    assert refused("students.hintn.temperature=2") == "hintn: no such student in params.yaml; did you mean 'hinton'?"
    wrong = refused("students.hinton.temperature=2,-3")
    assert wrong.startswith("hinton-temperature--3: students.hinton.temperature: ")
    absent = refused("students.hinton.alpha=0.5")
    assert absent.startswith("-S students.hinton.alpha: Could not override 'students.hinton.alpha'")
    assert "(a key that params.yaml does not have yet: -S '+students.NAME.KEY=VALUE')" in absent
    assert run(project, "git status --short") == ""

    edit_params(project, students={"third": {**RANDOM, "temperature": 2}})
    edited = refused(*OVERRIDES)
    assert edited.startswith("dvc.lock, params.yaml: edited; trials begin with the last commit: ")
    run(project, re.findall("`(.+?)`", edited)[0] + " --quiet -m x")
    missing = refused("students.third.temperature=3")
    assert missing.startswith("init@third: has not been computed for what is committed, and every trial would compute it")
    run(project, re.findall("`(.+?)`", missing)[0])
    commit(project, "computed")
    ran = []
    monkeypatch.setattr(sweep, "run_trials", lambda *arguments: ran.append(arguments[2]) or {"hinton-temperature-2": "tired"})
    monkeypatch.setattr(sweep, "table", lambda *_: [])
    assert "hinton-temperature-2: tired" in invoke(sweep.main, "-S", "students.hinton.temperature=2").stderr
    assert [trial.name for trial in ran.pop()] == ["hinton-temperature-2"]
    head = run(project, "git rev-parse HEAD").strip()
    run(project, f"git update-ref {reference(head, 'hinton-temperature-2')} HEAD")
    assert invoke(sweep.main, "-S", "students.hinton.temperature=2").returncode == 0
    assert ran == []  # it has been trained


RANDOM = {
    "recipe": "hinton",
    "dataset": "tiny",
    "targets": "tiny/logits",
    "init": {"from": "data/prepared/tiny", "architecture": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}},
}


@pytest.mark.slow
def test_trials_are_experiments_with_the_scores_of_one_after_the_other_and_train_students_alone(project, tmp_path):
    before = run(project, "git status --short; git rev-parse HEAD")
    changes = "-S students.hinton.temperature=2 -S +students.hinton.learning_rate=0.02"
    code, output = attempt(project, f"python -m distill sweep {changes},1e30 --jobs 2")
    assert code == 1
    good, bad = (f"hinton-temperature-2-hinton-learning_rate-{rate}" for rate in ("0.02", "1e+30"))
    assert "sweep: 2 trials, " in output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert re.fullmatch(rf"error: {re.escape(bad)}: .*diverged.*log\.txt\)", line)
    log = (project / "data/.scratch/sweep" / bad / "log.txt").read_text(encoding="utf-8")
    assert stages_run(log) == {"student@hinton"}
    assert run(project, "git status --short; git rev-parse HEAD") == before
    assert scores_of(project, good) == scores_alone(project, tmp_path / "alone")

    run(project, f"dvc exp run --queue --name queued {changes} evaluate@hinton")
    run(project, "OMP_NUM_THREADS=1 dvc queue start --jobs 1")
    wait_for("the queue", lambda: [*(project / ".git/refs/exps").glob("*/*/queued")] != [], seconds=1200)
    worker = int((project / ".dvc/tmp/exps/celery/dvc-exp-worker-1.pid").read_text(encoding="utf-8"))
    run(project, "dvc queue stop")
    wait_for("its worker's end", lambda: ended(worker))
    assert scores_of(project, "queued") == scores_of(project, good)
    shown = json.loads(run(project, "dvc exp show --json"))
    assert {each["name"] for each in shown[1]["experiments"]} == {good, "queued"}


def scores_of(project: Path, experiment: str) -> dict[str, object]:
    """What `dvc exp show` tells of an experiment."""
    (reference,) = run(project, f"git for-each-ref --format='%(refname)' 'refs/exps/*/*/{experiment}'").split()
    return json.loads(run(project, f"git show {reference}:data/metrics/students/hinton.json"))


def scores_alone(project: Path, folder: Path) -> dict[str, object]:
    """Of the same student, trained in a working folder."""
    copy(project, folder)
    edit_params(folder, students={"hinton": {"temperature": 2, "learning_rate": 0.02}})
    run_stages(folder, "check", "student@hinton", "evaluate@hinton")
    return json.loads((folder / "data/metrics/students/hinton.json").read_text(encoding="utf-8"))
