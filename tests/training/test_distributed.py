"""Two processes train what one does on batches of twice the size."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.core.files import SCRATCH
from distill.core.processes import is_main_process
from distill.data.dataset import Dataset
from distill.training.distributed import written_once
from tests import ranks, several, tiny
from tests.command_line import ROOT, environment
from tests.formulas import JOB, random_model
from tests.stores import materialize
from tests.target_specs import target_spec

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ROWS, BATCH = 48, 4
PARAMS = """\
teachers:
  own: {dataset: tiny, checkpoint: {path: data/inits/own}, epochs: 1}
students:
  own: {recipe: hinton, dataset: tiny, targets: targets, init: {from: data/teachers/own}, epochs: 1, seeds: [1, 2]}
"""
TIRED = """\
import os
from distill.data.batching import Collator
from distill.core.errors import UserError
gather = Collator.__call__
def tired(self, rows):
    if os.environ["RANK"] == RANK:
        raise UserError("the shard is gone")
    return gather(self, rows)
Collator.__call__ = tired
"""


def problem(folder: Path, tokenizer) -> Path:
    """Rows of different lengths, of which every third has a label: the processes have unequally many tokens and labels."""
    texts, labels = tiny.rows(ROWS, 0)
    some = [label if i % 3 == 0 else "" for i, label in enumerate(labels)]
    dataset = Dataset.open(tiny.prepare_rows(folder / "tiny", tokenizer, texts, some))
    materialize(random_model(dataset, layers=4, seed=1), dataset, folder / "targets", JOB)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tokenizer) -> tuple[dict[str, torch.Tensor], ...]:
    """Of one process, and of two."""
    folder = problem(tmp_path_factory.mktemp("several"), tokenizer)
    several.main(folder, folder / "one", 2 * BATCH)
    torch.use_deterministic_algorithms(False)
    command = [sys.executable, "-m", *TORCHRUN, "-m", "tests.several", str(folder), str(folder / "two"), str(BATCH)]
    variables = environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("hinton: epoch 1 of 2") == 3
    assert done.stderr.count("goes on from checkpoint-6") == 1
    return load_file(folder / f"{2 * BATCH}.safetensors"), load_file(folder / f"{BATCH}.safetensors")


@pytest.mark.slow
def test_weights_and_curves_are_those_of_one_process(weights):
    one, two = weights
    assert one.keys() == {name for name in two if name.startswith(several.VARIANTS)}
    modules = {tuple(name.split(".")[0].split("/")) for name in one}
    assert {variant for variant in several.VARIANTS if (variant, "extra_modules") in modules} == {
        variant for variant in several.VARIANTS if variant[:4] in ("tiny", "mobi")
    }
    keys_bias = "attention.self.key.bias"  # changes nothing, so that its gradient is rounding, which Adam scales up
    for name in (name for name in one if not name.endswith(keys_bias)):
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
def test_a_run_of_two_processes_that_was_interrupted_ends_as_an_undisturbed_one(weights):
    _, two = weights
    whole = {name.partition("/")[2]: value for name, value in two.items() if name.startswith("undisturbed")}
    assert len(whole) > 10
    assert all(torch.equal(two[f"resumed/{name}"], value) for name, value in whole.items())


@pytest.fixture(scope="module")
def stages(tmp_path_factory, tokenizer) -> dict[str, tuple[Path, int, str]]:
    """What two processes do that run the stage `student`, or `teacher`, or `student` where one has an error; by name.

    A folder, the exit code, and what was written to stderr.
    """
    folder = tmp_path_factory.mktemp("stages") / "first"
    dataset = Dataset.open(tiny.prepare(folder / "data/prepared/tiny", tokenizer))
    teacher = tiny.bert(layers=3, seed=1)
    materialize(teacher, dataset, folder / "data/targets/targets", target_spec())
    tiny.save(tiny.bert(layers=2), folder / "data/inits/own", tokenizer)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    cases = {"student": "", "teacher": "", "0": TIRED.replace("== RANK", "== '0'"), "1": TIRED.replace("== RANK", "== '1'")}
    jobs = []
    for name, code in cases.items():
        own = shutil.copytree(folder, folder.parent / name)
        jobs.append(ranks.Job(str(own), "stages.teacher" if name == "teacher" else "stages.student", "own", code))
    return {name: (Path(job.folder), *done) for name, job, done in zip(cases, jobs, ranks.launch(jobs), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "kind"), [("student", "students"), ("teacher", "teachers")])
def test_a_stage_writes_once(stages, stage, kind):
    project, code, errors = stages[stage]
    assert code == 0, errors
    assert (project / f"data/{kind}/own/model.safetensors").exists()
    assert (project / f"data/runs/{kind}/own.json").exists()
    assert errors.count("best epoch 1") == (2 if stage == "student" else 1)
    assert not list((project / SCRATCH / "training").rglob("checkpoint-*"))


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_error_of_one_process_ends_all_with_one_line(stages, rank):
    project, code, errors = stages[rank]
    assert code != 0
    assert [line for line in errors.splitlines() if line.startswith("error: ")] == ["error: the shard is gone"], errors
    assert not (project / "data/students/own").exists()


def test_the_first_process_writes_and_the_others_do_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        with written_once(Path("out")) as folder:
            assert is_main_process() == (folder is not None) == (rank == "0")
            if folder is not None:
                (folder / "file").touch()
        assert Path("out/file").exists() == (rank == "0")
    assert SCRATCH.exists()
