"""Outputs appear whole or not at all, one writer at a time, and never through a link into DVC's cache."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.files import link_or_copy, read_json, sha256, sole_writer, to_json, whole_file, whole_folder, write_text
from tests.commands import ROOT, environment


class StopError(Exception):
    """What a block raises."""


def fail_to_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full when data is flushed to it."""

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


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


def test_a_file_is_written_with_its_folders(tmp_path: Path):
    write_text(tmp_path / "new" / "folder" / "x.json", "naïve\n")
    assert (tmp_path / "new" / "folder" / "x.json").read_bytes() == "naïve\n".encode()
    assert names(tmp_path / "new" / "folder") == {"x.json"}


def test_a_file_is_not_there_until_its_block_has_ended(tmp_path: Path):
    with whole_file(tmp_path / "x") as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert not (tmp_path / "x").exists()
    assert names(tmp_path) == {"x"}


@pytest.mark.parametrize("before", [None, "old"])
def test_a_failing_block_leaves_no_file_behind_and_keeps_the_old_one(tmp_path: Path, before: str | None):
    if before:
        (tmp_path / "x").write_text(before, encoding="utf-8")

    def write() -> None:
        with whole_file(tmp_path / "x") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise StopError

    with pytest.raises(StopError):
        write()
    assert names(tmp_path) == ({"x"} if before else set())
    assert not before or (tmp_path / "x").read_text(encoding="utf-8") == before


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x"
    write_text(path, "old")
    fail_to_sync(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == {"x"}


def test_a_full_disk_keeps_the_old_folder(old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch):
    fail_to_sync(monkeypatch)

    def write() -> None:
        with whole_folder(old, scratch) as folder:
            (folder / "a").write_text("new a", encoding="utf-8")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert (old / "a").read_text(encoding="utf-8") == "old a"
    assert names(old) == {"a", "b"}


def test_a_file_that_is_a_link_into_the_cache_is_replaced_not_written_through(tmp_path: Path):
    cached, out = tmp_path / "cache" / "0123", tmp_path / "out"
    write_text(cached, "cached")
    os.link(cached, out)
    write_text(out, "new")
    assert (cached.read_text(encoding="utf-8"), out.read_text(encoding="utf-8")) == ("cached", "new")


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path):
    write_text(tmp_path / "cached", "cached")
    (tmp_path / "out").symlink_to(tmp_path / "cached")
    write_text(tmp_path / "out", "new")
    assert (tmp_path / "cached").read_text(encoding="utf-8") == "cached"
    assert (tmp_path / "out").read_text(encoding="utf-8") == "new"


def test_files_of_a_folder_that_are_links_into_the_cache_keep_their_content_there(old: Path, scratch: Path, tmp_path: Path):
    os.link(old / "a", tmp_path / "cached")
    with whole_folder(old, scratch) as folder:
        (folder / "a").write_text("new a", encoding="utf-8")
    assert (tmp_path / "cached").read_text(encoding="utf-8") == "old a"


def test_a_folder_is_replaced_as_a_whole(old: Path, scratch: Path):
    with whole_folder(old, scratch) as folder:
        assert names(folder) == set()
        (folder / "sub").mkdir()
        (folder / "sub" / "c").write_text("new", encoding="utf-8")
        assert names(old) == {"a", "b"}
    assert names(old) == {"sub"}
    assert (old / "sub" / "c").read_text(encoding="utf-8") == "new"
    assert names(scratch / "unfinished") == set()


def test_a_failing_block_leaves_no_folder_behind_and_keeps_the_old_one(old: Path, scratch: Path):
    def write() -> None:
        with whole_folder(old, scratch) as folder:
            (folder / "a").write_text("half", encoding="utf-8")
            raise StopError

    with pytest.raises(StopError):
        write()
    assert (old / "a").read_text(encoding="utf-8") == "old a"
    assert names(scratch / "unfinished") == set()


def test_what_a_killed_run_left_is_not_taken_over(old: Path, scratch: Path):
    with whole_folder(old, scratch) as folder:
        place = folder
    place.mkdir(parents=True)
    (place / "stale").touch()
    with whole_folder(old, scratch) as folder:
        assert folder == place
        assert names(folder) == set()


HOLD = """
import sys
from pathlib import Path
from distill.files import sole_writer
with sole_writer(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(old: Path, scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing `old`, which this one wrote before."""
    with sole_writer(old, scratch):
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
    for writer in (sole_writer, whole_folder):
        with pytest.raises(UserError, match=f"process {holder.pid} is writing it") as caught, writer(old, scratch):
            pytest.fail("two writers")
        assert str(caught.value).startswith(f"{old}: ")
    assert names(old) == {"a", "b"}


def test_another_output_is_free_meanwhile(old: Path, scratch: Path, holder: subprocess.Popen[str]):
    with sole_writer(old.with_name("other"), scratch):
        assert holder.poll() is None


def test_a_killed_writer_holds_nothing(old: Path, scratch: Path, holder: subprocess.Popen[str]):
    holder.kill()
    holder.wait()
    with whole_folder(old, scratch) as folder:
        (folder / "c").touch()
    assert names(old) == {"c"}


def test_an_output_is_free_again_after_its_writer_has_failed(old: Path, scratch: Path):
    def write() -> None:
        with sole_writer(old, scratch):
            raise StopError

    with pytest.raises(StopError):
        write()
    with sole_writer(old, scratch):
        pass


def test_a_second_name_costs_no_second_copy_where_links_work(tmp_path: Path):
    write_text(tmp_path / "a", "content")
    link_or_copy(tmp_path / "a", tmp_path / "sub" / "b")
    assert (tmp_path / "sub" / "b").samefile(tmp_path / "a")


def test_a_second_name_is_a_copy_where_links_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    write_text(tmp_path / "a", "content")
    monkeypatch.setattr(os, "link", link)
    link_or_copy(tmp_path / "a", tmp_path / "sub" / "b")
    assert (tmp_path / "sub" / "b").read_text(encoding="utf-8") == "content"
    assert not (tmp_path / "sub" / "b").samefile(tmp_path / "a")


def test_json_depends_on_the_content_alone():
    assert to_json({"b": 1, "a": [0.5, "é"]}) == to_json({"a": [0.5, "é"], "b": 1})
    assert to_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_is_no_json(value: float):
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
        with pytest.raises(UserError, match=r"x.json: is damaged .*; expected a thing; delete it and run again"):
            read_json(tmp_path / "x.json", "a thing")
