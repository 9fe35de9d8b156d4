"""The ready-made files of docs/params are what `python -m distill check` takes, and their target sets feed their students."""

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML

from distill.core.settings import read_yaml
from distill.data.dataset import UNLABELLED, Dataset
from distill.params.task_specs import TaskName
from distill.pipeline.needs import missing_needs
from distill.pipeline.project import load_params
from distill.pipeline.shapes import Shape
from distill.store.target_set import TargetStore
from stages.annotate import main as annotate
from stages.given import main as give
from stages.prepare import main as prepare
from tests import decoders, hub, tiny
from tests.annotation.server import labelled, serving
from tests.closures import ROOT

FILES = sorted((ROOT / "docs" / "params").glob("*.yaml"))
GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
SHAPES = {
    "google-bert/bert-base-uncased": Shape(12, 768, 12),
    "google-bert/bert-base-cased": Shape(12, 768, 12),
    "distilbert/distilbert-base-uncased": Shape(6, 768, 12),
    "huawei-noah/TinyBERT_General_4L_312D": Shape(4, 312, 12),
    "google/mobilebert-uncased": Shape(24, 512, 4),
    None: Shape(6, 384, 12),  # the one that comes as a package
    "openai-community/gpt2": Shape(12, 768, 12),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": Shape(24, 2048, 32),
    "HuggingFaceTB/SmolLM2-360M-Instruct": Shape(32, 960, 15),
}
METRICS = {"cola": "mcc", "mrpc": "f1", "qqp": "f1", "stsb": "pearson"}
"""GLUE's own, where it is not accuracy."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_passes_the_check_and_every_student_finds_what_it_reads(file: Path) -> None:
    params = load_params(file)
    shapes = {name: SHAPES[teacher.checkpoint.hub] for name, teacher in params.teachers.items()}
    assert [line for target_set in params.targets for line in missing_needs(params, target_set, file, shapes)] == []


ENTRIES = [(file, name) for file in FILES for name in load_params(file).datasets]


@pytest.mark.parametrize(("file", "name"), ENTRIES, ids=[f"{file.stem}-{name}" for file, name in ENTRIES])
def test_a_data_set_is_prepared_from_the_hubs_splits_and_columns(
    file: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = read_yaml(file)
    source = content["sources"][content["datasets"][name]["source"]]
    raw = Path("data/raw", content["datasets"][name]["source"])
    raw.mkdir(parents=True)
    place = "/".join(filter(None, (source.get("hub"), source.get("config"))))
    articles = {"train": pyarrow.table({"text": [f"{w} w1 w2 w3. {w.upper()} w4 w5 w6!" for w in tiny.WORDS]})}
    for split, table in (hub.tables(place) if place else articles).items():
        pyarrow.parquet.write_table(table, raw / f"{split}.parquet")
    causal = content["datasets"][name].get("task") == "causal-lm"
    made = decoders.tokenizer(chat_template=decoders.TEMPLATE) if causal else tiny.masking_tokenizer()
    made.save_pretrained("tokenizer")
    content = {"defaults": content.get("defaults", {}), "datasets": {name: content["datasets"][name]}}
    content["datasets"][name]["tokenizer"] = {"path": "tokenizer"}
    with Path("params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)
    done = CliRunner().invoke(prepare, [name])
    assert done.exit_code == 0, done.output
    prepared = Dataset.open(Path("data/prepared", name))
    assert all(len(prepared.rows(split)) for split in ("train", "validation", "test"))
    assert prepared.task in ("masked-lm", tiny.EMBEDDING) or (prepared.rows("test").labels != UNLABELLED).any()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_how_it_is_run_and_what_it_says_names_its_own_entries(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert f"cp docs/params/{file.name} params.yaml && python -m distill check && dvc repro" in text
    students = load_params(file).students
    assert set(re.findall(r"dvc repro evaluate@([\w-]+)", text)) <= set(students)
    assert all((ROOT / name).exists() for name in re.findall(r"docs/params/[\w-]+\.yaml", text))


def test_the_answers_of_the_given_file_are_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = read_yaml(ROOT / "docs/params/given.yaml")
    for folder in ("data/raw/sst2", "data/raw/answers"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    tables = hub.tables("nyu-mll/glue/sst2")
    for split, table in tables.items():
        pyarrow.parquet.write_table(table, Path("data/raw/sst2", f"{split}.parquet"))
    texts = dict.fromkeys(text for split in ("train", "validation") for text in tables[split]["sentence"].to_pylist()[5:])
    rows = [{"sentence": text, "votes": ["positive", "negative", "positive"]} for text in texts]
    Path("data/raw/answers/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tiny.masking_tokenizer().save_pretrained("tokenizer")
    content["datasets"]["sst2"]["tokenizer"] = {"path": "tokenizer"}
    with Path("params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)
    for stage, name in ((prepare, "sst2"), (give, "reviews")):
        done = CliRunner().invoke(stage, [name])
        assert done.exit_code == 0, done.output
    logits = TargetStore.open(Path("data/targets/reviews")).output("logits", "test").gather(np.zeros(1, np.int64))
    assert torch.softmax(logits, dim=1)[0].tolist() == pytest.approx([0.4, 0.6])


def test_the_model_of_the_annotate_file_is_asked_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = read_yaml(ROOT / "docs/params/annotate.yaml")
    Path(tmp_path, "data/raw/sst2").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for split, table in hub.tables("nyu-mll/glue/sst2").items():
        pyarrow.parquet.write_table(table, Path("data/raw/sst2", f"{split}.parquet"))
    tiny.masking_tokenizer().save_pretrained("tokenizer")
    content["datasets"]["sst2"]["tokenizer"] = {"path": "tokenizer"}
    with serving(lambda _, number: labelled("positive" if number % 5 else "negative")) as server:
        content["annotators"]["reviews"] |= {"endpoint": server.address, "limit": 10}
        with Path("params.yaml").open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(content, stream)
        for stage, name in ((prepare, "sst2"), (annotate, "reviews"), (give, "reviews")):
            done = CliRunner().invoke(stage, [name])
            assert done.exit_code == 0, done.output
    assert len(server.bodies) == 10 * 5
    assert "Does the reviewer like the film?" in server.bodies[0]["messages"][0]["content"]
    votes = pyarrow.parquet.read_table("data/annotations/reviews/rows/train.parquet")["votes"].to_pylist()
    assert [len(row) for row in votes] == [5] * 10
    assert TargetStore.open(Path("data/targets/reviews")).output("logits", "train").gather(np.zeros(1, np.int64)).shape == (1, 2)


def test_all_nine_glue_tasks_are_there_with_their_own_metrics() -> None:
    datasets = load_params(ROOT / "docs/params/glue.yaml").datasets
    assert tuple(datasets) == GLUE
    assert {name: dataset.metric or "accuracy" for name, dataset in datasets.items()} == {
        name: METRICS.get(name, "accuracy") for name in GLUE
    }


@pytest.mark.parametrize("name", ["distilbert-glue", "tinybert-glue", "tinybert-general", "distilbert-mlm"])
def test_glue_is_the_same_in_every_file(name: str) -> None:
    glue, other = (read_yaml(ROOT / "docs/params" / f"{file}.yaml")["datasets"] for file in ("glue", name))
    shared = set(GLUE) & set(other)
    assert shared
    assert {task: other[task] for task in shared} == {task: glue[task] for task in shared}


def test_no_split_that_is_scored_is_glue_test_whose_labels_are_not_public() -> None:
    for dataset in load_params(ROOT / "docs/params/glue.yaml").datasets.values():
        assert str(dataset.splits.test).startswith("validation")
        assert isinstance(dataset.splits.validation, float)


def test_every_task_is_shown() -> None:
    tasks = {dataset.task for file in FILES for dataset in load_params(file).datasets.values()}
    assert tasks == set(get_args(TaskName))
