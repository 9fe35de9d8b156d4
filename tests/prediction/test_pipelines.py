"""What this pipeline saves is answered by transformers' own pipelines as `predict` answers, in every task that has one."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline, set_seed

from distill.data.dataset import Dataset
from distill.models.loading import load_model, save_model
from distill.params.inits import InitSettings
from distill.prediction.answers import answers, entities
from distill.prediction.model import open_model
from distill.prediction.rows import row_of
from distill.students.initialize import init_student
from distill.tasks.registry import task_of
from tests import tiny

TEXTS = ["w1 w2 w3", "w7", "w4 w4 w9 w1 w30"]
PAIRS = [{"text": text, "text_pair": "w3 w5"} for text in TEXTS]
Answer = dict[str, Any]


def by_class(place: Path, rows: list[Any]) -> list[Answer]:
    return [{"label": row["label"], "probability": row["score"]} for row in pipeline("text-classification", str(place))(rows)]


def by_label(place: Path, rows: list[Any]) -> list[Answer]:
    """The thresholds are those of config.json, which the pipeline does not read."""
    least = dict(zip(tiny.LABELS, json.loads((place / "config.json").read_text())["thresholds"], strict=True))
    chances = [
        {row["label"]: row["score"] for row in each} for each in pipeline("text-classification", str(place), top_k=None)(rows)
    ]
    return [
        {
            "labels": [name for name in least if row[name] >= least[name]],
            "probabilities": row,
            "confidence": math.prod(row[name] if row[name] >= least[name] else 1 - row[name] for name in least),
        }
        for row in chances
    ]


def by_number(place: Path, rows: list[Any]) -> list[Answer]:
    return [{"score": row["score"]} for row in pipeline("text-classification", str(place))(rows)]


def by_entity(place: Path, rows: list[Any]) -> list[Answer]:
    """Entities of the tags of all words, each of which is one token here."""
    found = []
    for text, words in zip(rows, pipeline("token-classification", str(place), ignore_labels=[])(rows), strict=True):
        spans = [(kind, words[first : last + 1]) for kind, first, last in entities([word["entity"] for word in words])]
        found.append({"entities": [
            {"type": kind, "text": text[part[0]["start"] : part[-1]["end"]], "start": part[0]["start"], "end": part[-1]["end"],
             "probability": sum(word["score"] for word in part) / len(part)} for kind, part in spans
        ], "confidence": min(word["score"] for word in words)})  # fmt: skip
    return found


def by_mask(place: Path, rows: list[Any]) -> list[Answer]:
    fills = pipeline("fill-mask", str(place))
    return [{"fills": [[{"token": fill["token_str"], "probability": fill["score"]} for fill in fills(text)]]} for text in rows]


CASES: dict[str, tuple[str, list[Any], Callable[[Path, list[Any]], list[Answer]]]] = {
    "classes": ("sequence-classification", TEXTS, by_class),
    "classes of pairs": ("sequence-classification", PAIRS, by_class),
    "several labels": ("multi-label", TEXTS, by_label),
    "numbers": ("regression", TEXTS, by_number),
    "numbers of pairs": ("regression", PAIRS, by_number),
    "entities": ("token-classification", TEXTS, by_entity),
    "masks": ("masked-lm", ["w1 [MASK] w3", "w5 w6 [MASK]"], by_mask),
}
ARCHITECTURE = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def saved(task: str, folder: Path) -> dict[str, Path]:
    """A teacher of a checkpoint that says nothing of its problem, and students of copied and of random layers."""
    dataset = Dataset.open(tiny.prepare_task(folder / "prepared", task))
    tokenizer = tiny.masking_tokenizer()
    tiny.save(tiny.family("bert", task_of(task).spec.head, vocab_size=dataset.vocabulary), folder / "checkpoint", tokenizer)
    set_seed(1)
    models = {"teacher": load_model(folder / "checkpoint", task_of(task), dataset.labels, new_head=True)}
    (folder / "teacher").mkdir()
    save_model(folder / "teacher", models["teacher"], tokenizer, dataset)
    for name, how in {"copied": {"depth": 2}, "random": {"architecture": ARCHITECTURE}}.items():
        init = InitSettings(**{"from": "data/teachers/a", **how})
        models[name] = init_student(init.model_copy(update={"source": str(folder / "teacher")}), dataset)
    for name, model in models.items():
        if task == "multi-label":
            model.config.thresholds = [0.3, 0.5, 0.6]
        save_model(folder / name, model, tokenizer, dataset)
    return {name: folder / name for name in models}


@pytest.mark.parametrize(("task", "rows", "expected"), CASES.values(), ids=CASES)
def test_predict_answers_as_transformers_own_pipeline(
    task: str, rows: list[Any], expected: Callable[[Path, list[Any]], list[Answer]], tmp_path: Path
) -> None:
    for name, place in saved(task, tmp_path).items():
        found = answers(open_model(place), [row_of(row, task) for row in rows])
        require_alike(found, expected(place, rows), name)


def require_alike(found: Any, expected: Any, where: str) -> None:
    """The same words, and numbers that are near."""
    if isinstance(found, dict):
        assert found.keys() == expected.keys(), where
        for key in found:
            require_alike(found[key], expected[key], where)
    elif isinstance(found, list):
        assert len(found) == len(expected), where
        for one, other in zip(found, expected, strict=True):
            require_alike(one, other, where)
    else:
        assert found == (pytest.approx(expected, abs=1e-4) if isinstance(found, float) else expected), where
