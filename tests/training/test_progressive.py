"""Layer by layer, with the recipe that trains so."""

import copy
import itertools
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.models.attention import capture_attention
from distill.models.families import layer_stack
from distill.models.loading import set_labels
from distill.store.target_set import TargetStore
from distill.students.distill import distill_student
from distill.students.objective import objective_and_rows
from distill.tasks.registry import task_of
from distill.training.objective import DistillationModel
from distill.training.progressive import Progression, lr_multiplier
from tests import tiny
from tests.distilling import Interrupt, distil
from tests.formulas import gradients, inputs_of, loss_of, settings
from tests.stores import materialize
from tests.target_specs import target_spec

BOTTLENECKS = {"num_attention_heads": 4, "vocab_size": 45, "hidden_dropout_prob": 0.1}
ALL = target_spec(hidden=(1, 2, 3), attention=(1, 2, 3), codec="fp32")


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Dataset:
    """48 rows: 6 batches of 8 an epoch."""
    folder = tmp_path_factory.mktemp("words") / "tiny"
    return Dataset.open(tiny.prepare_task(folder, "sequence-classification", sizes=(48, 8, 8)))


@pytest.fixture(scope="module")
def teacher():
    """With inverted bottlenecks, as IB-BERT has."""
    bottlenecks = {"intra_bottleneck_size": 32, "num_feedforward_networks": 1, "normalization_type": "layer_norm"}
    return tiny.family("mobilebert", vocab_size=45, **bottlenecks)


@pytest.fixture(scope="module")
def store(tmp_path_factory, words, teacher) -> TargetStore:
    return TargetStore.open(materialize(teacher, words, tmp_path_factory.mktemp("store") / "tiny", ALL))


@pytest.fixture(scope="module")
def wider(tmp_path_factory, words) -> TargetStore:
    """Of a BERT that is wider than the student."""
    teacher = tiny.family("bert", hidden_size=32, vocab_size=45)
    return TargetStore.open(materialize(teacher, words, tmp_path_factory.mktemp("store") / "wider", ALL))


def initial(head: str = "SequenceClassification", **shape: object):
    """A student."""
    model = tiny.family("mobilebert", head, **{**BOTTLENECKS, **shape})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".layer." in name:
                parameter.copy_(0.1 * torch.randn_like(parameter) + ("LayerNorm.weight" in name))
    return model


def chosen(**changed: object):
    values = {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32", "weight_decay": 0.1, **changed}
    return settings("mobilebert-transfer", **values)


def parts(model) -> dict[str, list[torch.Tensor]]:
    """Copies of the weights of each layer, by its number, of the extra modules and of the rest."""
    prefix = model.parts()[0][0].removesuffix(".0") if isinstance(model, DistillationModel) else layer_stack(model)[0]
    found: dict[str, list[torch.Tensor]] = {}
    for name, parameter in model.named_parameters():
        key = name.removeprefix(f"{prefix}.").split(".")[0] if name.startswith(prefix) else "rest"
        key = "extra_modules" if name.startswith("extra_modules.") else key
        found.setdefault(key, []).append(parameter.detach().clone())
    return found


def moved(before, after) -> set[str]:
    return {key for key in before if not all(torch.equal(b, a) for b, a in zip(before[key], after[key], strict=True))}


def trained(words, store, scratch, student, **changed: object):
    """The parts before each step of an epoch and at its end; and the objective."""
    states: list = []

    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **_):
            states.append(parts(model))

        on_train_end = on_step_begin

    _, objective = distil(words, store, scratch, chosen(epochs=1, **changed), student, [Watch])
    assert len(states) == 7
    return states, objective


