import contextlib
import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from distill.core.errors import UserError
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.params.students import StudentSettings
from distill.params.training import TrainingSettings
from distill.store.target_set import TargetStore
from distill.students import distill as distillation
from distill.students import objective as objectives
from distill.students.distill import distill_student
from distill.students.objective import objective_and_rows
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.tasks.sequence_classification import SequenceClassification
from distill.training import trainer as training
from distill.training.objective import supervised
from distill.training.trainer import DistillationTrainer, run_key, selection, train
from tests import tiny
from tests.distilling import Interrupt, distil, weights
from tests.formulas import settings as recipe_settings
from tests.stores import materialize
from tests.target_specs import target_spec

TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32"}
INTERMEDIATE = {"layer_map": (1, 3)}


def settings(**changed: object) -> TrainingSettings:
    return TrainingSettings(**{**TRAINING, **changed})


def student_settings(variant: str, **changed: object) -> StudentSettings:
    return recipe_settings(variant, **{**TRAINING, **changed})


@pytest.fixture(scope="module")
def store(tmp_path_factory, dataset) -> TargetStore:
    folder = tmp_path_factory.mktemp("store") / "tiny"
    job = target_spec(hidden=(0, 1, -1), attention=(1, -1))
    return TargetStore.open(materialize(tiny.bert(layers=3, seed=1), dataset, folder, job))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(scope="module")
def few(tmp_path_factory, tokenizer) -> Dataset:
    """54 rows of different lengths, of which every third has a label."""
    texts, labels = tiny.rows(54, 3)
    some = [label if i % 3 == 0 else "" for i, label in enumerate(labels)]
    return Dataset.open(tiny.prepare_rows(tmp_path_factory.mktemp("few") / "few", tokenizer, texts, some))


@pytest.fixture(scope="module")
def few_targets(tmp_path_factory, few) -> TargetStore:
    folder = tmp_path_factory.mktemp("store") / "few"
    return TargetStore.open(materialize(tiny.bert(layers=3, seed=1), few, folder, target_spec(hidden=(-1,), codec="fp32")))


def run(dataset, scratch, chosen=None, seed=1, model=None):
    model = model or tiny.bert(hidden_dropout_prob=0.1)
    trained = train(
        model,
        Collator(dataset.rows("train"), labelled_only=True),
        EvaluationSplit.from_dataset(dataset, "validation"),
        chosen or settings(),
        supervised(task_of(dataset.task)),
        seed=seed,
        metric="accuracy",
        scratch=scratch,
        title="test",
    )
    return model, trained


def test_what_can_be_learnt_is_learnt_and_the_curve_is_kept(tmp_path, dataset):
    _, trained = run(dataset, tmp_path / "run", settings(epochs=16))
    losses = [entry["loss"] for entry in trained.history if "loss" in entry]
    found = [entry["score"] for entry in trained.history if "score" in entry]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert len(found) == 16
    assert trained.best_score == max(found) > 0.6
    assert json.dumps(trained.record(1))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["finished"]


def scored(monkeypatch, *scores: float) -> None:
    """Epochs have these scores."""
    each = iter(scores)
    monkeypatch.setattr(SequenceClassification, "score", lambda *_: next(each))


def epochs_scored(trained) -> int:
    return len([entry for entry in trained.history if "score" in entry])


def test_the_model_ends_as_its_best_epoch_left_it(tmp_path, dataset, monkeypatch):
    scored(monkeypatch, 0.3, 0.9, 0.5)
    states = []
    original = DistillationTrainer._save_checkpoint

    def remember(self, *arguments):
        states.append(weights(self.model.model))
        original(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "_save_checkpoint", remember)
    model, trained = run(dataset, tmp_path / "run")
    assert (trained.best_epoch, trained.best_score) == (2, 0.9)
    torch.testing.assert_close(weights(model), states[1])
    assert not torch.equal(states[1], states[2])


def test_of_equally_good_epochs_the_one_with_the_lower_log_loss_is_kept(tmp_path, dataset, monkeypatch):
    scored(monkeypatch, 0.5, 0.5)
    _, trained = run(dataset, tmp_path / "run", settings(epochs=2))
    assert (trained.best_epoch, trained.best_score) == (2, 0.5)


