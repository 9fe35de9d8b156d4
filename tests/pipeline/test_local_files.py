"""`dvc repro` notices local files and checkpoints that have changed, and a clone that lacks them keeps what was recorded."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from distill.core.recorded import recorded_files
from distill.core.settings import Checkpoint
from distill.params.augmentations import AugmentationSettings
from distill.params.sources import Source
from distill.pipeline.local_files import KNOWN, Checksums, local_checksums
from tests.projects import PARAMS, attempt, commit, copy, make_origin, outdated, run, run_stages, stages_run, stand_in

READ_AGAIN = {"fetch@tiny"}
HOUR = 36e11
"""Nanoseconds: what has been changed within it is taken for settled, too."""
CHECKPOINT = {"prepare@tiny", "teacher@tiny", "folds@tiny"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its rows and its checkpoint inside, of which DVC holds that all is done: read only."""
    project = tmp_path_factory.mktemp("made") / "project"
    (make_origin(project / "origin") / ".gitignore").write_text("*", encoding="utf-8")
    stand_in(project, PARAMS.replace("ORIGIN", "origin"))
    commit(project, "the results")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return copy(made, tmp_path / "project")


def replace(file: Path, old: str, new: str) -> None:
    """Another content of the same size."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda origin: replace(origin / "rows/train.csv", "dog", "cat"), READ_AGAIN),
        (lambda origin: (origin / "rows/train.csv").rename(origin / "rows/validation-2.csv"), READ_AGAIN),
        (lambda origin: shutil.copy(origin / "rows/train.csv", origin / "rows/more.csv"), READ_AGAIN),
        (lambda origin: replace(origin / "checkpoint/config.json", 'dropout_prob": 0.1', 'dropout_prob": 0.2'), CHECKPOINT),
        (lambda origin: os.utime(origin / "rows/train.csv"), set()),
        (lambda origin: (origin / "rows/.note").write_text("mine", encoding="utf-8"), set()),
        (shutil.rmtree, set()),
    ],
    ids=["a value", "a name", "one more file", "a checkpoint", "its time alone", "a hidden file", "not here"],
)
def test_what_reads_a_changed_file_is_outdated(change, stages: set[str], project: Path) -> None:
    change(project / "origin")
    run_stages(project, "check")
    assert outdated(project) == stages


@pytest.mark.slow
def test_dvc_repro_fetches_a_changed_file_once(project: Path) -> None:
    assert stages_run(run(project, "dvc repro fetch@tiny")) == set()
    replace(project / "origin/rows/test.csv", "dog", "cat")
    assert stages_run(run(project, "dvc repro fetch@tiny")) == READ_AGAIN
    assert stages_run(run(project, "dvc repro fetch@tiny")) == set()


def test_dvcs_repository_is_opened_once_however_many_files_are_not_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.chdir(project)
    monkeypatch.setattr("distill.pipeline.local_files.recorded_files", lambda: opened.append(1) or recorded_files())
    checksums, nowhere, job = Checksums(), Source(path="nowhere"), Path("data/jobs/entries/sources/tiny.json")
    recorded = json.loads(job.read_text(encoding="utf-8"))["checksums"]
    job.unlink()
    assert local_checksums(nowhere, checksums, job) == recorded != {"path": None}
    assert local_checksums(nowhere, checksums, job.with_name("new.json")) == {"path": None}
    assert opened == [1]


@pytest.mark.slow
def test_a_clean_clone_without_the_files_keeps_their_checksums_or_says_what_to_do(project: Path, tmp_path: Path) -> None:
    run(project, f"dvc remote add --default team {tmp_path / 'remote'}")
    commit(project, "the remote")
    run(project, "dvc push data/jobs")
    run(tmp_path, "git clone --quiet project clone")
    lock = (tmp_path / "clone/dvc.lock").read_bytes()
    run(tmp_path / "clone", "dvc repro check")
    job = "data/jobs/entries/sources/tiny.json"
    assert (tmp_path / "clone" / job).read_bytes() == (project / job).read_bytes()
    assert (tmp_path / "clone/dvc.lock").read_bytes() == lock
    for published in ("cat", "fish"):  # what the teammate has of data/jobs is older than what is pulled
        replace(project / "origin/rows/test.csv", "dog" if published == "cat" else "cat", published)
        run(project, "dvc repro check && dvc push data/jobs")
        commit(project, published)
        run(tmp_path / "clone", "git pull --quiet && dvc repro check")
        assert (tmp_path / "clone" / job).read_bytes() == (project / job).read_bytes()
        assert run(tmp_path / "clone", "git status --short") == ""
    lock = (project / "dvc.lock").read_bytes()
    run(tmp_path, "git clone --quiet project other && mv remote away")
    code, output = attempt(tmp_path / "other", "dvc repro check")
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert code != 0
    assert line.startswith("error: data/jobs: DVC cannot fetch it (")
    assert ", and origin/" in line
    assert (tmp_path / "other/dvc.lock").read_bytes() == lock
    (advice,) = re.findall(r"`(.+?)`", line)
    run(tmp_path, "mv away remote")
    run(tmp_path / "other", advice)
    run(tmp_path / "other", "dvc repro check")
    assert (tmp_path / "other" / job).read_bytes() == (project / job).read_bytes()


def test_a_file_of_the_same_size_and_times_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("distill.pipeline.local_files.SETTLED", -HOUR)
    Path("rows").mkdir()
    for name in ("a.csv", "b.csv"):
        Path("rows", name).write_text(name, encoding="utf-8")
        os.utime(Path("rows", name), (10**9, 10**9))
    source = Source(path="rows")
    first = Checksums()
    found = local_checksums(source, first, Path("data/jobs/entries/sources/x.json"))
    first.remember()
    read: list[Path] = []
    monkeypatch.setattr("distill.pipeline.local_files.sha256", lambda file: read.append(file) or "0" * 64)
    assert local_checksums(source, Checksums(), Path("data/jobs/entries/sources/x.json")) == found
    assert read == []
    Path("rows/b.csv").write_text("other", encoding="utf-8")
    assert local_checksums(source, Checksums(), Path("data/jobs/entries/sources/x.json")) != found
    assert read == [tmp_path / "rows/b.csv"]
    for number, damaged in enumerate(("{", "[]", '{"a": 1}', '{"a": [1, 2]}'), start=1):  # then all are read
        KNOWN.write_text(damaged, encoding="utf-8")
        local_checksums(source, Checksums(), Path("data/jobs/entries/sources/x.json"))
        assert len(read) == 1 + 2 * number


def test_a_file_that_has_just_been_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change within the same tick of the file system's clock leaves its time as it is."""
    monkeypatch.chdir(tmp_path)
    source, job, file = Source(path="train.csv"), Path("data/jobs/entries/sources/x.json"), Path("train.csv")
    file.write_text("one", encoding="utf-8")
    first, state = Checksums(), file.stat()
    found = local_checksums(source, first, job)
    first.remember()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert local_checksums(source, Checksums(), job) != found


