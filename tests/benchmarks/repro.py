"""How long `dvc repro` takes to find that there is nothing to do."""

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.harness import Figure
from tests.projects import ROOT, copy_code, stages_run

ROUNDS = 5


def measure(folder: Path) -> dict[str, Figure]:
    """The demo's pipeline with commands that only make their outputs: DVC's own work is the same."""
    project = folder / "project"
    copy_code(project)
    shutil.copy(ROOT / "params.yaml", project)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        if name == "check":
            continue  # others depend on files that it writes
        body = stage.get("do", stage)
        body["cmd"] = " && ".join(_make(out) for out in [*body.get("outs", []), *body.get("metrics", [])])
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True).stdout

    run("git", "init", "--quiet")
    run("dvc", "repro")
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        if stages_run(run("dvc", "repro")):
            raise RuntimeError("dvc repro was to do nothing")
        seconds.append(time.perf_counter() - start)
    return {"dvc repro with nothing to do": Figure(statistics.median(seconds), "<= 2", "seconds")}


def _make(out: Any) -> str:
    """A command that makes an output."""
    path = next(iter(out)) if isinstance(out, dict) else out
    more = {"data/prepared/${key}": ["dataset.json", "tokenizer/file"], "data/targets/${key}": ["logits/file"]}
    files = [path] if path.endswith(".json") else [f"{path}/{name}" for name in ["file", *more.get(path, [])]]
    return " && ".join(f"mkdir -p $(dirname {name}) && touch {name}" for name in files)
