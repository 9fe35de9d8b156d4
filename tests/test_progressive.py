"""Layer by layer, with the recipe that trains so."""

import copy
import itertools
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from distill import training
from distill.attention import capture_attention
from distill.distillation import distill_student, objective_of, recipe_terms, target_collator, task_for
from distill.encoders import set_labels
from distill.errors import UserError
from distill.learner import Learner
from distill.prepared import Dataset
from distill.progressive import Progression, course
from distill.stacks import layer_stack
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.tasks.base import Gold
from distill.tasks.catalogue import task_of
from distill.training import train
from tests import tiny
from tests.formulas import inputs_of, settings
from tests.stores import materialize
from tests.test_recipes import gradients, loss_of

TURNS = 3
BOTTLENECKS = {"num_attention_heads": 4, "vocab_size": 45, "hidden_dropout_prob": 0.1}
ALL = Job(hidden=(1, 2, 3), attention=(1, 2, 3), codec="fp32")


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Dataset:
    """48 rows: 6 batches of 8 an epoch."""
    folder = tmp_path_factory.mktemp("words") / "tiny"
    return Dataset.open(tiny.prepare_task(folder, "sequence-classification", sizes=(48, 8, 8)))


def inverted():
    """A teacher with inverted bottlenecks, as IB-BERT has."""
    bottlenecks = {"intra_bottleneck_size": 32, "num_feedforward_networks": 1, "normalization_type": "layer_norm"}
    return tiny.family("mobilebert", vocab_size=45, **bottlenecks)


@pytest.fixture(scope="module")
def store(tmp_path_factory, words) -> TargetStore:
    return TargetStore.open(materialize(inverted(), words, tmp_path_factory.mktemp("store") / "tiny", ALL))


@pytest.fixture(scope="module")
def wider(tmp_path_factory, words) -> TargetStore:
    """Of a BERT that is wider than the student."""
    teacher = tiny.family("bert", hidden_size=32, vocab_size=45)
    return TargetStore.open(materialize(teacher, words, tmp_path_factory.mktemp("store") / "wider", ALL))


def newborn(head: str = "SequenceClassification", **shape: object):
    model = tiny.family("mobilebert", head, **{**BOTTLENECKS, **shape})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".layer." in name:
                parameter.copy_(0.1 * torch.randn_like(parameter) + ("LayerNorm.weight" in name))
    return model


