"""`exports` of params.yaml: every model has one, an entry is a model's, and DVC exports again what an edit is about."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from distill.commands.check import main
from tests.params_files import load, refusal, write
from tests.projects import edit_params, outdated, run_stages, stand_in

STUDENT = {"recipe": "hinton", "dataset": "movies", "targets": "pair", "init": {"from": "data/teachers/big", "depth": 2}}
TEACHER = {"dataset": "movies", "checkpoint": {"hub": "bert"}}


def content(defaults: dict[str, Any], exports: dict[str, Any]) -> dict[str, Any]:
    return {
        "defaults": {"datasets": {"tokenizer": {"hub": "tok"}}, "exports": defaults},
        "sources": {"reviews": {"path": "reviews.csv"}},
        "datasets": {"movies": {"source": "reviews"}},
        "teachers": {"big": TEACHER, "other": TEACHER},
        "targets": {"one": {"teacher": "other", "dataset": "movies"}, "two": {"teacher": "big", "dataset": "movies"}},
        "ensembles": {"pair": {"dataset": "movies", "first": "one", "second": "two"}},
        "students": {"small": STUDENT},
        "exports": exports,
    }


def test_every_model_has_settings_its_own_over_the_defaults(tmp_path: Path) -> None:
    exports = load(tmp_path, content({"quantization": "static"}, {"small": {"calibration_rows": 7}})).exports
    assert set(exports) == {"big", "other", "small"}
    assert {name: (one.quantization, one.calibration_rows) for name, one in exports.items()} == {
        "big": ("static", 100),
        "other": ("static", 100),
        "small": ("static", 7),
    }


@pytest.mark.parametrize(
    ("exports", "complaint"),
    [
        ({"smal": {}}, "exports.smal: no entry 'smal' in teachers or students; did you mean 'small'?"),
        ({"small": {"quantisation": "static"}}, "exports.small.quantisation: unknown key; did you mean 'quantization'?"),
        ({"small": {"quantization": "int4"}}, "exports.small.quantization: expected 'dynamic' or 'static', got 'int4'"),
        ({"small": {"calibration_rows": 0}}, "exports.small.calibration_rows: expected greater than 0, got 0"),
    ],
)
def test_what_is_wrong_is_one_line(exports: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content({}, exports)) == [complaint]


def test_check_writes_a_file_for_each_export_of_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, content({}, {"small": {"keep_fp32": ["classifier"]}}))
    result = CliRunner().invoke(main, ["--jobs", "data/jobs"])
    assert result.exit_code == 0, result.output
    found = {path.relative_to("data/jobs/exports").as_posix() for path in Path("data/jobs/exports").rglob("*.json")}
    assert found == {"teachers/big.json", "teachers/other.json", "students/small.json"}
    job = json.loads(Path("data/jobs/exports/students/small.json").read_text(encoding="utf-8"))
    assert job == {"entry": STUDENT, "export": {"keep_fp32": ["classifier"]}, "teachers": ["big", "other"]}


def test_an_edit_of_an_entry_exports_that_model_again_and_nothing_else(tmp_path: Path) -> None:
    project = stand_in(tmp_path / "project")
    edit_params(project, exports={"hinton": {"keep_fp32": ["classifier"]}})
    assert outdated(project) == set()
    run_stages(project, "check")
    assert outdated(project) == {"export@hinton"}
