"""`make compare`: the plain loop, which has nothing of this project, ends where a student of the store does."""

import json
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from distill.models.predict import predict
from distill.students.objective import objective_and_rows
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.training.trainer import train
from tests.benchmarks.compare.__main__ import STUDENT, summary, table, write_rows
from tests.benchmarks.compare.live_teacher import main
from tests.formulas import random_model, settings
from tests.stores import stored
from tests.target_specs import target_spec

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def test_the_loop_with_a_live_teacher_ends_where_the_student_of_the_store_does(tmp_path: Path, prepared: Path, dataset) -> None:
    teacher, student = random_model(dataset, layers=4, seed=1), random_model(dataset, layers=2, seed=5, **NO_DROPOUT)
    for name, model in {"teacher": teacher, "initial": student}.items():
        model.save_pretrained(tmp_path / name)
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/tiny").symlink_to(prepared)
    write_rows(tmp_path, "tiny")
    how = {**STUDENT, "batch_size": 60, "epochs": 8, "learning_rate": 1e-3}  # all rows in a step: their order says nothing
    paths = {name: str(tmp_path / name) for name in ("teacher", "initial", "student")}
    main("loop", {**how, **paths, "seed": 1, "rows": str(tmp_path / "rows.jsonl")})
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").eval()
    chosen = settings("hinton", **how, precision="fp32")
    objective, rows = objective_and_rows(chosen, student, dataset, stored(teacher, dataset, tmp_path / "targets", target_spec()))
    validation = EvaluationSplit.from_dataset(dataset, "validation")
    where = {"scratch": tmp_path / "scratch", "title": "test", "metric": dataset.metric}
    train(student, rows, validation, chosen, objective, seed=1, keep="last", **where)
    task, before = task_of(dataset.task), random_model(dataset, layers=2, seed=5)
    expected, found = (torch.as_tensor(predict(model, task, validation.rows, "x")) for model in (theirs, student))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert (found - torch.as_tensor(predict(before, task, validation.rows, "x"))).abs().max() > 0.1


def test_rows_are_written_as_they_are_tokenized(tmp_path: Path, prepared: Path, dataset) -> None:
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/tiny").symlink_to(prepared)
    write_rows(tmp_path, "tiny")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = dataset.rows("train")
    assert [len(line["input_ids"]) for line in lines] == rows.lengths.tolist()
    assert [token for line in lines for token in line["input_ids"]] == rows.tokens.tolist()
    assert [line["labels"] for line in lines] == rows.labels.tolist()


def test_ratios_are_those_of_a_round_and_medians_over_rounds() -> None:
    rounds = [
        {"textbrewer": {"seconds": seconds, "score": 90.0}, "fp32": {"seconds": 10.0, "further": 5.0, "score": score}}
        for seconds, score in ((20.0, 91.0), (30.0, 92.0), (90.0, 95.0))
    ]
    found = summary("sst2", "fp32", rounds)
    assert found == {
        "task": "sst2", "way": "fp32", "seconds": 10.0, "further": 5.0, "score": 92.0, "faster": 3.0, "further_faster": 6.0
    }  # fmt: skip
    assert table([found]).splitlines()[-1] == "| sst2 | ours, fp32 | 92.0 | 10 | 3.0× | 5 s, 6.0× |"
