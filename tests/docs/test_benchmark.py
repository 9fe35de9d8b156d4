"""What docs/benchmark.md says of settings is so, and `make bench` runs; commands are looked at by test_docs.py."""

import importlib
from pathlib import Path

import click
import pytest

from stages import benchmark
from tests.benchmarks.harness import Figure, interleave
from tests.closures import ROOT

SMALL = {
    "materialization": {"ROWS": 32},
    "reading": {"ROWS": 32},
    "sizes": {"SAMPLE_TOKENS": 2000},
    "training": {"ROWS": 32, "LAYERS": 3, "WIDTH": 96, "STUDENTS": {"3 × 384": (3, 48)}},
}
"""By benchmark, sizes at which it takes seconds."""


def test_its_settings_are_the_stages_defaults() -> None:
    text = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    defaults = {option.name: option.default for option in benchmark.main.params if isinstance(option, click.Option)}
    assert (defaults["lengths"], defaults["batches"]) == ((32, 128), (8, 32))
    assert "`32` and `128`" in text
    assert "batches of 8 and 32" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_benchmarks_measure_something_however_small(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = importlib.import_module(f"tests.benchmarks.{name}")
    for setting, value in SMALL[name].items():
        monkeypatch.setattr(bench, setting, value)
    monkeypatch.setattr(bench, "interleave", lambda arms, _, title: interleave(arms, 1, title), raising=False)
    figures = bench.measure(tmp_path)
    assert figures
    assert all(isinstance(figure, Figure) for figure in figures.values())
