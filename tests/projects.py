"""Real small projects: git repositories with this repository's pipeline, tiny data and models; `dvc` and `git` run in them."""

import csv
import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from ruamel.yaml import YAML

from tests import tiny

ROOT = Path(__file__).parent.parent
CODE = ("dvc.yaml", "distill", "stages", ".dvc/config", ".dvc/plots", ".dvc/.gitignore", ".dvcignore", ".gitignore")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
STUDENTS = ("supervised", "hinton", "distilbert", "small")
PARAMS = """\
defaults:
  sources: {}
  datasets: {tokenizer: {path: ORIGIN/checkpoint}}
  augmentations: {}
  teachers: {epochs: 1, batch_size: 4, learning_rate: 1e-2, precision: fp32}
  targets: {}
  ensembles: {}
  exports: {}
  students: {epochs: 1, batch_size: 4, learning_rate: 1e-2, precision: fp32}
sources:
  tiny: {path: ORIGIN/rows}
datasets:
  tiny: {source: tiny, max_length: 16}
augmentations: {}
teachers:
  tiny: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}}
targets:
  tiny: {teacher: tiny, dataset: tiny, hidden: [-1]}
ensembles: {}
exports: {}
students:
  supervised:
    recipe: supervised
    dataset: tiny
    targets: tiny/logits
    init: {from: data/teachers/tiny, depth: 2}
  hinton:
    recipe: hinton
    dataset: tiny
    targets: tiny/logits
    init: {from: data/teachers/tiny, depth: 2}
    temperature: 4
  distilbert:
    recipe: distilbert
    dataset: tiny
    targets: tiny
    init: {from: data/teachers/tiny, depth: 2}
  small:
    recipe: hinton
    dataset: tiny
    targets: tiny/logits
    init:
      from: data/prepared/tiny
      architecture: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}
"""
"""ORIGIN stands for the folder that holds the rows and the teacher's checkpoint."""


def make_origin(folder: Path) -> Path:
    """Write what a project starts from: rows/SPLIT.csv, and checkpoint/, a random 3-layer model with its tokenizer."""
    (folder / "rows").mkdir(parents=True)
    for seed, (split, count) in enumerate({"train": 80, "validation": 20, "test": 20}.items()):
        with (folder / "rows" / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(*tiny.rows(count, seed), strict=True)])
    with torch.random.fork_rng():
        tiny.save(tiny.bert(layers=3), folder / "checkpoint", tiny.tokenizer())
    return folder


def make_project(folder: Path, origin: Path) -> Path:
    """A git repository with this repository's pipeline and a small params.yaml, all committed, nothing run yet."""
    folder.mkdir(parents=True)
    for name in CODE:
        (folder / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    pipeline = (folder / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(pipeline.replace("stages.benchmark", "stages.benchmark --seconds 0"), encoding="utf-8")
    (folder / "params.yaml").write_text(PARAMS.replace("ORIGIN", str(origin)), encoding="utf-8")
    run(folder, "git init --quiet --initial-branch=main")
    commit(folder, "the pipeline")
    return folder


@functools.cache
def reproduced(base: Path) -> Path:
    """A project whose whole pipeline has run, all committed; made once a session. Read only: `copy` it."""
    project = make_project(base / "reproduced" / "project", make_origin(base / "reproduced" / "origin"))
    run(project, "dvc repro")
    commit(project, "the results")
    return project


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
        timeout=600,
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


def stages_run(output: str) -> set[str]:
    """The stages whose commands DVC ran, or would run, by its output."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def edit_params(folder: Path, **changes: dict[str, object]) -> None:
    """Change params.yaml: `SECTION={NAME: settings}` adds an entry, or replaces settings of one that is there."""
    path = folder / "params.yaml"
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(path.read_text(encoding="utf-8"))
    for section, entries in changes.items():
        for name, settings in entries.items():
            content[section][name] = {**content[section].get(name, {}), **settings}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def locked(folder: Path) -> dict[str, dict[str, str]]:
    """What dvc.lock says that each stage made: path → MD5."""
    lock = YAML(typ="safe", pure=True).load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return {
        stage: {out["path"]: out["md5"] for out in entry.get("outs", [])} | {dep["path"]: dep["md5"] for dep in entry["deps"]}
        for stage, entry in lock["stages"].items()
    }
