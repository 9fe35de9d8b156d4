"""Outputs appear whole or not at all, one writer at a time, and never through a link into DVC's cache."""

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.core.errors import UserError
from distill.core.files import (
    SCRATCH,
    atomic_file,
    atomic_folder,
    exclusive_lock,
    link_or_copy,
    read_json,
    sha256,
    to_json,
    write_text,
)
from tests.command_line import ROOT, environment


class StopError(Exception):
    """What a block raises."""


def failure(monkeypatch: pytest.MonkeyPatch, full: bool) -> pytest.RaisesExc:
    """What is raised as a block stops, or, once it has ended, as data is flushed to a full disk."""

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if full:
        monkeypatch.setattr(os, "fsync", fsync)
    return pytest.raises(OSError, match="No space left") if full else pytest.raises(StopError)


def stop(full: bool) -> None:
    if not full:
        raise StopError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An output of an earlier run: a folder of two files."""
    folder = tmp_path / "data" / "out"
    folder.mkdir(parents=True)
    (folder / "a").write_text("old a", encoding="utf-8")
    (folder / "b").write_text("old b", encoding="utf-8")
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "data" / ".scratch"


def test_a_file_is_written_with_its_folders_once_its_block_has_ended(tmp_path: Path):
    write_text(tmp_path / "new" / "folder" / "x.json", "naïve\n")
    assert (tmp_path / "new" / "folder" / "x.json").read_bytes() == "naïve\n".encode()
    with atomic_file(tmp_path / "new" / "folder" / "y") as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert not (tmp_path / "new" / "folder" / "y").exists()
    assert names(tmp_path / "new" / "folder") == {"x.json", "y"}


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("full", [False, True], ids=["failing block", "full disk"])
def test_what_fails_leaves_no_file_behind_and_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, full: bool
):
    if before:
        (tmp_path / "x").write_text(before, encoding="utf-8")
    with failure(monkeypatch, full), atomic_file(tmp_path / "x") as temporary:
        temporary.write_text("half", encoding="utf-8")
        stop(full)
    assert names(tmp_path) == ({"x"} if before else set())
    assert not before or (tmp_path / "x").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("full", [False, True], ids=["failing block", "full disk"])
def test_what_fails_leaves_no_folder_behind_and_keeps_the_old_one(
    old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, full: bool
):
    with failure(monkeypatch, full), atomic_folder(old, scratch) as folder:
        (folder / "a").write_text("half", encoding="utf-8")
        stop(full)
    assert (old / "a").read_text(encoding="utf-8") == "old a"
    assert names(old) == {"a", "b"}
    assert names(old.parent) == {"out", ".scratch"}
    with exclusive_lock(old, scratch):  # is free again
        pass


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_that_is_a_link_into_the_cache_is_replaced_not_written_through(tmp_path: Path, link: Callable[..., None]):
    cached, out = tmp_path / "cache" / "0123", tmp_path / "out"
    write_text(cached, "cached")
    link(cached, out)
    write_text(out, "new")
    assert (cached.read_text(encoding="utf-8"), out.read_text(encoding="utf-8")) == ("cached", "new")


def test_files_of_a_folder_that_are_links_into_the_cache_keep_their_content_there(old: Path, scratch: Path, tmp_path: Path):
    os.link(old / "a", tmp_path / "cached")
    with atomic_folder(old, scratch) as folder:
        (folder / "a").write_text("new a", encoding="utf-8")
    assert (tmp_path / "cached").read_text(encoding="utf-8") == "old a"


def test_a_folder_is_replaced_as_a_whole(old: Path, scratch: Path):
    with atomic_folder(old, scratch) as folder:
        assert names(folder) == set()
        (folder / "sub").mkdir()
        (folder / "sub" / "c").write_text("new", encoding="utf-8")
        assert names(old) == {"a", "b"}
    assert names(old) == {"sub"}
    assert (old / "sub" / "c").read_text(encoding="utf-8") == "new"
    assert names(old.parent) == {"out", ".scratch"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_folder_is_replaced_by_a_folder(old: Path, scratch: Path, there: bool):
    link = old.with_name("link")
    link.symlink_to(old if there else old.with_name("gone"))
    with atomic_folder(link, scratch) as folder:
        (folder / "c").touch()
    assert (names(link), link.is_symlink(), names(old)) == ({"c"}, False, {"a", "b"})
    assert names(old.parent) == {"out", "link", ".scratch"}


def test_what_a_killed_run_left_is_not_taken_over(old: Path, scratch: Path):
    with atomic_folder(old, scratch) as folder:
        place = folder
    place.mkdir(parents=True)
    (place / "stale").touch()
    with atomic_folder(old, scratch) as folder:
        assert folder == place
        assert names(folder) == set()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("link", ["targets", "scratch"])
def test_an_output_and_the_scratch_may_lie_on_different_file_systems(tmp_path: Path, elsewhere: Path, link: str):
    scratch, out = tmp_path / "scratch", tmp_path / "targets" / "set"
    (tmp_path / link).symlink_to(elsewhere)
    for content in ("first", "second"):
        with atomic_folder(out, scratch) as folder:
            (folder / "a").write_text(content, encoding="utf-8")
    assert (out / "a").read_text(encoding="utf-8") == "second"
    assert names(out.parent) == {"set"}


def test_what_is_finished_but_cannot_take_its_name_is_kept_as_is_the_old_one(
    old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    rename = Path.rename

    def across(path: Path, target: Path) -> Path:
        if target == old and ".old." not in path.name:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", across)
    with (
        pytest.raises(
            UserError, match=r"out: what was made cannot take this name .*kept, finished, in (.*): move it there"
        ) as caught,
        atomic_folder(old, scratch) as folder,
    ):
        (folder / "c").write_text("hours of work", encoding="utf-8")
    assert names(old) == {"a", "b"}
    kept = Path(str(caught.value).partition("finished, in ")[2].partition(": move")[0])
    assert (kept / "c").read_text(encoding="utf-8") == "hours of work"
    assert names(old.parent) == {"out", kept.name, ".scratch"}


@pytest.mark.parametrize("kind", ["link", "mount", "read-only"])
def test_a_place_that_nothing_can_be_written_to_is_told_before_the_work(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    out, mkdir = tmp_path / "targets" / "set", Path.mkdir

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        if path.parent == out.parent:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *arguments, **options)

    if kind == "link":
        out.parent.symlink_to(tmp_path / "gone")
    elif kind == "mount":
        monkeypatch.setattr(Path, "is_mount", lambda path: path == out)
    else:
        monkeypatch.setattr(Path, "mkdir", refuse)
    expected = {
        "link": "targets: is a link to .*gone, which is not there",
        "mount": "set: is a mounted disk",
        "read-only": "Read-only",
    }
    with pytest.raises((UserError, OSError), match=expected[kind]), atomic_folder(out, scratch):
        pytest.fail("work began")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_says_so(old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(UserError, match=r"locks: its file system has no locks .* make .*scratch a link to"),
        exclusive_lock(old, scratch),
    ):
        pytest.fail("no lock is held")


HOLD = """
import sys
from pathlib import Path
from distill.core.files import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(old: Path, scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing `old`, which this one wrote before."""
    with exclusive_lock(old, scratch):
        pass
    command = [sys.executable, "-c", HOLD, str(old), str(scratch)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_with_the_first_ones_process(old: Path, scratch: Path, holder: subprocess.Popen[str]):
    for writer in (exclusive_lock, atomic_folder):
        with pytest.raises(UserError, match=f"process {holder.pid} is writing it") as caught, writer(old, scratch):
            pytest.fail("two writers")
        assert str(caught.value).startswith(f"{old}: ")
    assert names(old) == {"a", "b"}
    with exclusive_lock(old.with_name("other"), scratch):
        assert holder.poll() is None


def test_a_killed_writer_holds_nothing(old: Path, scratch: Path, holder: subprocess.Popen[str]):
    holder.kill()
    holder.wait()
    with atomic_folder(old, scratch) as folder:
        (folder / "c").touch()
    assert names(old) == {"c"}


def test_a_second_name_costs_no_second_copy_where_links_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    write_text(tmp_path / "a", "content")
    link_or_copy(tmp_path / "a", tmp_path / "sub" / "b")
    assert (tmp_path / "sub" / "b").samefile(tmp_path / "a")
    monkeypatch.setattr(os, "link", link)
    link_or_copy(tmp_path / "a", tmp_path / "sub" / "c")
    assert (tmp_path / "sub" / "c").read_text(encoding="utf-8") == "content"
    assert not (tmp_path / "sub" / "c").samefile(tmp_path / "a")


def test_json_depends_on_the_content_alone_and_holds_no_nan():
    assert to_json({"b": 1, "a": [0.5, "é"]}) == to_json({"a": [0.5, "é"], "b": 1})
    assert to_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError):
            to_json({"loss": value})


def test_a_hash_is_that_of_the_content(tmp_path: Path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_that_is_missing_or_damaged_is_refused_with_what_it_should_have_been(tmp_path: Path):
    with pytest.raises(UserError, match=r"x.json: is missing; expected a thing; run the stage that writes"):
        read_json(tmp_path / "x.json", "a thing")
    for content in (b"{", b"\xff"):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(UserError, match=r"x.json: is damaged .*; expected a thing; get it again, or run the stage"):
            read_json(tmp_path / "x.json", "a thing")


def test_nobody_is_told_to_delete_a_file_but_in_working_space(tmp_path: Path):
    for folder, advice in ((tmp_path, "get it again"), (tmp_path / SCRATCH, "delete it and run again")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x.json").write_text("{", encoding="utf-8")
        with pytest.raises(UserError, match=rf"expected a thing; {advice}"):
            read_json(folder / "x.json", "a thing")
