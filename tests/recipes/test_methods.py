"""Every recipe and every task, from a params.yaml by the stages' own functions: it trains, its loss falls, it is measured.

test_recipes.py holds every pair of them to its formula. Here all recipes learn one task, and the other tasks learn by what
differs between them.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet
import pytest
import torch
from ruamel.yaml import YAML
from transformers import AutoConfig, AutoModelForMaskedLM

from distill.core.console import PARAMS
from distill.params.students import Shapes
from distill.params.task_specs import TASK_SPECS
from distill.recipes.loading import load_student
from distill.recipes.registry import RECIPES
from distill.recipes.terms.terms import terms_of
from stages import evaluate, folds, init, prepare, student, targets, teacher
from tests import tiny

ORIGIN = {"tokenizer": {"path": "checkpoint"}}
HALF = {"from": "data/teachers/tiny", "depth": 2}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2}
"""A short run's losses are compared, which dropout would move; and attention that is not even has something to teach."""
NARROW = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, **STILL}
TAGS = "token-classification"
SHAPES = Shapes(2, 16, 4, 16, student_heads=2, teacher_heads=2, student_size=16, teacher_size=16)
KEPT = {"hidden": [0, 2, 3, 4], "cls": [2], "attention": [2, 4], "relations": [4]}
CELLS = {
    "supervised": {"recipe": "supervised"},
    "hinton": {"recipe": "hinton"},
    "logit_mse": {"recipe": "logit_mse"},
    "annealing_kd": {"recipe": "annealing_kd", "max_temperature": 1},
    "annealing-then": {"recipe": "supervised", "init": {"from": "data/students/annealing_kd"}},
    "distilbert": {"recipe": "distilbert"},
    "pkd": {"recipe": "pkd"},
    "fitnets": {"recipe": "fitnets"},
    "fitnets-then": {"recipe": "hinton", "init": {"from": "data/students/fitnets"}},
    "minilm-1": {"recipe": "minilm", "version": 1},
    "minilm-2": {"recipe": "minilm"},
    "minilm-then": {"recipe": "hinton", "init": {"from": "data/students/minilm-2"}},
    "tinybert": {"recipe": "tinybert", "stage": "intermediate"},
    "tinybert-then": {"recipe": "tinybert", "stage": "prediction", "init": {"from": "data/students/tinybert"}},
    "mobilebert": {"recipe": "mobilebert", "stage": "transfer"},
    "mobilebert-joint": {"recipe": "mobilebert", "stage": "transfer", "order": "joint"},
    "mobilebert-then": {"recipe": "mobilebert", "stage": "distill", "init": {"from": "data/students/mobilebert"}},
}
VECTORS = {
    "cosine": {"recipe": "cosine"},
    "embedding_mse": {"recipe": "embedding_mse", "sizes": [8]},
    "similarity_kl": {"recipe": "similarity_kl"},
    "leaf": {"recipe": "leaf"},
    "trunk-then": {"recipe": "cosine", "init": {"from": "data/students/tinybert"}},
    "narrow": {"recipe": "embedding_mse", "projection": "pca", "init": {"from": "data/prepared/tiny", "architecture": NARROW}},
    "wide": {"recipe": "leaf", "init": {"from": "data/prepared/tiny", "architecture": {**NARROW, "vector_size": 16}}},
}
"""Of sentence embedding."""
RANKED = {
    "margin_mse": {"recipe": "margin_mse", "init": {**HALF, "bi_encoder": True}},
    "listwise": {"recipe": "listwise"},
}
"""Of ranking alone."""
MEASURED = [("sequence-classification", name) for name in CELLS]
MEASURED += [(tiny.EMBEDDING, name) for name in VECTORS]
MEASURED += [(task, name) for task in tiny.TASKS[1:] for name in ("supervised", "distilbert", "tinybert-then")]
MEASURED += [("masked-lm", "mobilebert-then"), ("question-answering", "pkd")]
MEASURED += [("ranking", name) for name in RANKED]
"""Labels, KL, cross-entropy and hidden states on every task; MobileBERT's second stage where the paper has it; windows' [CLS]."""
OTHER_WIDTH = ("hinton", "pkd", "fitnets", "minilm-1", "minilm-2", "tinybert", "mobilebert")
"""Recipes, each with its terms, for which student and teacher may differ in width: with a random, narrow student too."""
STUDENTS = {
    **{name: {"init": HALF, **cell} for name, cell in (CELLS | VECTORS | RANKED).items()},
    **{f"narrow-{name}": {**CELLS[name], "init": {"from": "data/prepared/tiny", "architecture": NARROW}} for name in OTHER_WIDTH},
}


