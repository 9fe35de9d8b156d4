"""Files at a URL: whole or not at all, errors in one line. An S3 server of this machine stands for the real one."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.remote import Remote
from tests.buckets import BUCKET, s3, s3_server
from tests.commands import ROOT, environment

__all__ = ["s3", "s3_server"]


@pytest.fixture(params=["memory", "file", "folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place, a new one for each test."""
    match request.param:
        case "memory":
            return f"memory://{tmp_path}"
        case "file":
            return f"file://{tmp_path}/there"
        case "folder":
            return f"{tmp_path}/there"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/{tmp_path.name}"


def test_files_go_there_and_come_back(tmp_path, url):
    here = tmp_path / "file"
    here.write_bytes(b"one")
    remote = Remote(url)
    assert remote.names() == []
    remote.put(here, "deep/er/file")
    remote.put(here, "other")
    here.write_bytes(b"two")
    remote.put(here, "other")
    assert Remote(f"{url}/").names() == ["deep/er/file", "other"]
    for name, content in (("deep/er/file", b"one"), ("other", b"two")):
        remote.get(name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
    remote.remove(["other", "other"])
    assert remote.names() == ["deep/er/file"]


def test_a_missing_file_is_an_error_that_names_the_url(tmp_path, url):
    with pytest.raises(UserError, match=f"{url}: .*; check the address") as caught:
        Remote(url).get("missing", tmp_path / "back")
    assert "\n" not in str(caught.value)


def test_what_others_wrote_meanwhile_is_seen(tmp_path, url):
    here = tmp_path / "file"
    here.write_bytes(b"one")
    one, other = Remote(url), Remote(url)
    assert one.names() == []
    other.put(here, "file")
    assert one.names() == ["file"]


def test_elsewhere_a_file_takes_its_name_last(tmp_path, monkeypatch):
    monkeypatch.setattr("distill.remote.ONE_PUT", ())
    remote = Remote(f"memory://{tmp_path}")
    here = tmp_path / "file"
    here.write_bytes(b"one")
    put, seen = remote.files.put_file, []
    monkeypatch.setattr(remote.files, "put_file", lambda source, target: (seen.append(target), put(source, target)))
    remote.put(here, "file")
    assert remote.names() == ["file"]
    assert len(seen) == 1
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


def test_no_network(monkeypatch, s3, unused_port):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(UserError, match="s3://bucket/x: .*[cC]onnect.*; check the address, the credentials and the network"):
        Remote("s3://bucket/x").names()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_whoever_stays_on_this_machine_needs_no_fsspec():
    code = "import sys, distill.targets.reader, distill.targets.pool; print('fsspec' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "False\n"


def test_threads_share_a_connection(tmp_path, url):
    remote = Remote(url)
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    threads = [threading.Thread(target=remote.put, args=(tmp_path / name, name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert remote.names() == list("abcd")
