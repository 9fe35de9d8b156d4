"""What docs/benchmark.md says of settings is so; its commands are looked at by test_docs.py."""

import click

from stages import benchmark
from tests.closures import ROOT

TEXT = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")


def test_its_settings_are_the_stages_defaults() -> None:
    defaults = {option.name: option.default for option in benchmark.main.params if isinstance(option, click.Option)}
    assert (defaults["lengths"], defaults["batches"]) == ((32, 128), (8, 32))
    assert "`32` and `128`" in TEXT
    assert "batches of 8 and 32" in TEXT
