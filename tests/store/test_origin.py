"""Which stage makes a target set."""

from pathlib import Path

import pytest

from distill.commands.check import main
from distill.core.errors import UserError
from distill.store.origin import stage_of
from distill.store.shards import map_shard
from tests.command_line import invoke

PARAMS = """
sources: {rows: {path: rows.csv}}
datasets: {rows: {source: rows, tokenizer: {path: .}}}
teachers: {big: {dataset: rows, checkpoint: {hub: bert}}}
targets: {big: {teacher: big, dataset: rows}}
given: {api: {table: data/raw/rows, dataset: rows, columns: {text: text, label: label}}}
ensembles: {mean: {dataset: rows, first: big, second: api}}
"""


def test_errors_name_the_stage_of_what_check_has_written(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    done = invoke(main, "--jobs", "data/jobs")
    assert done.returncode == 0, done.stderr
    stages = {name: stage_of(Path("data/targets", name)) for name in ("big", "api", "mean")}
    assert stages == {"big": "targets@big", "api": "given@api", "mean": "ensemble@mean"}


def test_a_damaged_shard_is_computed_again_and_nothing_before_it(tmp_path: Path):
    path = tmp_path / "data" / "targets" / "big" / "logits" / "train" / "00000.arrow"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no Arrow file")
    with pytest.raises(UserError, match=r"damaged or missing .*; run `python -m distill verify big --repair`"):
        map_shard(path)
    (given := tmp_path / "data" / "jobs" / "entries" / "given" / "big.json").parent.mkdir(parents=True)
    given.touch()
    with pytest.raises(UserError, match=r"damaged or missing .*; run `dvc repro --force --single-item given@big`"):
        map_shard(path)
