"""The made-up project of tests/reports.py with a second data set, whose one student was timed on other rows than its teacher."""

import json
from pathlib import Path

from tests import reports
from tests.reports import write_json

STUDENT = "  wired: {recipe: hinton, dataset: wire, targets: wire, init: {from: data/teachers/big, depth: 3}}"
PARAMS = (
    reports.PARAMS.replace("tokenizer}}}\n", "tokenizer}}, wire: {source: news, tokenizer: {path: tokenizer}}}\n")
    .replace("\ntargets: {", "\ntargets: {wire: {teacher: big, dataset: wire}, ")
    .replace("\nstudents:", f"\nstudents:\n{STUDENT}")
)
NEWS = ("plain", "soft", "half", "tiny")


def write_served(folder: Path) -> None:
    """Write params.yaml, and what was measured."""
    data = folder / "data"
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    reports.write_data(data)
    benchmark = json.loads((data / "metrics/benchmark.json").read_text())
    wired = {"dataset": "wire", "teacher": "big", "formats": reports.formats("half")}
    for form in wired["formats"].values():
        form["latency"]["rows"] = {"p50": form["latency"]["rows"]["p50"], "p95": form["latency"]["rows"]["p95"]}
    benchmark["students"]["wired"] = wired
    write_json(data / "metrics/benchmark.json", benchmark)
    write_json(data / "metrics/students/wired.json", {"metric": "accuracy", "accuracy": 0.91, "retention": 0.93})
    write_json(data / "metrics/exports/students/wired.json", {"fp32": {"accuracy": 0.91}, "int8": {"accuracy": 0.908}})