def chosen(**changed: object):
    values = {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32", "weight_decay": 0.1, **changed}
    return settings("mobilebert-transfer", **values)


def distil(words, store, scratch, own, student, watch=()):
    torch.manual_seed(1)
    terms = recipe_terms(own, student, store)
    objective = objective_of(terms, task_for(words, store), own.earlier_share)
    original = training.EpochLines
    training.EpochLines = type("Watched", (*watch, original), {})
    try:
        trained = train(
            student,
            target_collator(words, store, terms),
            Gold.of(words, "validation"),
            own,
            objective,
            seed=1,
            metric="accuracy",
            scratch=scratch,
            title="test",
            keep="last",
        )
    finally:
        training.EpochLines = original
    return trained, objective


def parts(model) -> dict[str, list[torch.Tensor]]:
    """Copies of the weights, of each layer, of what is trained along and of the rest."""
    prefix = model.parts()[0][0].removesuffix(".0") if isinstance(model, Learner) else layer_stack(model)[0]
    found: dict[str, list[torch.Tensor]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("along."):
            key = "along"
        else:
            key = name.removeprefix(f"{prefix}.").split(".")[0] if name.startswith(prefix) else "rest"
        found.setdefault(key, []).append(parameter.detach().clone())
    return found


def moved(before, after) -> set[str]:
    return {key for key in before if not all(torch.equal(b, a) for b, a in zip(before[key], after[key], strict=True))}


def watcher(states: list):
    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **_):
            states.append(parts(model))

        def on_train_end(self, args, state, control, model=None, **_):
            states.append(parts(model))

    return Watch


@pytest.mark.parametrize(
    ("turns", "steps", "expected"), [(3, 6, [0, 0, 1, 1, 2, 2]), (3, 3, [0, 1, 2]), (3, 7, [0, 0, 0, 1, 1, 2, 2]), (1, 2, [0, 0])]
)
def test_turns_share_the_steps(turns, steps, expected):
    progression = Progression(turns, 0.0)
    assert [progression.turn(step, steps) for step in range(steps)] == expected
    assert progression.turn(steps, steps) == turns - 1


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_rate_rises_once_a_turn_and_is_never_zero(schedule, warmup):
    rates = [course(step, 20, schedule, warmup) for step in range(20)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert peak == max(0, math.ceil(20 * warmup) - 1)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert course(0, 1, schedule, warmup) == 1.0


def test_each_layer_has_its_rate_in_each_turn():
    progression = Progression(3, 0.25)
    rates = [[progression.rate(layer, 12, "linear", 0.0)(step) for step in range(12)] for layer in (0, 1, 2, None)]
    fall = [1.0, 0.75, 0.5, 0.25]
    slow = [0.25 * rate for rate in fall]
    nothing = [0.0] * 4
    assert rates == [[*fall, *slow, *slow], [*nothing, *fall, *slow], [*nothing, *nothing, *fall], fall * 3]


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_only_the_layer_whose_turn_it_is_moves_and_the_earlier_ones_if_they_may(tmp_path, words, store, rate):
    states: list = []
    student = newborn()
    distil(words, store, tmp_path / "run", chosen(earlier_rate=rate, epochs=1), student, [watcher(states)])
    assert len(states) == 7
    steps = [moved(before, after) for before, after in itertools.pairwise(states)]
    earlier = [{"0"}, {"0"}, {"1"}, {"1"}, {"2"}, {"2"}]
    if rate:
        earlier = [{"0"}, {"0"}, {"0", "1"}, {"0", "1"}, {"0", "1", "2"}, {"0", "1", "2"}]
    assert steps == earlier
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_a_slower_layer_moves_less(tmp_path, words, store):
    distances = []
    for rate in (0.05, 1.0):
        states: list = []
        distil(words, store, tmp_path / str(rate), chosen(earlier_rate=rate, epochs=1), newborn(), [watcher(states)])
        before, after = states[2]["0"], states[-1]["0"]
        distances.append(sum((a - b).abs().sum().item() for a, b in zip(after, before, strict=True)))
    assert distances[0] < 0.2 * distances[1]


def test_all_layers_learn_at_once_if_the_order_is_joint(tmp_path, words, store):
    states: list = []
    distil(words, store, tmp_path / "run", chosen(order="joint", epochs=1), newborn(), [watcher(states)])
    assert moved(states[2], states[3]) >= {"0", "1", "2"}


def test_the_loss_of_every_turn_falls(tmp_path, words, store):
    trained, _ = distil(words, store, tmp_path / "run", chosen(epochs=30, earlier_rate=0.0, schedule="constant"), newborn())
    losses = [entry["loss"] for entry in trained.history if "loss" in entry]
    size = len(losses) // TURNS
    for turn in range(TURNS):
        own = losses[turn * size : (turn + 1) * size]
        assert sum(own[-3:]) < 0.7 * sum(own[:3]), turn
    assert set(trained.history[0]) >= {"feature_maps", "means", "variances", "attention"}


def test_a_turn_s_loss_is_that_of_its_layer_and_all_turns_make_the_joint_one(words, store):
    student = newborn().eval()
    terms = recipe_terms(chosen(), student, store)
    objective, collator = objective_of(terms, task_for(words, store)), target_collator(words, store, terms)
    batch = collator([0, 3, 5])
    losses = [loss_of(objective, student, {**batch, "turn": turn})[0] for turn in (0, 1, 2)]
    torch.testing.assert_close(torch.stack(losses).sum(), loss_of(objective, student, batch)[0])
    _, stack = layer_stack(student)
    losses[1].backward()
    assert all(parameter.grad is not None for parameter in [*stack[0].parameters(), *stack[1].parameters()])
    assert not any(parameter.grad is not None for parameter in stack[2].parameters())


@pytest.mark.parametrize("turn", [None, 0, 2])
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(words, store, turn):
    student, teacher = newborn().eval(), inverted()
    terms = recipe_terms(chosen(), student, store)
    objective = objective_of(terms, task_for(words, store))
    batch = {**target_collator(words, store, terms)([4, 0, 9, 2]), "turn": turn}
    with torch.no_grad(), capture_attention(teacher, (1, 2, 3)) as attention:
        states = teacher(**inputs_of(batch), output_hidden_states=True).hidden_states
    real = batch["attention_mask"].bool()
    live = {f"hidden-{layer:02d}": states[layer][real] for layer in (1, 2, 3)}
    live |= {f"attention-{layer:02d}": attention[layer] for layer in (1, 2, 3)}
    assert live.keys() == batch["targets"].keys()
    losses = [loss_of(objective, student, part)[0] for part in (batch, {**batch, "targets": live})]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    own, expected = (gradients(student, None, loss) for loss in losses)
    assert (own - expected).norm() <= 2e-5 * expected.norm()
    assert expected.norm() > 0


def test_a_teacher_of_another_width_gets_a_projection_that_learns_in_all_turns(tmp_path, words, wider):
    states: list = []
    student = newborn()
    before = set(student.state_dict())
    _, objective = distil(words, wider, tmp_path / "run", chosen(epochs=1, earlier_rate=0.0), student, [watcher(states)])
    (projection,) = objective.trained
    assert (projection.in_features, projection.out_features) == (24, 32)
    steps = [moved(before, after) for before, after in itertools.pairwise(states)]
    assert steps == [{"0", "along"}, {"0", "along"}, {"1", "along"}, {"1", "along"}, {"2", "along"}, {"2", "along"}]
    assert set(student.state_dict()) == before


class Interrupt(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.epoch and state.epoch > 2.5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(tmp_path, words, wider, rate):
    own = chosen(earlier_rate=rate)
    undisturbed, resumed = newborn(), newborn()
    whole, objective = distil(words, wider, tmp_path / "a", own, undisturbed)
    with pytest.raises(KeyboardInterrupt):
        distil(words, wider, tmp_path / "b", own, copy.deepcopy(resumed), [Interrupt])
    assert (tmp_path / "b" / "checkpoint-12").exists()
    rest, again = distil(words, wider, tmp_path / "b", own, resumed)
    assert not moved(parts(undisturbed), parts(resumed))
    assert torch.equal(objective.trained[0].weight, again.trained[0].weight)
    assert rest.history == whole.history


def test_fewer_steps_than_layers_are_refused(tmp_path, words, store):
    with pytest.raises(UserError, match="2 training steps, expected at least 3, one for each layer; raise epochs, or lower"):
        distil(words, store, tmp_path / "run", chosen(epochs=1, batch_size=24), newborn())


def test_a_student_is_saved_without_its_projection_and_embeddings_stay_as_they_were(tmp_path, words, wider):
    student = newborn()
    set_labels(student.config, words.labels)
    folder = tiny.save(student, tmp_path / "newborn", tiny.masking_tokenizer())
    before = load_file(folder / "model.safetensors")
    distill_student(folder, words, wider, chosen(epochs=1), tmp_path / "out", tmp_path / "scratch", "test")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".encoder.layer." in name for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("task", tiny.TASKS)
def test_both_stages_teach_all_tasks(tmp_path, task):
    rows = Dataset.open(tiny.prepare_task(tmp_path / "data", task, sizes=(24, 8, 8)))
    head, shape = task_of(task).auto.removeprefix("AutoModelFor"), {"vocab_size": 45, "num_labels": len(rows.labels) or 2}
    store = TargetStore.open(materialize(tiny.family("mobilebert", head, **shape), rows, tmp_path / "targets", ALL))
    student, folder = newborn(head, **shape), tmp_path / "newborn"
    if rows.labels:
        set_labels(student.config, rows.labels)
    tiny.save(student, folder, tiny.masking_tokenizer())
    for stage, how in (("transfer", {"order": "joint"}), ("distill", {"alpha": 0.1})):
        own = settings(f"mobilebert-{stage}", epochs=8, batch_size=4, learning_rate=3e-3, precision="fp32", **how)
        (run,) = distill_student(folder, rows, store, own, tmp_path / stage, tmp_path / "scratch", stage).values()
        losses = [entry["loss"] for entry in run.history if "loss" in entry]
        assert sum(losses[-6:]) < 0.95 * sum(losses[:6]), stage
        folder = tmp_path / stage
