"""What docs/benchmark.md says of settings is so, and `make bench` runs; commands are looked at by test_docs.py."""

from pathlib import Path

import click
import pytest

from stages import benchmark
from tests.closures import ROOT
from tests.command_line import python

SMALL = """
import importlib, pathlib, sys
from tests.benchmarks import harness
interleave = harness.interleave
harness.interleave = lambda arms, rounds, title: interleave(arms, 1, title)
bench = importlib.import_module(f"tests.benchmarks.{sys.argv[1]}")
vars(bench).update(ROWS=32, SAMPLE_TOKENS=2000, STUDENTS={"3 × 384": (3, 384)})
print(bench.measure(pathlib.Path(sys.argv[2])))
"""


def test_its_settings_are_the_stages_defaults() -> None:
    text = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    defaults = {option.name: option.default for option in benchmark.main.params if isinstance(option, click.Option)}
    assert (defaults["lengths"], defaults["batches"]) == ((32, 128), (8, 32))
    assert "`32` and `128`" in text
    assert "batches of 8 and 32" in text


@pytest.mark.slow
@pytest.mark.parametrize("bench", ["materialization", "reading", "sizes", "training"])
def test_benchmarks_measure_something_however_small(bench: str, tmp_path: Path) -> None:
    done = python(ROOT, "-c", SMALL, bench, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Figure(") >= 1
