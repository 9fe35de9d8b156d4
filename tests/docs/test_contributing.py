"""The recipe that CONTRIBUTING.md adds is added to a project as it says there, and trained."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from distill.params.students import Shapes
from distill.recipes.terms import Step, terms_of
from distill.store.output_names import LOGITS
from distill.tasks.registry import task_of
from tests.closures import ROOT
from tests.projects import copy, edit_params, reproduced, run, stages_run

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def after(words: str, language: str) -> str:
    """The first block of a language after some words."""
    found = re.search(rf"```{language}\n(.*?)```", TEXT[TEXT.index(words) :], re.DOTALL)
    assert found
    return found[1]


def add_recipe(project: Path) -> None:
    """One file, and one line with its import."""
    (project / "distill/recipes/mse.py").write_text(after("`distill/recipes/mse.py`:", "python"), encoding="utf-8")
    registry = project / "distill/recipes/registry.py"
    line = after("`distill/recipes/registry.py` names it", "python")
    assert line.count("\n") == 1
    text = registry.read_text(encoding="utf-8").replace("\n}\n", f"\n{line}}}\n", 1)
    registry.write_text(
        text.replace("\nfrom distill.", "\nfrom distill.recipes.mse import Mse\nfrom distill.", 1), encoding="utf-8"
    )


def entry() -> dict[str, Any]:
    """The student that it shows."""
    students = YAML(typ="safe").load(after("trains from the store", "yaml"))["students"]
    assert list(students) == ["regressed"]
    return students["regressed"]


@pytest.mark.slow
def test_a_new_recipe_is_one_file_and_one_line(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = copy(reproduced(tmp_path_factory.getbasetemp()), tmp_path / "project")
    add_recipe(project)
    shown = json.loads(json.dumps(entry()).replace("bbc", "tiny"))
    edit_params(project, students={"regressed": {**shown, "epochs": 3}})
    output = run(project, "dvc repro evaluate@regressed")
    assert stages_run(output) == {"check", "init@regressed", "student@regressed", "evaluate@regressed"}
    assert stages_run(run(project, "dvc repro --dry student")) == set()
    (record,) = json.loads((project / "data/runs/students/regressed.json").read_text(encoding="utf-8"))
    losses = [point["loss"] for point in record["history"] if "loss" in point]
    assert losses[-1] < losses[0]
    assert {"logits", "hard_labels"} <= record["history"][0].keys()


def test_its_loss_is_blind_to_padding(tmp_path: Path) -> None:
    (tmp_path / "mse.py").write_text(after("`distill/recipes/mse.py`:", "python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mse", tmp_path / "mse.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = module.Mse.model_validate({"dataset": "d", **entry()})
    task, (own, theirs) = task_of("question-answering"), torch.randn(2, 5, 2)
    losses = []
    for length in (3, 9):
        mask = (torch.arange(length) < torch.tensor([[3], [2]])).long()
        labels = torch.zeros(4, dtype=torch.long)
        step = Step(task=task, logits=task.comparable(own, mask), labels=labels, targets={LOGITS: theirs}, mask=mask)
        losses.append(terms_of(settings, Shapes(1, 8, 1, 8))[0].loss(step))
    windows = (own - theirs).square().split([3, 2])
    torch.testing.assert_close(losses, [torch.stack([window.mean() for window in windows]).mean()] * 2)


def test_what_it_says_of_places_is_true() -> None:
    names = re.findall(r"`((?:distill|tests|stages)/[\w/]+(?:\.py)?)/?`", TEXT)
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists() and name != "distill/recipes/mse.py"] == []
