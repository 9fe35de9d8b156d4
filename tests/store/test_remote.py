"""Files at a URL: whole or not at all, errors in one line. An S3 server of this machine stands for the real one."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.store.remote import Remote
from tests.buckets import place, s3, s3_server
from tests.command_line import ROOT, python

__all__ = ["place", "s3", "s3_server"]


PLACES = pytest.mark.parametrize("place", ["memory", "file", "folder", "s3"], indirect=True)


@PLACES
def test_files_go_there_and_come_back_and_a_missing_one_is_an_error(tmp_path, place):
    here = tmp_path / "file"
    here.write_bytes(b"one")
    remote, other = Remote(place), Remote(place)
    assert remote.names() == other.names() == []
    other.put(here, "deep/er/file")
    assert remote.names() == ["deep/er/file"]  # what others write meanwhile is seen
    remote.put(here, "other")
    here.write_bytes(b"two")
    remote.put(here, "other")
    assert Remote(f"{place}/").names() == ["deep/er/file", "other"]
    for name, content in (("deep/er/file", b"one"), ("other", b"two")):
        remote.get(name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
    remote.remove(["other", "other"])
    assert remote.names() == ["deep/er/file"]
    with pytest.raises(UserError, match=f"{place}: .*; check the address") as caught:
        Remote(place).get("missing", tmp_path / "back")
    assert "\n" not in str(caught.value)


def test_elsewhere_a_file_takes_its_name_last(tmp_path, monkeypatch):
    monkeypatch.setattr("distill.store.remote.ONE_PUT", ())
    remote = Remote(f"memory://{tmp_path}")
    here = tmp_path / "file"
    here.write_bytes(b"one")
    put, seen = remote.files.put_file, []
    monkeypatch.setattr(remote.files, "put_file", lambda source, target: (seen.append(target), put(source, target)))
    remote.put(here, "file")
    assert (remote.names(), len(seen)) == (["file"], 1)
    assert ".tmp-" in seen[0]


def test_a_folder_has_no_half_files(tmp_path, monkeypatch):
    def interrupted(source, target):
        Path(target).write_bytes(b"ha")
        raise OSError("interrupted")

    monkeypatch.setattr("shutil.copyfile", interrupted)
    (tmp_path / "file").write_bytes(b"half")
    with pytest.raises(UserError, match="interrupted"):
        Remote(f"file://{tmp_path}/there").put(tmp_path / "file", "file")
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(("url", "what"), [("nowhere://x", "nowhere"), ("gs://bucket/x", "pip install gcsfs")])
def test_a_url_that_nothing_here_can_read(url, what):
    with pytest.raises(UserError, match=what):
        Remote(url)


def test_a_missing_bucket_is_not_made(s3, tmp_path):
    (tmp_path / "file").write_bytes(b"one")
    remote = Remote("s3://no-such-bucket/x")
    for attempt in (remote.names, lambda: remote.put(tmp_path / "file", "file")):
        with pytest.raises(UserError, match="s3://no-such-bucket/x: .*[bB]ucket.*; check the address"):
            attempt()


def test_no_network(monkeypatch, s3):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(UserError, match="s3://bucket/x: .*[cC]onnect.*; check the address, the credentials and the network"):
            Remote("s3://bucket/x").names()


def test_whoever_stays_on_this_machine_needs_no_fsspec():
    code = "import sys, distill.store.target_set, distill.targets.materialization.unit_pool; print('fsspec' in sys.modules)"
    assert python(ROOT, "-c", code).stdout == "False\n"


@PLACES
def test_threads_share_a_connection(tmp_path, place):
    remote = Remote(place)
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: remote.put(tmp_path / name, name), "abcd"))
    assert remote.names() == list("abcd")
