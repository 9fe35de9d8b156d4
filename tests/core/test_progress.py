import os
import pty
import subprocess
import sys
import termios

import pyarrow as pa
import pytest

from distill.core import progress
from distill.core.console import QUIET
from distill.core.progress import bar, with_progress


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(QUIET, raising=False)


def test_without_a_terminal_a_long_task_tells_of_itself_in_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 1e-9)
    assert list(bar(range(3), title="read x", unit="row")) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("read x: 1 of 3 rows, ")
    assert all("row/s, " in line and line.endswith(" left") for line in lines)
    assert "\r" not in "".join(lines)


def test_a_task_of_unknown_length_tells_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 1e-9)
    with bar(title="refill", unit="word") as shown:
        shown.update(5)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("refill: 5 words, ")
    assert "?" not in line


def test_rows_of_batches_are_counted_as_they_come(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 1e-9)
    batches = [pa.record_batch({"text": ["a"] * rows}) for rows in (2, 3)]
    assert list(with_progress(batches, "read train")) == batches
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["read train: 2 rows", "read train: 5 rows"]


def test_a_short_task_says_nothing(capsys):
    with bar(total=2, title="read x", unit="row") as shown:
        shown.update(2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("title", "wanted"), [(None, "0"), ("read x", "1")])
def test_nothing_is_said_without_title_or_if_it_is_unwanted(monkeypatch, capsys, title, wanted):
    monkeypatch.setenv(QUIET, wanted)
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 1e-9)
    assert list(bar(range(3), title=title, unit="row")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("wanted", "shown"), [("0", True), ("1", False)])
def test_on_a_terminal_a_bar_has_rate_and_time_left(wanted, shown):
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    code = "from distill.core.progress import bar\nfor _ in bar(range(3), title='read x', unit='row'): pass\nprint('end')"
    environment = {**os.environ, QUIET: wanted, "TQDM_MININTERVAL": "0"}
    subprocess.run([sys.executable, "-c", code], stdout=terminal, stderr=terminal, env=environment, check=True)
    os.close(terminal)
    text = os.read(reader, 10_000).decode()
    os.close(reader)
    assert ("read x: " in text and "3/3 [" in text and "row/s]" in text) == shown
    assert ("\r" in text.replace("\r\n", "")) == shown