def params(task: str) -> dict[str, Any]:
    """One data set, one teacher of 4 layers, one target set, a student a cell that the task is measured in, and its ancestors."""
    students: dict[str, dict[str, Any]] = {}
    for name in [*(cell for own, cell in MEASURED if own == task), *(f"narrow-{cell}" for cell in OTHER_WIDTH if task == TAGS)]:
        students |= {name: STUDENTS[name]}
        ancestor = Path(STUDENTS[name]["init"]["from"])
        students |= {ancestor.name: STUDENTS[ancestor.name]} if ancestor.parent.name == "students" else {}
    training = {"batch_size": 2 if task == "ranking" else 8, "learning_rate": 2e-3, "precision": "fp32"}
    shape = {"task": task, "max_length": tiny.LENGTH.get(task, 12)}
    content: dict[str, Any] = {
        "defaults": {"datasets": ORIGIN, "teachers": {**training, "epochs": 2}, "students": {**training, "epochs": 4}},
        "datasets": {"tiny": {"source": "tiny", **shape, **({"maskings": 2} if task == "masked-lm" else {})}},
        "teachers": {"tiny": {"dataset": "tiny", "checkpoint": {"path": "checkpoint"}}},
        "targets": {"tiny": {"teacher": "tiny", "dataset": "tiny", **KEPT}},
        "students": {name: {"dataset": "tiny", "targets": "tiny", **cell} for name, cell in students.items()},
    }
    if task == tiny.EMBEDDING:
        content["datasets"]["tiny"]["columns"] = {"text_pair": "text_pair"}
        content["teachers"]["tiny"]["epochs"] = 0
    if task == "masked-lm":
        content["targets"]["every"] = {"teacher": "tiny", "dataset": "tiny", "hidden": [4], "positions": "all"}
        content["students"]["every"] = {"dataset": "tiny", "targets": "every", **STUDENTS["distilbert"]}
    return content


def run(stage: object, *arguments: str) -> None:
    """A stage's own function, without what its command does about errors."""
    stage.main.callback.__wrapped__(*arguments)


@pytest.fixture(scope="module", params=(*tiny.TASKS, tiny.EMBEDDING))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of a task whose teacher has been trained and its targets kept."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data/raw/tiny").mkdir(parents=True)
    lines = {"masked-lm": 3, "question-answering": 2}.get(request.param, 1)  # of the prepared data, about, for each raw row
    for seed, (split, count) in enumerate({"train": 64, "validation": 24, "test": 24}.items()):
        pyarrow.parquet.write_table(tiny.raw(request.param, count // lines, seed), folder / f"data/raw/tiny/{split}.parquet")
    tokenizer = tiny.masking_tokenizer()
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    shape |= {"vocab_size": len(tokenizer), "max_position_embeddings": 32, "pad_token_id": 0, **STILL}
    config = AutoConfig.for_model("bert", **shape)
    tiny.save(AutoModelForMaskedLM.from_config(config), folder / "checkpoint", tokenizer)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(params(request.param), file)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with contextlib.chdir(folder):
        for stage in (prepare, teacher, folds, targets):
            run(stage, "tiny")
        yield folder
    torch.set_num_threads(threads)


def train(name: str) -> list[float]:
    """Initialize and train a student, and those that it starts from; the mean loss of each epoch."""
    source = STUDENTS.get(name, {"init": HALF})["init"]["from"]
    if source.startswith("data/students/") and not Path(source).exists():
        train(source.removeprefix("data/students/"))
    run(init, name)
    run(student, name)
    (trained,) = json.loads(Path("data/runs/students", f"{name}.json").read_text(encoding="utf-8"))
    settings = load_student(PARAMS, name)
    scored = [point["epoch"] for point in trained["history"] if "score" in point]
    assert scored == ([1, 2, 3, 4] if settings.trains_head else [])
    assert {term.name for term in terms_of(settings, SHAPES)} <= trained["history"][0].keys()
    losses: dict[int, list[float]] = {}
    for point in trained["history"]:
        if "loss" in point:
            losses.setdefault(math.ceil(point["epoch"]), []).append(point["loss"])
    return [mean(losses[epoch]) for epoch in sorted(losses)]


def falls(name: str) -> bool:
    """Whether a student's loss falls; layer by layer, while the second and last is trained."""
    losses = train(name)
    assert len(losses) == 4
    return (
        losses[-1]
        < (1.0 if name.startswith("tinybert-then") else 0.98)
        * losses[2 if STUDENTS.get(name, {}).get("stage") == "transfer" else 0]
    )


def test_every_recipe_has_its_cells() -> None:
    """That of decoders has them in tests/pipeline/test_decoders.py."""
    cells = {cell["recipe"] for cell in (*CELLS.values(), *VECTORS.values(), *RANKED.values())}
    assert cells == set(RECIPES) - {"divergence"}


@pytest.mark.parametrize(("project", "name"), MEASURED, indirect=["project"])
def test_it_trains_and_is_measured(project: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path.cwd() == project
    assert falls(name)
    monkeypatch.setattr("distill.core.numeric.RESAMPLES", 50)
    run(evaluate, "students", name)
    measured = json.loads(Path("data/metrics/students", f"{name}.json").read_text(encoding="utf-8"))
    assert measured["metric"] == TASK_SPECS[measured["task"]].metrics[0]
    assert -1 <= measured[measured["metric"]] <= 1
    assert (Path("data/students") / name / "model.safetensors").exists()


@pytest.mark.parametrize("project", ["masked-lm"], indirect=True)
def test_soft_targets_at_every_token_train_and_are_measured_at_masked_ones(project: Path) -> None:
    run(targets, "every")
    assert falls("every")
    for name in ("distilbert", "every"):
        if not Path("data/students", name).exists():
            train(name)
        run(evaluate, "students", name)
    every, some = (json.loads(Path("data/metrics/students", f"{name}.json").read_text()) for name in ("every", "distilbert"))
    assert set(every) == set(some)
    assert every["rows"] == some["rows"]


@pytest.mark.parametrize("project", [TAGS], indirect=True)
@pytest.mark.parametrize("name", OTHER_WIDTH)
def test_it_trains_a_random_student_that_is_narrower_than_its_teacher(project: Path, name: str) -> None:
    assert Path.cwd() == project
    assert falls(f"narrow-{name}")