@pytest.mark.parametrize(
    ("better", "worse"),
    [((0.994, 5e6), (0.501, 5e5)), ((0.5, 0.3), (0.5, 0.4)), ((0.5, 1e9), (0.5 - 2e-7, 0.0)), ((0.5, 1.0), (0.5, 1e4))],
    ids=["a higher score, whatever the loss", "a lower loss", "bounded", "a lower loss in other units"],
)
def test_the_score_decides_and_of_equal_ones_the_loss_however_large_its_unit(better, worse):
    assert selection(*better) > selection(*worse)
    assert not any(math.isfinite(selection(*pair)) for pair in ((math.nan, 1.0), (0.5, math.inf), (0.5, math.nan)))


def test_the_same_seed_gives_the_same_student_and_another_a_different_one(tmp_path, dataset):
    first, second, other = (weights(run(dataset, tmp_path / str(i), seed=seed)[0]) for i, seed in enumerate((1, 1, 2)))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_half_written_checkpoint_is_passed_over(tmp_path, dataset):
    broken = tmp_path / "run" / "checkpoint-99"
    broken.mkdir(parents=True)
    (broken / "trainer_state.json").write_text('{"epoch": ')
    _, trained = run(dataset, tmp_path / "run")
    assert epochs_scored(trained) == 3


def test_no_epochs_leave_the_model_as_it_is(tmp_path, dataset):
    model, trained = run(dataset, tmp_path, settings(epochs=0))
    assert torch.equal(weights(model), weights(tiny.bert(hidden_dropout_prob=0.1)))
    assert trained.history == []


def test_training_stops_early_when_the_score_no_longer_rises(tmp_path, dataset, monkeypatch):
    scored(monkeypatch, *[0.5] * 9)
    _, trained = run(dataset, tmp_path / "run", settings(epochs=9, patience=2))
    assert epochs_scored(trained) == 3


def test_a_run_that_was_killed_after_it_had_ended_is_not_trained_on(tmp_path, dataset, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    scored(monkeypatch, *[0.5] * 3)
    chosen = settings(epochs=9, patience=2)
    with monkeypatch.context() as patched:
        patched.setattr(training, "remember", killed)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, tmp_path / "run", chosen)
    scored(monkeypatch, *[0.9] * 6)
    model, trained = run(dataset, tmp_path / "run", chosen)
    assert epochs_scored(trained) == 3
    assert not [*(tmp_path / "run").glob("checkpoint-*")]
    again, the_same = run(dataset, tmp_path / "run", chosen)
    assert the_same == trained
    assert torch.equal(weights(again), weights(model))
    scored(monkeypatch, *[0.5] * 3)
    whole, undisturbed = run(dataset, tmp_path / "whole", chosen)
    assert undisturbed.history == trained.history
    assert torch.equal(weights(whole), weights(model))


def test_a_loss_that_diverges_in_any_step_or_the_last_ones_of_an_epoch_is_one_clear_line(tmp_path, dataset, monkeypatch):
    broken = tiny.bert()
    torch.nn.init.constant_(broken.classifier.weight, float("nan"))
    with pytest.raises(UserError, match="the loss diverged before step .*: nan; lower learning_rate"):
        run(dataset, tmp_path / "run", model=broken)
    monkeypatch.setattr(SequenceClassification, "loss", lambda *_: float("nan"))
    with pytest.raises(UserError, match="the loss diverged before step 8: nan; lower learning_rate"):
        run(dataset, tmp_path / "validated")


