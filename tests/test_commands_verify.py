"""`python -m distill verify`: checks, compares, repairs, and never writes in place."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from transformers import AutoModelForSequenceClassification

from distill import console
from distill.commands import verify as command
from distill.files import SCRATCH, sole_writer
from distill.prepared import Dataset
from distill.targets.base import remember
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.teacher import open_teacher
from distill.targets.writer import Materializer
from tests import tiny
from tests.commands import contents
from tests.damage import flip

PARAMS = """\
targets:
  tiny: {teacher: tiny, dataset: tiny, hidden: [0, 2], attention: [1], cls: [-1]}
"""


class Project:
    """A folder with a teacher, a data set and a target set of params.yaml."""

    def __init__(self, folder: Path, prepared: Path, teacher: Path) -> None:
        shutil.copytree(prepared, folder / "data/prepared/tiny")
        shutil.copytree(teacher, folder / "data/teachers/tiny")
        self.set = Path("data/targets/tiny")
        dataset = Dataset.open(folder / "data/prepared/tiny")
        made = Materializer(
            open_teacher(teacher, dataset), dataset, Job(hidden=(0, 2), attention=(1,), cls=(-1,)), folder / "pool"
        )
        made.run()
        self.set.mkdir(parents=True)
        made.assemble(self.set)
        remember(self.set, SCRATCH / "targets" / "tiny")
        shutil.rmtree(folder / "pool")


@pytest.fixture
def project(in_project, prepared, teacher, monkeypatch) -> Project:
    monkeypatch.setattr(console, "quiet_libraries", lambda: None)
    return Project(in_project(PARAMS), prepared, teacher)


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, list(arguments))


def test_the_command_says_a_line_a_set(project):
    for arguments in ((), ("tiny",), ("data/targets/tiny",), (str(project.set.absolute()),)):
        done = verify(*arguments)
        assert done.exit_code == 0, done.output
        assert len(done.stdout.splitlines()) == 1
        assert "files" in done.stdout
    assert verify("data/targets/tiny/logits").exit_code == 0


def test_the_command_lists_what_is_wrong_with_what_to_do(project):
    flip(project.set / "logits/train/part-00000.arrow")
    (project.set / "hidden-02/notes.txt").write_text("x")
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
    original = contents(project.set)
    flip(project.set / "logits/train/part-00000.arrow")
    (project.set / "hidden-02/train/part-00000.arrow").unlink()
    flip(project.set / "cls-04/manifest.json")
    done = verify("--repair")
    assert done.exit_code == 0, done.output
    assert contents(project.set) == original


def test_a_set_that_is_read_while_it_is_repaired_stays_readable(project):
    reader = TargetStore.open(project.set).output("hidden-02", "train")
    before = reader.gather(np.arange(len(reader)))
    flip(project.set / "logits/train/part-00000.arrow")
    assert verify("--repair").exit_code == 0
    torch.testing.assert_close(reader.gather(np.arange(len(reader))), before, rtol=0, atol=0)


def test_links_into_a_cache_are_replaced_and_not_written_through(project, tmp_path):
    original = contents(project.set)
    cache = Path(shutil.copytree(project.set, tmp_path / "cache"))
    for path in [path for path in project.set.rglob("*") if path.is_file()]:
        path.unlink()
        path.symlink_to(cache / path.relative_to(project.set))
    flip(cache / "logits/train/part-00000.arrow")
    flip(cache / "hidden-02/manifest.json")
    before = contents(cache)
    assert verify("--repair").exit_code == 0
    assert contents(cache) == before
    assert contents(project.set) == original


def test_two_repairs_at_a_time_are_refused(project):
    flip(project.set / "logits/train/part-00000.arrow")
    before = contents(project.set)
    with sole_writer(SCRATCH / "targets" / "tiny"):
        done = verify("--repair")
    assert done.exit_code == 1
    assert f"process {os.getpid()} is writing it; wait for it, or stop it" in done.stderr
    assert contents(project.set) == before


def test_a_read_only_folder_can_be_checked_but_not_repaired(project, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "data/targets")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    assert verify().exit_code == 0
    target = project.set / "logits/train/part-00000.arrow"
    target.write_bytes(target.read_bytes()[:-1])
    before = contents(project.set)
    done = verify("--repair")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "error: data/targets: the folder is read-only; make it writable, or run elsewhere"
    assert contents(project.set) == before


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
    shutil.copytree(project.set, tmp_path / "elsewhere" / "tiny")
    assert "no such target set or folder" in verify("typo").stderr
    done = verify(str(tmp_path / "elsewhere/tiny"), "--live", "1")
    assert "the teacher of this folder is not known" in done.stderr
    shutil.rmtree(project.set)
    assert "no target sets; run `dvc repro`" in verify().stderr
