"""The recipe that CONTRIBUTING.md adds is added to a project as it says there, and trained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distill.core.validation import validate
from distill.recipes.logit_mse import LogitMse
from tests.closures import FLOORS, ROOT
from tests.projects import copy, edit_params, reproduced, run, stages_run

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


FILE = "`distill/recipes/logit_mse.py`:"


def after(words: str, language: str) -> str:
    """The first block of a language after some words."""
    found = re.search(rf"```{language}\n(.*?)```", TEXT[TEXT.index(words) :], re.DOTALL)
    assert found
    return found[1]


def add_recipe(project: Path) -> None:
    """One file, and one line with its import: under a name that no recipe has."""
    (project / "distill/recipes/mse.py").write_text(renamed(after(FILE, "python")), encoding="utf-8")
    registry = project / "distill/recipes/registry.py"
    line = after("`distill/recipes/registry.py` names it", "python")
    assert line.count("\n") == 1
    assert line in registry.read_text(encoding="utf-8")
    text = registry.read_text(encoding="utf-8").replace("\n}\n", f"\n{renamed(line)}}}\n", 1)
    registry.write_text(
        text.replace("\nfrom distill.", "\nfrom distill.recipes.mse import Mse\nfrom distill.", 1), encoding="utf-8"
    )


def renamed(text: str) -> str:
    """The recipe under another name."""
    return text.replace('"logit_mse"', '"mse"').replace("LogitMse", "Mse")


def entry() -> dict[str, Any]:
    """The student that it shows."""
    students = YAML(typ="safe").load(after("trains from the store", "yaml"))["students"]
    assert list(students) == ["regressed"]
    return {**students["regressed"], "recipe": "mse"}


@pytest.mark.slow
def test_a_new_recipe_is_one_file_and_one_line(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = copy(reproduced(tmp_path_factory.getbasetemp()), tmp_path / "project")
    add_recipe(project)
    shown = json.loads(json.dumps(entry()).replace("bbc", "tiny"))
    edit_params(project, students={"regressed": {**shown, "epochs": 3}})
    output = run(project, "dvc repro evaluate@regressed")
    assert stages_run(output) == {"init@regressed", "student@regressed", "evaluate@regressed"}
    assert stages_run(run(project, "dvc repro --dry student")) == set()
    (record,) = json.loads((project / "data/runs/students/regressed.json").read_text(encoding="utf-8"))
    losses = [point["loss"] for point in record["history"] if "loss" in point]
    assert losses[-1] < losses[0]
    assert {"logits", "hard_labels"} <= record["history"][0].keys()


def test_it_is_the_recipe_of_that_name() -> None:
    assert after(FILE, "python") == (ROOT / "distill/recipes/logit_mse.py").read_text(encoding="utf-8")
    assert validate(LogitMse, {**entry(), "recipe": "logit_mse"}, "students.regressed").hard_weight == 0.1


def test_what_it_says_of_places_is_true() -> None:
    names = re.findall(r"`((?:distill|tests|stages)/[\w/]+(?:\.py)?)/?`", TEXT)
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_every_package_has_a_row_that_says_its_job_and_the_file_to_begin_with() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([\w/.]+)` \|$", TEXT, re.MULTILINE)
    assert {package for package, _ in rows} == {package for floor in FLOORS for package in floor}
    assert [row for row in rows if not (ROOT / "distill" / Path(*row)).exists()] == []
