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


def without_sizes(params: str) -> str:
    """A params.yaml that `new` has written, but for what depends on the number of rows, their lengths and the checkpoint."""
    params = re.sub(r"checkpoint: {[^}]*}|tokenizer: {[^}]*}|, learning_rate: [\d.e-]+|, layers: \[[\d, ]+\]", "", params)
    return re.sub(r"[\d.,]*\d", "N", params)


def test_it_works_as_it_stands_there(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", origin := make_origin(tmp_path / "origin"))
    (project / "data").mkdir()
    with (project / "data/tickets.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*tiny.rows(150, 0), strict=True)])
    _, write, build, choose, ask = blocks(PAGE, "sh")
    run(project, f"set -e\n{write.rstrip()} --teacher {origin}/checkpoint")
    written = (project / "params.yaml").read_text(encoding="utf-8")
    assert without_sizes(written) == without_sizes(blocks(PAGE, "yaml")[0])
    check_it, reproduce = (line.partition("#")[0].strip() for line in build.splitlines())
    run(project, check_it)
    assert reproduce == "dvc repro"  # of which tests/pipeline/test_pipeline.py is
    made = {"fetch@tickets", "teacher@tickets", "targets@tickets-copies", "student@half", "export@half", "benchmark", "report"}
    assert made <= set(run_pipeline(project))
    assert run(project, f"set -e\n{choose}").rstrip().rpartition("\n")[2].startswith("ship ")
    answers = [json.loads(line) for line in run(project, f"set -e\n{ask}").splitlines() if line.startswith("{")]
    assert len(answers) == 1 + 150
    assert all(answer["label"] in tiny.LABELS for answer in answers)
    shipped, pipeline = (run(project, f"python - <<'END'\n{block}END") for block in blocks(PAGE, "python"))
    assert [label in tiny.LABELS for label in json.loads(shipped.replace("'", '"'))] == [True, True]
    assert len(re.findall(r"'label': '(?:cat|dog|fish)'", pipeline)) == 2


def test_the_smallest_project_is_short_and_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = blocks(PAGE, "yaml")[1]
    assert len(smallest.splitlines()) <= 15
    (tmp_path / "params.yaml").write_text(smallest, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(check, ["--jobs", "data/jobs"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert Path("data/jobs/entries/students/half.json").exists()


def test_its_first_block_is_what_its_test_does_not_run() -> None:
    assert blocks(PAGE, "sh")[0] == "make setup && source .venv/bin/activate\n"
    assert len(blocks(PAGE, "yaml")) == 2