def test_gradient_accumulation_gives_the_step_of_the_larger_batch(tmp_path, few, few_targets):
    """Its batches hold unequally many tokens and labels, and the last step has a batch of four rows and one of two."""
    common = {"epochs": 1, "schedule": "constant", "warmup": 0.0, "group_by_length": False, "learning_rate": 1e-3}
    models = [tiny.bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0) for _ in range(2)]
    curves = []
    for i, (size, steps) in enumerate([(12, 1), (4, 3)]):
        chosen = student_settings("distilbert", batch_size=size, gradient_accumulation=steps, **common)
        trained, _ = distil(few, few_targets, tmp_path / str(i), chosen, models[i])
        curves.append([entry["loss"] for entry in trained.history if "loss" in entry])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    torch.testing.assert_close(weights(models[0]), weights(models[1]), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("variant", "how", "rows"),
    [
        ("supervised", {}, 18),
        ("hinton", {"alpha": 1.0}, 18),
        ("hinton", {"alpha": 0.5}, 54),
        ("hinton", {"alpha": 0.0}, 54),
        ("distilbert", {"soft_weight": 0.0, "cosine_weight": 0.0}, 18),
        (None, {}, 18),
    ],
)
def test_a_run_steps_over_the_rows_that_its_loss_reads_anything_of(
    tmp_path, few, few_targets, variant, how, rows, monkeypatch, capsys
):
    """`None` is a teacher. Steps and the schedule are those of these rows."""
    seen, original = [], Collator.__call__

    def gather(self, indices):
        seen.extend(self.chosen[list(indices)].tolist())
        return original(self, indices)

    monkeypatch.setattr(Collator, "__call__", gather)
    if variant is None:
        _, trained = run(few, tmp_path / "run", settings(epochs=2, warmup=0.0))
    else:
        chosen = student_settings(variant, epochs=2, warmup=0.0, **how)
        trained, _ = distil(few, few_targets, tmp_path / "run", chosen, tiny.bert(layers=2))
    assert sorted(seen) == sorted([*range(0, 54, 54 // rows)] * 2)
    assert (trained.rows, trained.steps) == (rows, 2 * -(-rows // 8))
    rates = [entry["learning_rate"] for entry in trained.history if "loss" in entry]
    assert rates[-1] == pytest.approx(TRAINING["learning_rate"] / trained.steps)
    assert ("trains on 18 of 54 rows" in capsys.readouterr().err) == (rows == 18)


def test_rows_without_labels_change_nothing_in_what_is_learnt_from_labels_alone(tmp_path, few, tokenizer):
    texts, labels = tiny.rows(54, 3)
    alone = Dataset.open(tiny.prepare_rows(tmp_path / "alone", tokenizer, texts[::3], labels[::3]))
    among, plain = (weights(run(each, tmp_path / "run")[0]) for each in (few, alone))
    assert torch.equal(among, plain)


def test_rows_of_weight_0_are_not_trained_on_if_labels_are_all_that_is_learnt(few, few_targets, monkeypatch):
    monkeypatch.setattr(objectives, "row_weights", lambda *_: np.arange(54, dtype=np.float32) % 2)
    for alpha, rows in ((1.0, 9), (0.5, 54)):
        chosen = student_settings("hinton", alpha=alpha, sample_weight={"suspect": 0.0})
        assert len(objective_and_rows(chosen, tiny.bert(layers=2), few, few_targets)[1]) == rows


def test_labels_that_are_all_that_is_learnt_and_not_there_are_one_line(tmp_path, tokenizer):
    nothing = Dataset.open(tiny.prepare_rows(tmp_path / "none", tokenizer, tiny.rows(16, 3)[0], [""] * 16))
    store = TargetStore.open(materialize(tiny.bert(layers=3, seed=1), nothing, tmp_path / "targets", target_spec()))
    with pytest.raises(UserError, match=r"^test: no training row has a label .* recipe: hinton, alpha: 0$"):
        run(nothing, tmp_path / "run")
    distil(nothing, store, tmp_path / "run", student_settings("hinton", alpha=0.0, epochs=1), tiny.bert(layers=2))  # the advice


def test_a_run_key_tells_runs_apart(dataset, monkeypatch):
    model, usual, rows = tiny.bert(), settings(), Collator(dataset.rows("train"))
    validation = EvaluationSplit.from_dataset(dataset, "validation")
    key = run_key(usual, dataset, rows, validation, model)
    assert key == run_key(usual, dataset, Collator(dataset.rows("train")), validation, tiny.bert())
    relabelled = replace(rows.rows, labels=np.roll(rows.rows.labels, 1))
    judged = replace(validation, rows=replace(validation.rows, labels=np.roll(validation.rows.labels, 1)))
    others = [
        (settings(epochs=4), dataset, rows, validation, model),
        (usual, dataset, rows, validation, tiny.bert(seed=3)),
        (usual, dataset, rows, validation, model, "another teacher's"),
        (usual, dataset, Collator(relabelled), validation, model),
        (usual, dataset, Collator(rows.rows, weights=np.full(60, 0.5, np.float32)), validation, model),
        (usual, replace(dataset, metric="mcc"), rows, validation, model),
        (usual, dataset, rows, judged, model),
        (usual, dataset, rows, replace(validation, expected=np.zeros(3)), model),
        (usual, dataset, rows, replace(validation, examples=pa.table({"answers": [["w1"]]})), model),
    ]
    assert all(key != run_key(*other) for other in others)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert key != run_key(usual, dataset, rows, validation, model)


@pytest.mark.parametrize(
    ("variant", "how"), [("supervised", {}), ("tinybert-intermediate", INTERMEDIATE), ("hinton", {"epochs": 20})]
)  # the last one logs every third of its epochs of eight steps
def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(tmp_path, dataset, store, variant, how):
    """So does a projection, which is trained and resumed with the student and is no part of it."""
    chosen = student_settings(variant, **how)
    undisturbed, interrupted, resumed = (tiny.bert(layers=2, width=8, seed=4, hidden_dropout_prob=0.1) for _ in range(3))
    names = set(resumed.state_dict())
    torch.manual_seed(1)
    fresh = objective_and_rows(chosen, resumed, dataset, store)[0].extra_modules
    whole, whole_objective = distil(dataset, store, tmp_path / "a", chosen, undisturbed)
    with pytest.raises(KeyboardInterrupt):
        distil(dataset, store, tmp_path / "b", chosen, interrupted, [Interrupt])
    *_, checkpoint = (tmp_path / "b").glob("checkpoint-*")
    files = {path.name for path in checkpoint.iterdir()}
    assert "optimizer.safetensors" in files
    assert all(Path(name).suffix in {".json", ".safetensors"} for name in files)
    kept = {name for name in load_file(checkpoint / "model.safetensors") if name.startswith("extra_modules.")}
    rest, objective = distil(dataset, store, tmp_path / "b", chosen, resumed)
    assert torch.equal(weights(resumed), weights(undisturbed))
    assert rest.history == whole.history
    assert set(resumed.state_dict()) == names
    assert len(kept) == (2 if fresh else 0)
    if fresh:
        assert torch.equal(weights(objective.extra_modules), weights(whole_objective.extra_modules))
        assert not torch.equal(weights(objective.extra_modules), weights(fresh))


def test_where_no_head_is_trained_the_last_epoch_is_kept_and_the_seed_of_the_lowest_loss(
    tmp_path, dataset, store, tokenizer, monkeypatch
):
    monkeypatch.setattr(training, "predict", None)  # nothing is validated
    initial = tiny.save(tiny.bert(layers=2, width=8), tmp_path / "initial", tokenizer)
    projections = []
    original = distillation.train

    def remember(*arguments, **options):
        projections.append(weights(arguments[4].extra_modules))
        return original(*arguments, **options)

    monkeypatch.setattr(distillation, "train", remember)
    chosen = student_settings("tinybert-intermediate", seeds=[1, 2], **INTERMEDIATE)
    ends = []
    for place in ("a", "b"):
        runs = distill_student(initial, dataset, store, chosen, tmp_path / place, tmp_path / f"scratch-{place}", "test")
        ends.append(load_file(tmp_path / place / "model.safetensors"))
    assert [(run.best_epoch, run.best_score) for run in runs.values()] == [(3, None)] * 2
    other = max(runs, key=lambda seed: runs[seed].last_loss)
    assert [path.name for path in (tmp_path / "a" / "seeds").iterdir()] == [str(other)]
    assert not torch.equal(projections[0], projections[1])
    assert torch.equal(projections[0], projections[2])
    assert not any("extra_modules" in name for name in ends[0])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class Plain:
    """Batches that are gathered when they are asked for."""

    def __init__(self, items, ahead):
        self.items = items

    def __next__(self):
        return next(self.items)

    def close(self):
        pass


@pytest.mark.parametrize(("accumulation", "grouped"), [(1, True), (3, False)])
def test_gathering_ahead_changes_nothing(tmp_path, dataset, store, monkeypatch, accumulation, grouped):
    chosen = student_settings("distilbert", epochs=2, gradient_accumulation=accumulation, group_by_length=grouped)
    ahead, plain = (tiny.bert(layers=2, seed=4, hidden_dropout_prob=0.1) for _ in range(2))
    first, _ = distil(dataset, store, tmp_path / "a", chosen, ahead)
    monkeypatch.setattr(training, "Prefetched", Plain)
    second, _ = distil(dataset, store, tmp_path / "b", chosen, plain)
    assert torch.equal(weights(ahead), weights(plain))
    assert first.history == second.history


@pytest.mark.slow
def test_worker_processes_change_nothing(tmp_path, dataset, store):
    chosen = student_settings("distilbert", epochs=1)
    alone, helped = (tiny.bert(layers=2, seed=4) for _ in range(2))
    distil(dataset, store, tmp_path / "a", chosen, alone)
    distil(dataset, store, tmp_path / "b", chosen.model_copy(update={"workers": 2}), helped)
    assert torch.equal(weights(alone), weights(helped))


@pytest.mark.parametrize("batch", [0, 1, 4, None])
def test_batches_are_gathered_by_a_thread_whose_errors_reach_the_user(tmp_path, dataset, batch, monkeypatch):
    """While the step before is computed; the first two of the eight are waited for."""
    original, threads = Collator.__call__, []

    def gather(self, indices):
        threads.append(threading.current_thread().name.partition("_")[0])
        if len(threads) - 1 == batch:
            raise UserError("the shard is gone")
        return original(self, indices)

    monkeypatch.setattr(Collator, "__call__", gather)
    with pytest.raises(UserError, match=r"^the shard is gone$") if batch is not None else contextlib.nullcontext():
        run(dataset, tmp_path / "run", settings(epochs=1))
    gathered = (["MainThread"] * 2 + ["prefetch"] * 6)[: 8 if batch is None else batch + 1]
    assert threads[: len(gathered)] == gathered
    assert len(threads) <= 8


def test_every_seed_is_a_run_and_the_best_is_the_student(tmp_path, dataset, store, tokenizer):
    initial = tiny.save(tiny.bert(layers=2), tmp_path / "initial", tokenizer)
    chosen = student_settings("hinton", seeds=[1, 2, 3], epochs=1)
    folder = tmp_path / "student"
    runs = distill_student(initial, dataset, store, chosen, folder, tmp_path / "scratch", "test")
    best = max(runs, key=lambda seed: runs[seed].best_score)
    assert sorted(runs) == [1, 2, 3]
    assert {int(path.name) for path in (folder / "seeds").iterdir()} == {1, 2, 3} - {best}
    for place in (folder, *(folder / "seeds").iterdir()):
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in place.iterdir()}
        assert not [path for path in place.iterdir() if path.suffix in {".bin", ".pt", ".pkl", ".pth"}]


def test_terms_are_told_what_share_of_all_steps_is_done(few, few_targets, tmp_path, monkeypatch):
    """54 rows in batches of 8, two a step: 4 steps an epoch."""
    told, share = [], type(chosen := student_settings("annealing_kd", gradient_accumulation=2)).share
    monkeypatch.setattr(type(chosen), "share", lambda own, progress: told.append(progress) or share(own, progress))
    distil(few, few_targets, tmp_path, chosen, tiny.bert(hidden_dropout_prob=0.0))
    assert len(told) == 3 * 7
    assert sorted(set(told)) == [step / 12 for step in range(12)]
    assert told == sorted(told)


def test_a_run_of_one_step_learns(dataset, tmp_path):
    before = tiny.bert(seed=1)
    model, trained = run(dataset, tmp_path / "run", settings(epochs=1, batch_size=1000, warmup=0.1), model=tiny.bert(seed=1))
    assert trained.steps == 1
    assert any(not torch.equal(own, old) for own, old in zip(model.parameters(), before.parameters(), strict=True))
