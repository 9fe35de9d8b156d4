"""Students learn from given sets: from what is there as from a teacher, and from nothing that is not there."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from distill.audit.audit import audit_store
from distill.data.averaging import mean_divisors
from distill.data.batching import Collator
from distill.data.dataset import PreparedRows
from distill.evaluation.teacher_answers import TeacherAnswers, score_answers
from distill.losses.ranking import listwise_kl, margin_mse
from distill.params.given import GivenSettings
from distill.sources.files import read_local
from distill.sources.streams import Stream
from distill.store.loader import TargetLoader
from distill.store.target_set import TargetStore
from distill.targets.ensemble import write_mean
from distill.targets.given.join import join
from distill.targets.given.table import read_answers
from distill.targets.given.write import write_given
from distill.targets.tables import write_tables
from distill.targets.verification.integrity import check
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from tests.formulas import Problem, gradients, loss_of, settings
from tests.target_specs import target_spec

TASKS = ("sequence-classification", "multi-label", "regression", "token-classification", "ranking")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Problem]:
    """Tiny data sets, teachers and their sets of logits: read only."""
    return cache(lambda task: Problem(tmp_path_factory.mktemp(task), task, target_spec()))


def given_set(
    problem: Problem,
    folder: Path,
    drop: Callable[[int], bool] = lambda row: False,
    change: Callable[[int, list[Any]], list[Any]] | None = None,
) -> TargetStore:
    """A computed set published as tables, less some rows, and read again as a given set of the same logits, or changed ones."""
    files = write_tables(folder / "tables", problem.store, problem.dataset)
    entry = {"table": "data/raw/x", "dataset": "tiny", "columns": {"id": "id", "logits": "logits"}, "missing": "skip"}
    how = GivenSettings.model_validate(entry)
    tables = read_local(files[0].parent)
    for split, stream in tables.items():
        table = stream.table()
        ids = {name: number for number, name in enumerate(dict.fromkeys(table["id"].to_pylist()))}
        kept = table.filter(pa.array([not drop(ids[name]) for name in table["id"].to_pylist()]))
        if change is not None:
            told = [change(ids[row["id"]], row["logits"]) for row in kept.to_pylist()]
            kept = kept.set_column(kept.column_names.index("logits"), kept.schema.field("logits"), [told])
        tables[split] = Stream(kept.schema, lambda names, kept=kept: iter(kept.select(names).to_batches()))
    found = read_answers(tables, "tables", how, problem.task, problem.dataset.labels)
    splits, strangers = join(found, problem.dataset, how, "tables")
    assert strangers == 0
    write_given(folder / "targets" / "api", problem.dataset, splits, how)
    return TargetStore.open(folder / "targets" / "api")


def logits(store: TargetStore, rows: PreparedRows, split: str = "train") -> np.ndarray:
    reader = store.output("logits", split)
    return reader.gather(reader.locate(rows.ids)).numpy()


@pytest.mark.parametrize("task", TASKS)
def test_a_computed_set_that_was_published_and_given_has_the_same_logits_and_student_loss(problems, task, tmp_path):
    problem, losses = problems(task), []
    store = given_set(problem, tmp_path)
    for split in problem.dataset.splits:
        rows = problem.dataset.rows(split)
        computed, given = (logits(each, rows, split) for each in (problem.store, store))
        known = np.isfinite(given).all(axis=1)
        np.testing.assert_array_equal(given[known], computed[known])
        if task == "token-classification":
            assert known.tolist() == (rows.labels != -100).tolist()
        else:
            assert known.all()
    student = problem.student()
    for targets in (problem.store, store) if task != "token-classification" else ():
        objective, collator = problem.objective("hinton", student, targets)
        loss, _ = loss_of(objective, student, collator(list(range(min(20, len(collator))))))
        losses.append((loss, gradients(objective, student, loss)))
    for one, other in zip(*losses, strict=True) if losses else ():
        assert torch.equal(one, other)


def soft_loss(task: str, student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    """T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)), a mean over lines, or the squared error, in float64."""
    if task in ("regression", "ranking"):
        return float(np.square(student - teacher).mean())

    def logs(z: np.ndarray) -> np.ndarray:
        shifted = z / temperature - (z / temperature).max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    p = np.exp(logs(teacher))
    return float(temperature**2 * (p * (logs(teacher) - logs(student))).sum(axis=1).mean())


@pytest.mark.parametrize("task", TASKS)
def test_where_answers_are_lacking_the_loss_is_the_mean_over_those_that_are_there(problems, task, tmp_path):
    problem = problems(task)
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    student, objective = problem.student(), problem.objective("hinton", problem.student(), store)[0]
    rows, readers = problem.mixed, store.outputs(["logits"], "train")
    collator = Collator(rows, readers)
    answered = store.output("logits", "train").find(rows.ids) >= 0
    labelled = (np.arange(len(rows)) if rows.groups is None else rows.groups) % 3 == 0
    assert 0 < answered.sum() < len(rows)
    np.testing.assert_array_equal(collator.chosen, np.flatnonzero(answered | labelled))

    with torch.no_grad():
        batch = collator(list(range(len(collator))))
        loss, values = loss_of(objective, student, batch)
        kind, mask = task_of(task), batch.get("attention_mask")
        inputs = {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask") if name in batch}
        lines = kind.align(student(**inputs).logits, mask).double().numpy()
    teacher = kind.comparable(batch["targets"]["logits"], mask).double().numpy()
    known = np.isfinite(teacher).all(axis=1)
    assert 0 < known.sum() < len(known)
    expected = soft_loss(task, lines[known], teacher[known], settings("hinton").temperature)
    assert values["soft_targets"].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert loss.isfinite()

    whole = gradients(objective, student, loss_of(objective, student, batch)[0])
    size = len(collator) // 3
    parts = [collator(list(range(start, stop))) for start, stop in ((0, size), (size, 2 * size), (2 * size, len(collator)))]
    divisors = mean_divisors(parts)
    losses = [loss_of(objective, student, {**part, "divisors": divisors})[0] for part in parts]
    torch.testing.assert_close(gradients(objective, student, torch.stack(losses).mean()), whole, rtol=1e-4, atol=1e-5)


def test_passages_are_compared_with_those_of_their_query_that_have_a_score_whatever_the_parts_of_a_batch(problems, tmp_path):
    """Of one query none has, of others some."""
    problem = problems("ranking")
    rows = problem.dataset.rows("train")
    gone = {number for number, group in enumerate(rows.groups.tolist()) if group == 2 or (group % 2 and number % 3 == 0)}
    store = given_set(problem, tmp_path, gone.__contains__)
    student = problem.student()
    for variant in ("listwise", "margin_mse"):
        objective, _ = problem.objective(variant, student, store, hard_weight=0.0)
        collator = Collator(rows, store.outputs(["logits"], "train"))
        batch = collator(list(range(len(collator))))
        kept = batch["targets"]["logits"].isfinite()[:, 0]
        assert 0 < kept.sum() < len(kept)
        whole, parts = loss_of(objective, student, batch)[0], [[0, 1], [2], list(range(3, len(collator)))]
        alone = [collator(part) for part in parts]
        divisors = mean_divisors(alone)
        losses = [loss_of(objective, student, {**part, "divisors": divisors})[0] for part in alone]
        assert losses[1].item() == 0
        torch.testing.assert_close(torch.stack(losses).mean(), whole, rtol=1e-4, atol=1e-6)
        formula = {"listwise": lambda *z: listwise_kl(z[0], z[1], z[3], 0.5), "margin_mse": margin_mse}[variant]
        with torch.no_grad():
            own = student(
                **{name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask") if name in batch}
            ).logits
        expected = formula(own[kept, 0], batch["targets"]["logits"][kept, 0], batch["labels"][kept], batch["groups"][kept])
        torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-6)


def test_a_loss_without_labels_steps_over_answered_rows_alone_and_one_of_labels_over_all_labelled(problems, tmp_path):
    problem = problems("sequence-classification")
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    rows = problem.dataset.rows("train")
    answered = store.output("logits", "train").find(rows.ids) >= 0
    for variant, changed, chosen in (
        ("hinton", {"alpha": 0.0}, np.flatnonzero(answered)),
        ("hinton", {}, np.arange(len(rows))),
        ("supervised", {}, np.arange(len(rows))),
    ):
        objective, collator = problem.objective(variant, problem.student(), store, **changed)
        np.testing.assert_array_equal(collator.chosen, chosen)
        assert loss_of(objective, problem.student(), collator([0, 1, 2]))[0].isfinite()


def test_a_batch_without_any_answer_learns_from_its_labels_alone(problems, tmp_path):
    problem = problems("sequence-classification")
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    student = problem.student()
    objective, collator = problem.objective("hinton", student, store)
    gone = np.flatnonzero(store.output("logits", "train").find(problem.dataset.rows("train").ids) < 0)[:3]
    loss, values = loss_of(objective, student, collator(gone.tolist()))
    assert values["soft_targets"].item() == 0
    assert values["hard_labels"].item() > 0
    assert gradients(objective, student, loss).isfinite().all()


@pytest.mark.parametrize("task", TASKS)
def test_audit_and_evaluation_look_at_answered_rows(problems, task, tmp_path):
    problem, kind = problems(task), task_of(task)
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    rows = problem.dataset.rows("train")
    there = {identity.tobytes().hex() for identity in store.output("logits", "train").ids}
    audited = audit_store(problem.dataset, store)
    assert set(audited["example_id"].to_pylist()) <= there
    assert 0 < len(audited) < len(rows)
    split, validation = (EvaluationSplit.from_dataset(problem.dataset, name) for name in ("test", "validation"))
    answers = TeacherAnswers.of(store, kind, problem.dataset, split, validation)[0]
    whole = TeacherAnswers.of(problem.store, kind, problem.dataset, split, validation)[0]
    assert whole.lines is None
    assert 0 < len(answers.split.rows) < len(split.rows)
    known = np.isfinite(answers.kept).all(axis=1)
    columns = answers.kept.shape[1] // (2 if task == "multi-label" else 1)  # thresholds are tuned on other rows
    np.testing.assert_array_equal(answers.kept[known, :columns], whole.rows_of(whole.kept)[answers.lines][known, :columns])
    assert all(np.isfinite(value) for value in kind.relation(answers.kept, answers.kept, answers.split).values())
    assert all(np.isfinite(value) for scores in score_answers(store, problem.dataset).values() for value in scores.values())


@pytest.mark.parametrize("task", ["sequence-classification", "token-classification"])
def test_an_ensemble_of_a_given_and_a_computed_set_lacks_what_was_not_given(problems, task, tmp_path, capsys):
    problem = problems(task)
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    for name, first, second in (("one", store, problem.store), ("other", problem.store, store)):
        write_mean(tmp_path / "targets" / name, first, second, 0.25)
        mean = TargetStore.open(tmp_path / "targets" / name)
        for split, part in store.manifest("logits").splits.items():
            assert mean.manifest("logits").splits[split].lacking == part.lacking > 0
            ids = store.output("logits", split).ids
            found, given = (each.output(*("logits", split)) for each in (mean, store))
            expected = given.gather(given.locate(ids))  # both have the same logits
            torch.testing.assert_close(found.gather(found.locate(ids)), expected, equal_nan=True)
        wanted = {str(each["fingerprint"]): problem.dataset.rows(split).ids for split, each in problem.dataset.splits.items()}
        assert check(tmp_path / "targets" / name, wanted).problems == []
    assert "rows have answers of both sets" in capsys.readouterr().err


def test_any_training_loop_reads_a_given_set(problems, tmp_path):
    problem = problems("sequence-classification")
    store = given_set(problem, tmp_path, lambda row: row % 4 == 1)
    batches = list(TargetLoader(store, "train", ("logits",), batch_size=8))
    assert sum(len(batch["logits"]) for batch in batches) == len(store.output("logits", "train"))
    assert all(batch["logits"].isfinite().all() for batch in batches)


def test_what_a_hidden_recipe_reads_a_given_set_lacks_in_one_line(problems, tmp_path):
    problem = problems("sequence-classification")
    store = given_set(problem, tmp_path)
    from distill.core.errors import UserError

    with pytest.raises(UserError, match="was given, as answers alone: no hidden-.*; take a recipe of logits, such as hinton"):
        problem.objective("distilbert", problem.student("distilbert"), store)


def test_hidden_states_are_published_when_they_are_asked_for(tmp_path):
    problem = Problem(tmp_path, "sequence-classification", target_spec(hidden=(1,), cls=(2,), codec="fp32"))
    files = write_tables(tmp_path / "tables", problem.store, problem.dataset, ["hidden-01", "cls-02"])
    table = read_local(files[0].parent)["train"].table()
    rows, reader = problem.dataset.rows("train"), problem.store.output("hidden-01", "train")
    expected = reader.gather(reader.locate(rows.ids[:1])).numpy()
    np.testing.assert_array_equal(np.array(table["hidden-01"].to_pylist()[0], np.float32), expected)
    assert len(table["cls-02"].to_pylist()[0]) == 16
    assert "hidden-01" not in read_local(files[0].parent)["test"].schema.names


@pytest.mark.parametrize("task", TASKS)
def test_tables_say_what_was_read_and_are_read_by_pandas_and_datasets(problems, task, tmp_path):
    import datasets
    import pandas as pd

    problem = problems(task)
    write_tables(tmp_path / "tables", problem.store, problem.dataset)
    frame = pd.read_parquet(tmp_path / "tables" / "train.parquet")
    rows, names = problem.dataset.rows("train"), problem.dataset.labels
    assert len(frame) == len(rows)
    words = "tokens" if task == "token-classification" else "text"
    assert list(map(str, frame[words][0])) == list(map(str, problem.dataset.texts("train")[words.replace("tokens", "words")][0]))
    if task == "sequence-classification":
        assert frame["label"].tolist() == [names[label] for label in rows.labels]
        np.testing.assert_allclose(np.stack(frame["probabilities"]).sum(axis=1), 1, atol=1e-6)
    else:
        assert len(frame["label"].dropna()) == len(rows)
    if task != "token-classification":
        np.testing.assert_array_equal(np.stack(frame["logits"]), logits(problem.store, rows))
    cache_dir = tmp_path / "cache"
    loaded = datasets.load_dataset(str(tmp_path / "tables"), cache_dir=str(cache_dir))
    assert {split: len(part) for split, part in loaded.items()} == {
        s: len(problem.dataset.rows(s)) for s in problem.dataset.splits
    }


def test_tables_are_of_tasks_with_an_answer_a_row_or_word(tmp_path):
    from distill.core.errors import UserError

    problem = Problem(tmp_path, "question-answering", target_spec())
    with pytest.raises(UserError, match="question-answering: its targets are two logits for each token of a window"):
        write_tables(tmp_path / "tables", problem.store, problem.dataset)
