"""Real small projects: git repositories with this repository's pipeline, tiny data and models; `dvc` and `git` run in them.

`reproduced` and `tried` have run, once for all tests. `stand_in` has outputs of a line each, for tests that ask what would rerun.
`run_stages` and `run_pipeline` run stages in this process: to start a Python for each takes most of a small pipeline's time.
"""

import contextlib
import csv
import fcntl
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import networkx
import psutil
import torch
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests import tiny
from tests.command_line import invoke

ROOT = Path(__file__).parent.parent
CODE = ("dvc.yaml", "distill", "stages", ".dvc/config", ".dvc/plots", ".dvc/.gitignore", ".dvcignore", ".gitignore")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
STUDENTS = ("distilbert", "hinton")


def opening(epochs: int, batch_size: int = 4, **sources: str) -> str:
    """How params.yaml begins: the tiny tokenizer, quick training, and sources, by default rows/ of the origin."""
    training = f"{{epochs: {epochs}, batch_size: {batch_size}, learning_rate: 1e-2, precision: fp32}}"
    places = "\n".join(f"  {name}: {{path: ORIGIN/{place}}}" for name, place in (sources or {"tiny": "rows"}).items())
    return f"""\
defaults:
  datasets: {{tokenizer: {{path: ORIGIN/checkpoint}}}}
  teachers: {training}
  students: {training}
sources:
{places}
"""


PARAMS = (
    opening(epochs=1)
    + """\
datasets:
  tiny: {source: tiny, max_length: 16}
teachers:
  tiny: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}}
targets:
  tiny: {teacher: tiny, dataset: tiny, hidden: [-1]}
students:
  distilbert:
    recipe: distilbert
    dataset: tiny
    targets: tiny
    init: {from: data/teachers/tiny, depth: 2}
    batch_size: 4
  hinton:
    recipe: hinton
    dataset: tiny
    targets: tiny/logits
    init: {from: data/teachers/tiny, depth: 2}
    temperature: 4
"""
)
"""ORIGIN stands for the folder that holds the rows and the teacher's checkpoint."""


def make_origin(folder: Path) -> Path:
    """Write what a project starts from: rows/SPLIT.csv, and checkpoint/, a random 3-layer model with its tokenizer."""
    (folder / "rows").mkdir(parents=True)
    for seed, (split, count) in enumerate({"train": 40, "validation": 12, "test": 12}.items()):
        with (folder / "rows" / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(*tiny.rows(count, seed), strict=True)])
    with torch.random.fork_rng():
        tiny.save(tiny.bert(layers=3), folder / "checkpoint", tiny.tokenizer())
    return folder


