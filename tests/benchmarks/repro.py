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

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5


def measure(folder: Path) -> dict[str, Figure]:
    """The demo's pipeline with commands that only make their outputs: DVC's own work is the same."""
    project = folder / "project"
    project.mkdir()
    for name in ("distill", "stages", ".dvc/config", ".dvcignore", ".gitignore", "params.yaml"):
        source, target = ROOT / name, project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in pipeline["stages"].values():
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
        if "up to date" not in run("dvc", "repro"):
            raise RuntimeError("dvc repro was to do nothing")
        seconds.append(time.perf_counter() - start)
    return {"dvc repro with nothing to do": Figure(statistics.median(seconds), "<= 2", "seconds")}


def _make(out: Any) -> str:
    """A command that makes an output."""
    path = next(iter(out)) if isinstance(out, dict) else out
    file = path if path.endswith(".json") or path == "data/checked" else f"{path}/file"
    nested = "" if file != "data/prepared/${key}/file" else " data/prepared/${key}/tokenizer"
    more = " data/prepared/${key}/dataset.json data/prepared/${key}/tokenizer/file" if nested else ""
    logits = " data/targets/${key}/logits/file" if path == "data/targets/${key}" else ""
    return " && ".join(f"mkdir -p $(dirname {name}) && touch {name}" for name in [file, *more.split(), *logits.split()])
