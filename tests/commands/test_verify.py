"""`python -m distill verify`: checks, compares, repairs, and never writes in place."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from transformers import AutoModelForSequenceClassification

from distill.commands import verify as command
from distill.core.files import SCRATCH, exclusive_lock
from distill.data.dataset import Dataset
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import open_teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.previous import remember
from tests import tiny
from tests.command_line import contents
from tests.damage import flip
from tests.stores import no_folds
from tests.target_specs import target_spec

SET = Path("data/targets/tiny")
PARAMS = """\
targets:
  tiny: {teacher: tiny, dataset: tiny, hidden: [0, 2], attention: [1], cls: [-1]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prepared: Path, teacher: Path) -> Path:
    """The data of a project with a teacher, a data set and a target set of params.yaml: read only."""
    folder = tmp_path_factory.mktemp("verify")
    shutil.copytree(prepared, folder / "data/prepared/tiny")
    shutil.copytree(teacher, folder / "data/teachers/tiny")
    no_folds(folder)
    dataset = Dataset.open(folder / "data/prepared/tiny")
    job = target_spec(hidden=(0, 2), attention=(1,), cls=(-1,))
    made = Materializer(open_teacher(teacher, dataset), dataset, job, folder / "pool")
    made.run()
    (folder / SET).mkdir(parents=True)
    made.assemble(folder / SET)
    remember(folder / SET, folder / SCRATCH / "targets" / "tiny")
    return folder / "data"


@pytest.fixture
def project(in_project: Callable[[str], Path], made: Path) -> Path:
    """A copy of it, the working folder."""
    return Path(shutil.copytree(made, in_project(PARAMS) / "data")).parent


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, list(arguments))


def test_the_command_says_a_line_a_set(project):
    for arguments in ((), ("tiny",), ("data/targets/tiny",), (str(SET.absolute()),)):
        done = verify(*arguments)
        assert done.exit_code == 0, done.output
        assert len(done.stdout.splitlines()) == 1
        assert "files" in done.stdout
    assert verify("data/targets/tiny/logits").exit_code == 0


def test_the_command_lists_what_is_wrong_with_what_to_do(project):
    flip(SET / "logits/train/part-00000.arrow")
    (SET / "hidden-02/notes.txt").write_text("x")
    done = verify()
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in lines] == [
        "data/targets/tiny/hidden-02/notes.txt",
        "data/targets/tiny/logits/train/part-00000.arrow",
        "data/targets/tiny",
    ]
    assert lines[-1].endswith("2 problems; run `python -m distill verify tiny --repair`, or `dvc pull --force targets@tiny`")


def test_the_command_repairs_and_checks_again(project):
    original = contents(SET)
    flip(SET / "logits/train/part-00000.arrow")
    (SET / "hidden-02/train/part-00000.arrow").unlink()
    flip(SET / "cls-04/manifest.json")
    done = verify("--repair")
    assert done.exit_code == 0, done.output
    assert contents(SET) == original


def test_outputs_that_a_set_is_without_are_named_and_repaired(project):
    before = contents(SET)
    shutil.rmtree(SET / "cls-04")
    done = verify("tiny")
    assert done.exit_code == 0  # a clone may have fetched a part
    told = "manifests say; without cls-04, which params.yaml asks for: `dvc pull targets@tiny`, or --repair"
    assert told in done.stdout
    done = verify("tiny", "--repair")
    assert done.exit_code == 0, done.output
    assert "data/targets/tiny/cls-04: is not here" in done.stderr
    assert "without" not in done.stdout
    assert set(contents(SET)) == set(before)


def test_a_set_that_is_read_while_it_is_repaired_stays_readable(project):
    reader = TargetStore.open(SET).output("hidden-02", "train")
    before = reader.gather(np.arange(len(reader)))
    flip(SET / "logits/train/part-00000.arrow")
    assert verify("--repair").exit_code == 0
    torch.testing.assert_close(reader.gather(np.arange(len(reader))), before, rtol=0, atol=0)


def test_links_into_a_cache_are_replaced_and_not_written_through(project, tmp_path):
    original = contents(SET)
    cache = Path(shutil.copytree(SET, tmp_path / "cache"))
    for path in [path for path in SET.rglob("*") if path.is_file()]:
        path.unlink()
        path.symlink_to(cache / path.relative_to(SET))
    flip(cache / "logits/train/part-00000.arrow")
    flip(cache / "hidden-02/manifest.json")
    before = contents(cache)
    assert verify("--repair").exit_code == 0
    assert contents(cache) == before
    assert contents(SET) == original


def test_two_repairs_at_a_time_are_refused(project):
    flip(SET / "logits/train/part-00000.arrow")
    before = contents(SET)
    with exclusive_lock(SCRATCH / "targets" / "tiny"):
        done = verify("--repair")
    assert done.exit_code == 1
    assert f"process {os.getpid()} is writing it; wait for it, or stop it" in done.stderr
    assert contents(SET) == before


def test_a_read_only_folder_can_be_checked_but_not_repaired(project, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "data/targets")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    assert verify().exit_code == 0
    target = SET / "logits/train/part-00000.arrow"
    target.write_bytes(target.read_bytes()[:-1])
    before = contents(SET)
    done = verify("--repair")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "error: data/targets: the folder is read-only; make it writable, or run elsewhere"
    assert contents(SET) == before


def test_the_command_compares_with_the_live_teacher(project, tokenizer):
    done = verify("--live", "10")
    assert done.exit_code == 0, done.output
    assert len([line for line in done.stdout.splitlines() if "of the bound off the live teacher" in line]) == 6
    other = tiny.bert(layers=4, seed=1)
    other.load_state_dict(AutoModelForSequenceClassification.from_pretrained("data/teachers/tiny").state_dict())
    with torch.no_grad():
        other.classifier.bias.add_(0.1)
    tiny.save(other, Path("data/teachers/tiny"), tokenizer)
    done = verify("--live", "10")
    assert done.exit_code == 1
    assert "logits: 10 rows, at most" in done.stderr
    assert "the farthest is example" in done.stderr


def test_what_the_command_cannot_know_is_said(project, tmp_path):
    shutil.copytree(SET, tmp_path / "elsewhere" / "tiny")
    assert "typo: no such target set or folder, and no entry of params.yaml" in verify("typo").stderr
    with Path("params.yaml").open("a", encoding="utf-8") as file:
        file.write("given: {api: {table: answers.csv, dataset: tiny, columns: {label: label}}}\n")
    shutil.copytree(SET, SET.with_name("api"))
    assert "data/targets/api: --live: not compared: it was given" in verify("api", "--live", "1").stdout
    shutil.rmtree(SET.with_name("api"))
    done = verify(str(tmp_path / "elsewhere/tiny"), "--live", "1")
    assert "the teacher of this folder is not known" in done.stderr
    shutil.rmtree(SET)
    assert "no target sets; run `dvc repro`" in verify().stderr