def copy_code(folder: Path) -> None:
    """This repository's pipeline in a folder, in place of what that has of it."""
    for name in CODE:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def make_project(folder: Path, origin: Path, params: str = PARAMS) -> Path:
    """A git repository with this repository's pipeline and a small params.yaml, all committed, nothing run yet."""
    copy_code(folder)
    pipeline = (folder / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(pipeline.replace("stages.benchmark", "stages.benchmark --seconds 0"), encoding="utf-8")
    (folder / "params.yaml").write_text(params.replace("ORIGIN", str(origin)), encoding="utf-8")
    run(folder, "git init --quiet --initial-branch=main")
    commit(folder, "the pipeline")
    return folder


def made_once(base: Path, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made once a test run, whichever of pytest-xdist's workers comes first. Read only: `copy` what is in it.

    Args:
        base: What `tmp_path_factory.getbasetemp()` is: each worker's own, below the run's.
        name: Of the folder.
        make: Fills the folder.
    """
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            folder.with_suffix(".done").touch()
    return folder


def reproduced(base: Path) -> Path:
    """A project whose whole pipeline has run, as `dvc` knows, all committed: read only."""

    def make(folder: Path) -> None:
        project = make_project(folder / "project", make_origin(folder / "origin"))
        run_pipeline(project)
        run(project, "dvc commit --force")
        commit(project, "the results")

    return made_once(base, "reproduced", make) / "project"


def tried(base: Path) -> Path:
    """The same, whose owner has tried another temperature for the student `hinton`; nothing of that is committed. Read only.

    What `dvc` said of it is in ../output.txt.
    """

    def make(folder: Path) -> None:
        project = copy(reproduced(base), folder / "project")
        output = run(project, "dvc exp run --set-param students.hinton.temperature=8")
        (folder / "output.txt").write_text(output, encoding="utf-8")

    return made_once(base, "tried", make) / "project"


def stand_in(folder: Path, params: str = PARAMS) -> Path:
    """A project of which DVC holds that all is done: real code, an output of a line for each of the pipeline's."""
    project = make_project(folder, folder / "origin", params)
    with Repo(str(project)) as repo:
        outs = [Path(out.fs_path) for stage in repo.index.stages for out in stage.outs]
        deps = [Path(dep.fs_path) for stage in repo.index.stages for dep in stage.deps if hasattr(dep, "fs_path")]
    for path in (path for path in [*outs, *deps] if path.is_relative_to(project / "data")):
        file = path if path.suffix else path / "stand-in"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.relative_to(project).as_posix(), encoding="utf-8")
    run_stages(project, "check")
    run(project, "dvc commit --force")
    return project


def outdated(project: Path) -> set[str]:
    """The stages whose dependencies are others than when they last ran: those that `dvc repro` begins with, after `check`."""
    with contextlib.chdir(project), Repo() as repo:
        return set(repo.status()) - {"check"}


def all_stages(project: Path) -> list[str]:
    """The names of all stages, one for each entry of those that have entries."""
    with contextlib.chdir(project), Repo() as repo:
        return [stage.addressing for stage in repo.index.stages]


def run_stages(project: Path, *names: str) -> None:
    """Run the commands of stages in this process, on one thread as `run` has it, without `dvc`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    forkserver.ensure_running()  # here, or it would import the project's copy of the code, which goes when the test has passed
    try:
        with contextlib.chdir(project), Repo() as repo:
            for name in names:
                _, _, _, module, *arguments = shlex.split(repo.stage.load_one(name=name).cmd)
                done = invoke(importlib.import_module(module).main, *arguments)
                assert done.returncode == 0, f"{name}: {done.stderr}"
    finally:
        torch.set_num_threads(threads)


def run_pipeline(project: Path, *targets: str) -> list[str]:
    """Run all that targets depend on, then them, as `run_stages` does; without targets all stages. What was run, in order."""
    with warnings.catch_warnings(action="ignore"), contextlib.chdir(project), Repo() as repo:  # those of DVC itself
        graph, stages = repo.index.graph, {stage.addressing: stage for stage in repo.index.stages}
    order = [stage for name in targets or stages for stage in networkx.dfs_postorder_nodes(graph, stages[name])]
    names = list(dict.fromkeys(stage.addressing for stage in order))
    run_stages(project, *names)
    return names


def copy(project: Path, folder: Path) -> Path:
    """A project of its own: the working folder, git's history and DVC's cache; none of DVC's locks."""
    return shutil.copytree(project, folder, symlinks=True, ignore=lambda path, _: {"tmp"} if Path(path).name == ".dvc" else set())


def commit(folder: Path, message: str) -> None:
    """Commit all that is not ignored."""
    run(folder, "git add --all")
    run(folder, f"git commit --quiet --allow-empty -m '{message}'")


def environment(folder: Path) -> dict[str, str]:
    """The environment of a project's commands: this Python first, nobody's settings, no network, no GPU, one thread."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder / ".dvc" / "tmp" / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / ".dvc" / "tmp" / "system"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@localhost",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@localhost",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "NO_PROXY": "*",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / ".dvc" / "tmp" / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / ".dvc" / "tmp" / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def attempt(folder: Path, command: str) -> tuple[int, str]:
    """Run a command of a shell in a folder: its exit code, its output and its errors together."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )
    return done.returncode, done.stdout


def run(folder: Path, command: str) -> str:
    """Run a command that has to end well.

    Raises:
        AssertionError: it did not; holds what it wrote.
    """
    code, output = attempt(folder, command)
    assert code == 0, f"{command}: exit code {code}\n{output}"
    return output


def read(path: Path) -> Any:
    """A JSON file of a project."""
    return json.loads(path.read_text(encoding="utf-8"))


def stages_run(output: str) -> set[str]:
    """The stages whose commands DVC ran, or would run, by its output; but `check`, which it always runs."""
    return set(re.findall(r"Running stage '([^']+)'", output)) - {"check"}


def edit_params(folder: Path, **changes: dict[str, object]) -> None:
    """Change params.yaml: `SECTION={NAME: settings}` adds an entry, or replaces settings of one that is there."""
    path = folder / "params.yaml"
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(path.read_text(encoding="utf-8"))
    for section, entries in changes.items():
        for name, settings in entries.items():
            entry = content.setdefault(section, {}).setdefault(name, {})
            entry.update(settings)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def ended(process: int) -> bool:
    """Whether a process runs no more, even if nobody has asked for its exit code."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(what: str, happened: Callable[[], bool], seconds: float = 300) -> None:
    """Look until something has happened, for so long at most."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
