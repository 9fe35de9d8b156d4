"""`make clean` removes what the pipeline wrote, and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.closures import ROOT


def test_no_output_of_dvc_yaml_is_left_and_data_that_dvc_tracks_stay(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    outputs = set(re.findall(r"data/[\w/.]*\w", (ROOT / "dvc.yaml").read_text(encoding="utf-8")))
    assert {"data/annotations", "data/selections", "data/folds", "data/transfer"} <= outputs
    kept = [".dvc/cache/file", "data/README.md", "data/conll/train.conll", "data/metrics/bench.json", "data/responses.sqlite"]
    kept += ["data/tickets.csv", "data/tickets.csv.dvc", "data/raw/own.dvc", "data/raw/own/rows.csv"]
    for name in [
        *(f"{output}/NAME/file" for output in outputs),
        "data/.scratch/locks/a.lock",
        "data/metrics/benchmark.json",
        *kept,
    ]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"Makefile", *kept}