@pytest.mark.parametrize(
    ("stages", "steps", "expected"),
    [(3, 6, [0, 0, 1, 1, 2, 2]), (3, 3, [0, 1, 2]), (3, 7, [0, 0, 0, 1, 1, 2, 2]), (1, 2, [0, 0])],
)
def test_stages_share_the_steps(stages, steps, expected):
    progression = Progression(stages, 0.0)
    assert [progression.current_layer(step, steps) for step in range(steps)] == expected
    assert progression.current_layer(steps, steps) == stages - 1


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_rate_rises_once_a_stage_and_is_never_zero(schedule, warmup):
    rates = [lr_multiplier(step, 20, schedule, warmup) for step in range(20)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert peak == max(0, math.ceil(20 * warmup) - 1)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert lr_multiplier(0, 1, schedule, warmup) == 1.0


def test_each_layer_has_its_rate_in_each_stage():
    progression = Progression(3, 0.25)
    rates = [[progression.multiplier(layer, 12, "linear", 0.0)(step) for step in range(12)] for layer in (0, 1, 2, None)]
    fall = [1.0, 0.75, 0.5, 0.25]
    slow, nothing = [0.25 * rate for rate in fall], [0.0] * 4
    assert rates == [[*fall, *slow, *slow], [*nothing, *fall, *slow], [*nothing, *nothing, *fall], fall * 3]


@pytest.mark.parametrize(("targets", "rate"), [("store", 0.0), ("store", 0.3), ("wider", 0.0)])
def test_only_the_current_layer_moves_and_the_earlier_ones_if_they_may(request, tmp_path, words, targets, rate):
    """And in all stages the projection, which is there if the teacher is wider."""
    student = initial()
    names = set(student.state_dict())
    states, objective = trained(words, request.getfixturevalue(targets), tmp_path / "run", student, earlier_rate=rate)
    always = {"extra_modules"} if targets == "wider" else set()
    assert [(each.in_features, each.out_features) for each in objective.extra_modules or ()] == [(24, 32)] * len(always)
    expected = [{str(layer) for layer in range(0 if rate else current, current + 1)} | always for current in (0, 0, 1, 1, 2, 2)]
    assert [moved(before, after) for before, after in itertools.pairwise(states)] == expected
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert set(student.state_dict()) == names


def test_a_slower_layer_moves_less(tmp_path, words, store):
    distances = []
    for rate in (0.05, 1.0):
        states, _ = trained(words, store, tmp_path / str(rate), initial(), earlier_rate=rate)
        before, after = states[2]["0"], states[-1]["0"]
        distances.append(sum((a - b).abs().sum().item() for a, b in zip(after, before, strict=True)))
    assert distances[0] < 0.2 * distances[1]


def test_all_layers_learn_at_once_if_the_order_is_joint(tmp_path, words, store):
    states, _ = trained(words, store, tmp_path / "run", initial(), order="joint")
    assert moved(states[2], states[3]) >= {"0", "1", "2"}


def test_the_loss_of_every_stage_falls(tmp_path, words, store):
    run, _ = distil(
        words, store, tmp_path / "run", chosen(epochs=15, earlier_rate=0.0, schedule="constant", learning_rate=6e-3), initial()
    )
    losses = [entry["loss"] for entry in run.history if "loss" in entry]
    size = len(losses) // 3
    for start in (0, size, 2 * size):
        stage = losses[start : start + size]
        assert sum(stage[-3:]) < 0.7 * sum(stage[:3]), start
    assert set(run.history[0]) >= {"feature_maps", "means", "variances", "attention"}


def test_a_stage_s_loss_is_that_of_its_layer_and_all_stages_make_the_joint_one(words, store):
    student = initial().eval()
    objective, collator = objective_and_rows(chosen(), student, words, store)
    batch = collator([0, 3, 5])
    losses = [loss_of(objective, student, {**batch, "current_layer": layer})[0] for layer in (0, 1, 2)]
    torch.testing.assert_close(torch.stack(losses).sum(), loss_of(objective, student, batch)[0])
    _, stack = layer_stack(student)
    losses[1].backward()
    assert all(parameter.grad is not None for parameter in [*stack[0].parameters(), *stack[1].parameters()])
    assert not any(parameter.grad is not None for parameter in stack[2].parameters())


@pytest.mark.parametrize("current", [None, 0, 2])
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(words, store, teacher, current):
    student = initial().eval()
    objective, collator = objective_and_rows(chosen(), student, words, store)
    batch = {**collator([4, 0, 9, 2]), "current_layer": current}
    with torch.no_grad(), capture_attention(teacher, (1, 2, 3)) as attention:
        states = teacher(**inputs_of(batch), output_hidden_states=True).hidden_states
    real = batch["attention_mask"].bool()
    live = {f"hidden-{layer:02d}": states[layer][real] for layer in (1, 2, 3)}
    live |= {f"attention-{layer:02d}": attention[layer] for layer in (1, 2, 3)}
    assert live.keys() == batch["targets"].keys()
    losses = [loss_of(objective, student, part)[0] for part in (batch, {**batch, "targets": live})]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    found, expected = (gradients(objective, student, loss) for loss in losses)
    assert (found - expected).norm() <= 2e-5 * expected.norm()
    assert expected.norm() > 0


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(tmp_path, words, wider, rate):
    how, undisturbed, resumed = chosen(earlier_rate=rate), initial(), initial()
    whole, objective = distil(words, wider, tmp_path / "a", how, undisturbed)
    with pytest.raises(KeyboardInterrupt):
        distil(words, wider, tmp_path / "b", how, copy.deepcopy(resumed), [Interrupt])
    assert (tmp_path / "b" / "checkpoint-12").exists()
    rest, again = distil(words, wider, tmp_path / "b", how, resumed)
    assert not moved(parts(undisturbed), parts(resumed))
    assert torch.equal(objective.extra_modules[0].weight, again.extra_modules[0].weight)
    assert rest.history == whole.history


def test_fewer_steps_than_layers_are_refused(tmp_path, words, store):
    with pytest.raises(UserError, match="2 training steps, expected at least 3, one for each layer; raise epochs, or lower"):
        distil(words, store, tmp_path / "run", chosen(epochs=1, batch_size=24), initial())


def test_a_student_is_saved_without_its_projection_and_embeddings_stay_as_they_were(tmp_path, words, wider):
    student = initial()
    set_labels(student.config, words.labels)
    folder = tiny.save(student, tmp_path / "initial", tiny.masking_tokenizer())
    before = load_file(folder / "model.safetensors")
    distill_student(folder, words, wider, chosen(epochs=1), tmp_path / "out", tmp_path / "scratch", "test")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".encoder.layer." in name for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["question-answering", "masked-lm"])
def test_both_stages_train_a_mobilebert(tmp_path, task):
    rows = Dataset.open(tiny.prepare_task(tmp_path / "data", task, sizes=(24, 8, 8)))
    head, shape = task_of(task).spec.head, {"vocab_size": 45, "num_labels": len(rows.labels) or 2}
    store = TargetStore.open(materialize(tiny.family("mobilebert", head, **shape), rows, tmp_path / "targets", ALL))
    student = initial(head, **shape)
    if rows.labels:
        set_labels(student.config, rows.labels)
    folder = tiny.save(student, tmp_path / "initial", tiny.masking_tokenizer())
    for stage, how in (("transfer", {"order": "joint"}), ("distill", {"alpha": 0.1})):
        whole = settings(f"mobilebert-{stage}", epochs=4, batch_size=4, learning_rate=3e-3, precision="fp32", **how)
        (run,) = distill_student(folder, rows, store, whole, tmp_path / stage, tmp_path / "scratch", stage).values()
        losses = [entry["loss"] for entry in run.history if "loss" in entry]
        assert sum(losses[-6:]) < 0.95 * sum(losses[:6]), stage
        folder = tmp_path / stage
