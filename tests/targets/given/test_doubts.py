"""What is said of answers that may be meant otherwise than they are read."""

from pathlib import Path

import numpy as np
import pytest

from distill.data.dataset import Dataset
from distill.params.given import GivenSettings
from distill.targets.given.doubts import doubts
from distill.targets.given.join import AnsweredSplit
from tests import tiny

SHARES = "its logits are all from 0 to 1, as probabilities are; if they are some: columns.probabilities"
ODDS = "its scores are all from 0 to 1, as probabilities are; scores of rankings are log-odds: give log(p / (1 - p))"


@pytest.mark.parametrize(
    ("task", "form", "logits", "told"),
    [
        ("sequence-classification", "logits", [[0.7, 0.2, 0.1], [0, 0, 1]], [SHARES]),
        ("sequence-classification", "probabilities", [[0.7, 0.2, 0.1]], []),
        ("sequence-classification", "logits", [[0.7, 0.2, 0.1], [0.9, 0.9, 0.1]], []),
        ("sequence-classification", "logits", [[0.7, 0.2, 0.1], [3, -1, 0.1]], []),
        ("multi-label", "logits", [[0.7, 0.2, 0.8]], [SHARES]),
        ("token-classification", "logits", [[0.5, 0.25, 0.25], [np.nan] * 3], [SHARES]),
        ("regression", "score", [[0], [100]], ["its scores are from 0 to 100, the labels from"]),
        ("regression", "logits", [[1], [1]], []),
        ("ranking", "score", [[0.2], [0.9]], [ODDS]),
        ("ranking", "score", [[-3], [0.9]], []),
    ],
)
def test_answers_that_may_be_meant_otherwise_are_said(
    tmp_path: Path, task: str, form: str, logits: list[list[float]], told: list[str]
) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", task))
    settings = GivenSettings.model_validate({"table": "data/raw/x", "dataset": "x", "columns": {"text": "t", form: "a"}})
    part = AnsweredSplit(np.arange(len(logits)), np.float32(logits))
    found = list(doubts(dataset, {"train": part}, settings))
    assert [line.startswith(start) for line, start in zip(found, told, strict=True)] == [True] * len(told)


@pytest.mark.parametrize(("tags", "told"), [((0, 2, 2), 1), ((0, 1, 2), 0), ((0, 0, 0), 0)])
def test_entities_that_begin_with_another_letter_than_those_of_the_data_are_said(tmp_path: Path, tags, told: int) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", "token-classification"))
    assert dataset.labels[:3] == ("O", "B-animal", "B-plant")
    numbers = [dataset.labels.index(("O", "B-animal", "I-animal")[tag]) for tag in tags]
    part = AnsweredSplit(np.arange(len(tags)), np.eye(len(dataset.labels), dtype=np.float32)[numbers])
    columns = {"tokens": "t", "probabilities": "a"}
    settings = GivenSettings.model_validate({"table": "data/raw/x", "dataset": "x", "columns": columns})
    assert len([*doubts(dataset, {"train": part}, settings)]) == told
