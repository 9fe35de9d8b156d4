"""`python -m stages.ensemble NAME`: a target set that is the mean of two, and means of means."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from distill.commands.verify import settings_of
from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.pipeline.target_folders import section_of
from distill.store.target_set import TargetStore
from stages.ensemble import main
from tests import tiny
from tests.command_line import contents
from tests.stores import materialize
from tests.target_specs import target_spec

PARAMS = """
defaults: {ensembles: {dataset: tiny}}
ensembles:
  pair: {first: one, second: two}
  mean: {first: pair, second: three, weight: 0.75}
  foreign: {first: one, second: elsewhere}
  lonely: {first: one, second: nowhere}
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of three teachers' target sets of one data set, and of one of another: read only."""
    folder = tmp_path_factory.mktemp("sets") / "data"
    for name, seeds in (("tiny", (1, 2, 3)), ("other", (4,))):
        dataset = Dataset.open(tiny.prepare(folder / "prepared" / name, tiny.tokenizer(), sizes=(10 + len(name), 6, 6)))
        for seed in seeds:
            out = folder / "targets" / ("one", "two", "three", "elsewhere")[seed - 1]
            materialize(tiny.bert(seed=seed), dataset, out, target_spec(hidden=(1,)), folder / ".scratch" / out.name)
    return folder


@pytest.fixture
def project(in_project: Callable[[str], Path], sets: Path) -> Path:
    """A project with a copy of them."""
    folder = in_project(PARAMS)
    shutil.copytree(sets, folder / "data")
    return folder


def logits(folder: Path, name: str, split: str) -> torch.Tensor:
    """A set's logits, in the order of the data set's rows."""
    output = TargetStore.open(folder / "data/targets" / name).output("logits", split)
    return output.gather(output.locate(Dataset.open(folder / "data/prepared/tiny").rows(split).ids))


def test_an_ensemble_is_a_target_set_of_weighted_logits_and_can_be_averaged_again(project: Path):
    for name in ("pair", "mean"):
        done = CliRunner().invoke(main, [name])
        assert done.exit_code == 0, done.output
    for split in ("train", "validation", "test"):
        one, two, three, mean = (logits(project, name, split) for name in ("one", "two", "three", "mean"))
        torch.testing.assert_close(mean, 0.375 * one + 0.375 * two + 0.25 * three)
    assert {file.parts[0] for file in map(Path, contents(project / "data/targets/mean"))} == {"logits"}
    store = TargetStore.open(project / "data/targets/pair/logits")
    store.require(Dataset.open(project / "data/prepared/tiny"), ("train", "validation", "test"))


def test_verify_checks_its_bytes_and_knows_that_no_teacher_made_it(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    assert section_of(Path("data/targets/mean")) == "ensembles"
    with pytest.raises(
        UserError, match=r"mean: is an ensemble, which no teacher made; .* `dvc repro --force --single-item ensemble@mean`"
    ):
        settings_of(Path("data/targets/mean"))


@pytest.mark.parametrize(("name", "complaint"), [("foreign", "the rows of train are"), ("lonely", "data/targets/nowhere")])
def test_sets_that_have_no_mean_are_one_line_and_leave_nothing(project: Path, name: str, complaint: str):
    before = contents(project)
    done = CliRunner().invoke(main, [name])
    assert done.exit_code == 1
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ") and complaint in line]) == 1
    assert contents(project) == before