@pytest.mark.parametrize("replaced", [True, False])
def test_other_bytes_of_the_same_size_and_time_are_read(replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `cp -p`, `rsync -t` and archives leave them, whether the file is another one or has been written anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("distill.pipeline.local_files.SETTLED", -HOUR)
    file, other = Path("train.csv"), Path("other.csv")
    file.write_text("one", encoding="utf-8")
    other.write_text("two", encoding="utf-8")
    for each in (file, other):
        os.utime(each, (10**9, 10**9))
    first = Checksums()
    found = first.of(file)
    first.remember()
    while Path("now").touch() or Path("now").stat().st_ctime_ns <= other.stat().st_ctime_ns:  # the file system's clock ticks
        pass
    if replaced:
        other.replace(file)
    else:
        shutil.copyfile(other, file)
        shutil.copystat(other, file)
    assert Checksums().of(file) != found


@pytest.mark.parametrize("place", [".", "../project", "../link", "data"])
def test_what_the_pipeline_writes_is_no_input_however_the_folder_that_holds_it_is_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to("project")
    monkeypatch.chdir(tmp_path / "project")
    own = Path("data/train.csv" if place == "data" else "train.csv")
    own.parent.mkdir(exist_ok=True)
    own.write_text("text,label", encoding="utf-8")
    found = Checksums().of(Path(place))
    for name in ("dvc.lock", "data/raw/x/train.parquet", "data/responses.sqlite", ".git/index", "__pycache__/x.pyc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("more", encoding="utf-8")
        assert Checksums().of(Path(place)) == found
    own.write_text("text,label\na,b", encoding="utf-8")
    assert Checksums().of(Path(place)) != found


def test_a_folder_inside_data_is_read_and_links_are_followed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/own/train.csv", "elsewhere/sport/1.txt"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("one", encoding="utf-8")
    Path("data/own/sport").symlink_to(tmp_path / "elsewhere/sport")
    Path("elsewhere/sport/again").symlink_to(tmp_path / "elsewhere")
    Path("elsewhere/sport/gone").symlink_to("nowhere")
    found = {Checksums().of(Path("data/own"))}
    for name in ("data/own/train.csv", "elsewhere/sport/1.txt"):
        Path(name).write_text("two", encoding="utf-8")
        found.add(Checksums().of(Path("data/own")))
    assert len(found) == 3


def test_word_vectors_are_a_local_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("glove.txt").write_text("a 1 2", encoding="utf-8")
    entry = AugmentationSettings(of="x", teacher="y", vectors="glove.txt")
    found = local_checksums(entry, Checksums(), Path("data/jobs/entries/augmentations/x.json"))
    assert found == {"vectors": hashlib.sha256(b"a 1 2").hexdigest()}


def test_what_is_on_the_hub_has_no_checksum_nor_what_was_never_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = Path("data/jobs/entries/teachers/x.json")
    assert local_checksums(Checkpoint(hub="a/b"), Checksums(), job) == {}
    assert local_checksums(Checkpoint(path="nowhere"), Checksums(), job) == {"path": None}
    job.parent.mkdir(parents=True)
    job.write_text(json.dumps({"checksums": {"path": "f00"}}), encoding="utf-8")
    assert local_checksums(Checkpoint(path="nowhere"), Checksums(), job) == {"path": "f00"}
