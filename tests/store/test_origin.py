"""Which stage makes a target set."""

from pathlib import Path

from distill.commands.check import main
from distill.store.origin import stage_of
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
