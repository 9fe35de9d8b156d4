"""Commands of docs/benchmark.md parse, and what it names is there."""

import re
import shlex

import click
import pytest

from distill.__main__ import main
from stages import benchmark
from tests.closures import ROOT

TEXT = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line, comments=True) for line in re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)[1].splitlines()]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_its_commands_are_there(words: list[str]) -> None:
    match words:
        case ["python", "-m", "distill", name, *rest]:
            main.commands[name].make_context(name, rest)
        case ["python", "-m", "stages.benchmark", *rest]:
            benchmark.main.make_context("benchmark", rest)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        case ["dvc", "repro", stage]:
            assert re.search(rf"^  {stage}:$", (ROOT / "dvc.yaml").read_text(encoding="utf-8"), re.MULTILINE)
        case _:
            pytest.fail(f"what is {words}?")


def test_its_settings_are_the_stages_defaults() -> None:
    defaults = {option.name: option.default for option in benchmark.main.params if isinstance(option, click.Option)}
    assert (defaults["lengths"], defaults["batches"]) == ((32, 128), (8, 32))
    assert "`32` and `128`" in TEXT
    assert "batches of 8 and 32" in TEXT
