import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback

from distill import distillation, training
from distill.batches import Collator
from distill.distillation import distill_student, objective_of, recipe_terms, target_collator, task_for
from distill.errors import UserError
from distill.objectives import supervised
from distill.params.training import TrainingSettings
from distill.prefetching import PrefetchingTrainer
from distill.recipes.catalogue import RECIPES
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.tasks.base import Gold
from distill.tasks.catalogue import task_of
from distill.tasks.sequence import SequenceClassification
from distill.training import run_key, train
from tests import tiny
from tests.stores import materialize


def settings(**changed: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32", **changed})


INTERMEDIATE, PREDICTION = {"stage": "intermediate", "layer_map": (1, 3)}, {"stage": "prediction"}


def student_settings(recipe: str, **changed: object):
    entry = {"dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
    values = {"recipe": recipe, **entry, "epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32", **changed}
    return RECIPES[recipe].model_validate(values, strict=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory, dataset) -> TargetStore:
    folder = tmp_path_factory.mktemp("store") / "tiny"
    job = Job(hidden=(0, 1, -1), attention=(1, -1))
    return TargetStore.open(materialize(tiny.bert(layers=3, seed=1), dataset, folder, job))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def run(dataset, scratch, chosen=None, seed=1, model=None):
    model = model or tiny.bert(hidden_dropout_prob=0.1)
    trained = train(
        model,
        Collator(dataset.rows("train")),
        Gold.of(dataset, "validation"),
        chosen or settings(),
        supervised(task_of(dataset.task)),
        seed=seed,
        metric="accuracy",
        scratch=scratch,
        title="test",
    )
    return model, trained


def distil(dataset, store, scratch, chosen, student=None, seed=1):
    """Train a student from the store; with the weights of what was trained along with it."""
    student = student or tiny.bert(layers=2, seed=4)
    torch.manual_seed(seed)
    terms = recipe_terms(chosen, student, store)
    objective = objective_of(terms, task_for(dataset, store))
    trained = train(
        student,
        target_collator(dataset, store, terms),
        Gold.of(dataset, "validation"),
        chosen,
        objective,
        seed=seed,
        metric="accuracy",
        scratch=scratch,
        title=chosen.recipe,
        keep="best" if chosen.trains_head else "last",
    )
    return student, objective, trained


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_what_can_be_learnt_is_learnt_and_the_curve_is_kept(tmp_path, dataset):
    _, trained = run(dataset, tmp_path / "run", settings(epochs=16))
    losses = [entry["loss"] for entry in trained.history if "loss" in entry]
    found = [entry["score"] for entry in trained.history if "score" in entry]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert len(found) == 16
    assert trained.best_score == max(found) > 0.6
    assert json.dumps(trained.record(1))
    assert not (tmp_path / "run").exists()


def test_the_model_ends_as_its_best_epoch_left_it(tmp_path, dataset, monkeypatch):
    scores = iter([0.3, 0.9, 0.5])
    monkeypatch.setattr(SequenceClassification, "score", lambda *_: next(scores))
    states = []
    original = training.DistillationTrainer._save_checkpoint

    def remember(self, *arguments):
        states.append(weights(self.learner.model))
        original(self, *arguments)

    monkeypatch.setattr(training.DistillationTrainer, "_save_checkpoint", remember)
    model, trained = run(dataset, tmp_path / "run")
    assert (trained.best_epoch, trained.best_score) == (2, 0.9)
    torch.testing.assert_close(weights(model), states[1])
    assert not torch.equal(states[1], states[2])


def test_of_equally_good_epochs_the_one_with_the_lower_log_loss_is_kept(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(SequenceClassification, "score", lambda *_: 0.5)
    _, trained = run(dataset, tmp_path / "run", settings(epochs=2))
    assert (trained.best_epoch, trained.best_score) == (2, 0.5)


def test_the_same_seed_gives_the_same_student_and_another_a_different_one(tmp_path, dataset):
    first, second, other = (weights(run(dataset, tmp_path / str(i), seed=seed)[0]) for i, seed in enumerate((1, 1, 2)))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


class Interrupt(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.epoch and state.epoch > 1.5:
            raise KeyboardInterrupt


def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(tmp_path, dataset, monkeypatch):
    undisturbed, whole = run(dataset, tmp_path / "a")
    original = training.EpochLines

    class Stopping(original, Interrupt):
        pass

    monkeypatch.setattr(training, "EpochLines", Stopping)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "b")
    files = {path.name for path in (tmp_path / "b").rglob("*") if path.is_file()}
    assert "optimizer.safetensors" in files
    assert all(Path(name).suffix in {".json", ".safetensors"} for name in files)
    monkeypatch.setattr(training, "EpochLines", original)
    resumed, rest = run(dataset, tmp_path / "b")
    assert torch.equal(weights(resumed), weights(undisturbed))
    assert rest.history == whole.history


def test_a_half_written_checkpoint_is_passed_over(tmp_path, dataset):
    broken = tmp_path / "run" / "checkpoint-99"
    broken.mkdir(parents=True)
    (broken / "trainer_state.json").write_text('{"epoch": ')
    _, trained = run(dataset, tmp_path / "run")
    assert len([entry for entry in trained.history if "score" in entry]) == 3


def test_no_epochs_leave_the_model_as_it_is(tmp_path, dataset):
    model, trained = run(dataset, tmp_path, settings(epochs=0))
    assert torch.equal(weights(model), weights(tiny.bert(hidden_dropout_prob=0.1)))
    assert trained.history == []


def test_training_stops_early_when_the_score_no_longer_rises(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(SequenceClassification, "score", lambda *_: 0.5)
    _, trained = run(dataset, tmp_path / "run", settings(epochs=9, patience=2))
    assert len([entry for entry in trained.history if "score" in entry]) == 3


def test_a_diverging_loss_is_one_clear_line(tmp_path, dataset):
    broken = tiny.bert()
    torch.nn.init.constant_(broken.classifier.weight, float("nan"))
    with pytest.raises(UserError, match="the loss diverged before step .*: nan; lower learning_rate"):
        run(dataset, tmp_path / "run", model=broken)


def test_a_model_that_diverged_in_its_last_steps_is_one_clear_line_too(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(SequenceClassification, "loss", lambda *_: float("nan"))
    with pytest.raises(UserError, match="the loss diverged before step 8: nan; lower learning_rate"):
        run(dataset, tmp_path / "run")


def test_gradient_accumulation_gives_the_step_of_the_larger_batch(tmp_path, dataset):
    common = {"epochs": 1, "schedule": "constant", "warmup": 0.0, "group_by_length": False}
    models = [tiny.bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0) for _ in range(2)]
    for i, (size, steps) in enumerate([(12, 1), (4, 3)]):
        chosen = settings(batch_size=size, gradient_accumulation=steps, learning_rate=1e-3, **common)
        run(dataset, tmp_path / str(i), chosen, model=models[i])
    torch.testing.assert_close(weights(models[0]), weights(models[1]), atol=2e-4, rtol=1e-3)


def test_a_run_key_tells_runs_apart(dataset, monkeypatch):
    key = run_key(settings(), dataset, tiny.bert())
    assert key == run_key(settings(), dataset, tiny.bert())
    assert key != run_key(settings(epochs=4), dataset, tiny.bert())
    assert key != run_key(settings(), dataset, tiny.bert(seed=3))
    assert key != run_key(settings(), dataset, tiny.bert(), "of another teacher")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert key != run_key(settings(), dataset, tiny.bert())


@pytest.mark.parametrize(
    ("recipe", "changed"),
    [("supervised", {}), ("hinton", {}), ("distilbert", {}), ("tinybert", INTERMEDIATE), ("tinybert", PREDICTION)],
)
def test_the_loss_of_every_recipe_falls(tmp_path, dataset, store, recipe, changed):
    chosen = student_settings(recipe, epochs=8, **changed)
    student, _, trained = distil(dataset, store, tmp_path / "run", chosen)
    losses = [entry["loss"] for entry in trained.history if "loss" in entry]
    # a soft cross-entropy does not fall below the teacher's entropy
    floor = 0.0
    if changed == PREDICTION:
        log_p = store.output("logits", "train").gather(np.arange(60)).log_softmax(-1)
        floor = -float((log_p.exp() * log_p).sum(-1).mean())
    assert sum(losses[-5:]) / 5 - floor < 0.8 * (sum(losses[:5]) / 5 - floor)
    assert {term.name for term in recipe_terms(chosen, student, store)} <= set(trained.history[0])


def test_a_projection_is_trained_and_resumed_with_the_student_and_is_no_part_of_it(tmp_path, dataset, store, monkeypatch):
    chosen = student_settings("tinybert", **INTERMEDIATE)
    newborn = lambda: tiny.bert(layers=2, width=8, seed=4, hidden_dropout_prob=0.1)  # noqa: E731
    torch.manual_seed(1)
    fresh = weights(objective_of(recipe_terms(chosen, newborn(), store), task_for(dataset, store)).trained)
    undisturbed, whole_objective, whole = distil(dataset, store, tmp_path / "a", chosen, newborn())
    original = training.EpochLines

    class Stopping(original, Interrupt):
        pass

    monkeypatch.setattr(training, "EpochLines", Stopping)
    with pytest.raises(KeyboardInterrupt):
        distil(dataset, store, tmp_path / "b", chosen, newborn())
    (checkpoint,) = (tmp_path / "b").glob("checkpoint-*")
    assert all(path.suffix in {".json", ".safetensors"} for path in checkpoint.iterdir())
    kept = {name for name in load_file(checkpoint / "model.safetensors") if name.startswith("along.")}
    assert len(kept) == 2
    monkeypatch.setattr(training, "EpochLines", original)
    resumed, objective, rest = distil(dataset, store, tmp_path / "b", chosen, newborn())
    assert torch.equal(weights(resumed), weights(undisturbed))
    assert torch.equal(weights(objective.trained), weights(whole_objective.trained))
    assert not torch.equal(weights(objective.trained), fresh)
    assert rest.history == whole.history
    assert set(resumed.state_dict()) == set(newborn().state_dict())


def test_where_no_head_is_trained_the_last_epoch_is_kept_and_the_seed_of_the_lowest_loss(
    tmp_path, dataset, store, tokenizer, monkeypatch
):
    monkeypatch.setattr(training, "predict", None)  # nothing is validated
    newborn = tiny.save(tiny.bert(layers=2, width=8), tmp_path / "newborn", tokenizer)
    projections = []
    original = distillation.train

    def remember(*arguments, **options):
        projections.append(weights(arguments[4].trained))
        return original(*arguments, **options)

    monkeypatch.setattr(distillation, "train", remember)
    chosen = student_settings("tinybert", seeds=[1, 2], **INTERMEDIATE)
    ends = []
    for place in ("a", "b"):
        runs = distill_student(newborn, dataset, store, chosen, tmp_path / place, tmp_path / "scratch", "test")
        ends.append(load_file(tmp_path / place / "model.safetensors"))
    assert [(run.best_epoch, run.best_score) for run in runs.values()] == [(3, None)] * 2
    other = max(runs, key=lambda seed: runs[seed].last_loss)
    assert [path.name for path in (tmp_path / "a" / "seeds").iterdir()] == [str(other)]
    assert not torch.equal(projections[0], projections[1])
    assert torch.equal(projections[0], projections[2])
    assert not any("along" in name for name in ends[0])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize(("accumulation", "grouped"), [(1, True), (3, False)])
def test_gathering_ahead_changes_nothing(tmp_path, dataset, store, monkeypatch, accumulation, grouped):
    chosen = student_settings("distilbert", epochs=2, gradient_accumulation=accumulation, group_by_length=grouped)
    newborn = lambda: tiny.bert(layers=2, seed=4, hidden_dropout_prob=0.1)  # noqa: E731
    ahead, _, first = distil(dataset, store, tmp_path / "a", chosen, newborn())
    monkeypatch.setattr(PrefetchingTrainer, "get_batch_samples", Trainer.get_batch_samples)
    plain, _, second = distil(dataset, store, tmp_path / "b", chosen, newborn())
    assert torch.equal(weights(ahead), weights(plain))
    assert first.history == second.history


@pytest.mark.slow
def test_worker_processes_change_nothing(tmp_path, dataset, store):
    chosen = student_settings("distilbert", epochs=1)
    alone, *_ = distil(dataset, store, tmp_path / "a", chosen)
    helped, *_ = distil(dataset, store, tmp_path / "b", chosen.model_copy(update={"workers": 2}))
    assert torch.equal(weights(alone), weights(helped))


@pytest.mark.parametrize("batch", [0, 1, 4])
def test_an_error_of_the_thread_that_gathers_reaches_the_user(tmp_path, dataset, batch, monkeypatch):
    original, calls = Collator.__call__, []

    def failing(self, indices):
        calls.append(threading.current_thread().name)
        if len(calls) == batch + 1:
            raise UserError("the shard is gone")
        return original(self, indices)

    monkeypatch.setattr(Collator, "__call__", failing)
    with pytest.raises(UserError, match=r"^the shard is gone$"):
        run(dataset, tmp_path / "run")
    assert (batch < 2) == (calls[-1] == "MainThread")


def test_a_step_is_computed_while_the_next_batch_is_gathered(tmp_path, dataset, monkeypatch):
    original, names = Collator.__call__, []

    def watched(self, indices):
        names.append(threading.current_thread().name.partition("_")[0])
        return original(self, indices)

    monkeypatch.setattr(Collator, "__call__", watched)
    run(dataset, tmp_path / "run", settings(epochs=1))
    batches = 8  # of 60 rows; the first two are waited for
    assert names == ["MainThread"] * 2 + ["prefetch"] * (batches - 2)


def test_every_seed_is_a_run_and_the_best_is_the_student(tmp_path, dataset, store, tokenizer):
    newborn = tiny.save(tiny.bert(layers=2), tmp_path / "newborn", tokenizer)
    chosen = student_settings("hinton", seeds=[1, 2, 3], epochs=1)
    folder = tmp_path / "student"
    runs = distill_student(newborn, dataset, store, chosen, folder, tmp_path / "scratch", "test")
    best = max(runs, key=lambda seed: runs[seed].best_score)
    assert sorted(runs) == [1, 2, 3]
    assert {int(path.name) for path in (folder / "seeds").iterdir()} == {1, 2, 3} - {best}
    for place in (folder, *(folder / "seeds").iterdir()):
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in place.iterdir()}
        assert not [path for path in place.iterdir() if path.suffix in {".bin", ".pt", ".pkl", ".pth"}]
