import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.benchmarks import figures
from tests.closures import ROOT
from tests.reports import write_json

MACHINE = {"threads": 2, "processor": "AMD EPYC", "torch": "2.13.0"}


def formats(torch: int, int8: int, speed: float) -> dict[str, object]:
    """Of a model so many times as fast as its teacher in torch, three times that in INT8."""
    timed = {"torch-fp32": (torch, speed), "onnx-int8": (int8, 3 * speed)}
    return {form: {"bytes": size, "latency": {"rows": {"speedup": own}}} for form, (size, own) in timed.items()}


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """A teacher, two students, and two presets."""
    score = {"metric": "accuracy", "accuracy": 0.95, "layers": 3, "hidden_size": 384, "parameters": 17_400_000}
    kept = {"retention": 0.981, "retention_low": 0.97, "retention_high": 0.99, "accuracy_sd": 0.004}
    files = {
        "benchmark.json": {
            "machine": MACHINE,
            "teachers": {"bbc": {"teacher": "bbc", "formats": formats(90_000_000, 23_000_000, 1.0)}},
            "students": {name: {"teacher": "bbc", "formats": formats(70_000_000, 18_000_000, 2.04)} for name in ("a", "b")},
        },
        "teachers/bbc.json": score,
        "students/a.json": {**score, **kept},
        "students/b.json": score,
        "presets.json": {
            "machine": {**MACHINE, "threads": 1},
            "length": 128,
            "models": {
                name: {
                    "parameters": parameters,
                    "bytes": {"onnx-fp32": 4 * parameters, "onnx-int8": parameters},
                    "formats": {form: {"over_reference": {"speedup": speed}} for form in ("torch-fp32", "onnx-int8")},
                }
                for name, parameters, speed in (("bert-base", 109_500_000, 1.0), ("tinybert-4", 14_350_000, 9.55))
            },
        },
        **{f"exports/{kind}.json": {"int8": {"accuracy": 0.9438}} for kind in ("teachers/bbc", "students/a", "students/b")},
    }
    for name, content in files.items():
        write_json(tmp_path / name, content)
    return tmp_path


def test_the_tables_hold_what_was_measured(metrics: Path) -> None:
    lines = figures.figures(metrics).splitlines()
    assert "| bbc, the teacher | 3 × 384 | 17.4M | 95.0 | – | 1.0× | 94.4 | 3.0× | 23.0 (÷ 3.9) |" in lines
    assert "| `a` | 3 × 384 | 17.4M | 95.0 ± 0.4 | 98.1 (97.0–99.0) | 2.0× | 94.4 | 6.1× | 18.0 (÷ 5.0) |" in lines
    assert "| `b` | 3 × 384 | 17.4M | 95.0 | – | 2.0× | 94.4 | 6.1× | 18.0 (÷ 5.0) |" in lines
    assert "| bert-base | 109.5M | 438.0 | 109.5 | 1.0× | 1.0× | 1× |" in lines
    assert "| tinybert-4 | 14.3M | 57.4 | 14.3 | 9.6× | 9.6× | 9.4× |" in lines
    assert any("2 threads of AMD EPYC, torch 2.13.0" in line for line in lines)
    assert any("1 thread of AMD EPYC" in line and "one row of 128 tokens" in line for line in lines)


def test_models_of_other_data_have_no_speed_and_what_was_not_measured_is_named(metrics: Path) -> None:
    content = json.loads((metrics / "benchmark.json").read_text(encoding="utf-8"))
    del content["students"]["b"]["formats"]["onnx-int8"]["latency"]["rows"]["speedup"]
    write_json(metrics / "benchmark.json", content)
    assert "| 2.0× | 94.4 | – | 18.0 (÷ 5.0) |" in figures.figures(metrics)
    (metrics / "presets.json").unlink()
    assert figures.figures(metrics).endswith("Not measured yet: `make benchmark-presets`.")


def test_the_command_writes_between_the_marks_of_the_readme(metrics: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(figures, "METRICS", metrics)
    page = tmp_path / "README.md"
    page.write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    first = CliRunner().invoke(figures.main, ["--page", str(page)])
    written = page.read_text(encoding="utf-8")
    CliRunner().invoke(figures.main, ["--page", str(page)])
    assert (first.exit_code, page.read_text(encoding="utf-8")) == (0, written)
    assert "| tinybert-4 |" in written.partition("<!-- figures -->")[2].partition("<!-- /figures -->")[0]
    assert CliRunner().invoke(figures.main, ["--page", str(tmp_path / "nothing.md")]).exit_code == 1
