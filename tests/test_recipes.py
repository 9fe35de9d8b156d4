"""The test that matters most: from an fp32 store, loss and gradients are those with the live teacher."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional

from distill.attention import capture_attention
from distill.batches import Collator
from distill.distillation import objective_of, recipe_terms, target_collator, task_for
from distill.models import only_positions
from distill.prepared import Dataset
from distill.recipes.base import HARD_LABELS
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from tests import tiny
from tests.formulas import JOB, VARIANTS, inputs_of, live_loss, random_model, settings
from tests.stores import materialize

ROWS = 60
NARROW = ("tinybert-intermediate", "mobilebert-transfer", "pkd-last", "fitnets", "minilm", "minilm-1")
"""Variants whose student may be narrower than its teacher."""
GRID = [pytest.param(task, variant, id=f"{variant}-{task}") for task in tiny.TASKS for variant in VARIANTS]


class Problem:
    """A task's tiny data set, a teacher of four layers, and its targets."""

    def __init__(self, folder, task: str, job: Job = JOB):
        self.task, self.folder = task, folder
        self.dataset = Dataset.open(tiny.prepare_task(folder / "tiny", task, sizes=(ROWS, 8, 8)))
        self.teacher = random_model(self.dataset, layers=4, seed=1)
        self.store = self.kept(job, "targets")

    def kept(self, job: Job, name: str) -> TargetStore:
        return TargetStore.open(materialize(self.teacher, self.dataset, self.folder / name, job))

    def student(self, variant: str = "hinton"):
        return random_model(self.dataset, layers=2, width=8 if variant in NARROW else 16, seed=5)

    def objective(self, variant: str, student, store: TargetStore | None = None):
        """The objective of a student, and what makes its batches."""
        torch.manual_seed(7)
        store = store or self.store
        terms = recipe_terms(settings(variant), student, store)
        return objective_of(terms, task_for(self.dataset, store)), target_collator(self.dataset, store, terms)

    def alike(self) -> list[int]:
        """Eight rows of one length and with equally many labels, two of them differing at least."""
        rows = self.dataset.rows("train")
        labelled = rows.labels != -100
        counts = [1] * ROWS if len(rows.labels) == ROWS else [part.sum() for part in np.split(labelled, rows.offsets[1:-1])]
        kinds = list(zip(rows.lengths.tolist(), counts, strict=False))
        common = Counter(kinds).most_common(1)[0][0]
        found = [i for i, kind in enumerate(kinds) if kind == common]
        assert len(found) > 5
        return (found * 8)[:8]


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    made: dict[str, Problem] = {}

    def of(task: str) -> Problem:
        if task not in made:
            made[task] = Problem(tmp_path_factory.mktemp(task), task)
        return made[task]

    return of


def transferred(batch, task: str):
    """The batch with every third row a transfer row, which has no label."""
    labels = batch["labels"].clone()
    if task != "masked-lm":
        labels[::3] = float("nan") if task == "regression" else -100
    return {**batch, "labels": labels}


def loss_of(objective, student, batch):
    where = objective.task.positions(batch["labels"], batch.get("attention_mask"))
    with (
        capture_attention(student, objective.reads_attention, values=True) as attention,
        only_positions(student, where),
    ):
        outputs = student(**inputs_of(batch), output_hidden_states=objective.reads_hidden)
    return objective(outputs, batch, attention)


def gradients(student, trained, loss):
    parameters = [*student.parameters(), *(() if trained is None else trained.parameters())]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, found, strict=True)])


def close(own: torch.Tensor, reference: torch.Tensor) -> bool:
    return bool((own - reference).norm() <= 2e-5 * reference.norm() + 1e-7)


@pytest.mark.parametrize(("task", "variant"), GRID)
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(problems, task, variant):
    problem = problems(task)
    student = problem.student(variant)
    objective, collator = problem.objective(variant, student)
    for size in (1, 9):
        batch = transferred(collator(np.random.default_rng(size).permutation(ROWS)[:size].tolist()), task)
        expected = live_loss(task, variant, student, problem.teacher, batch, objective.trained)
        loss, values = loss_of(objective, student, batch)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
        assert close(gradients(student, objective.trained, loss), gradients(student, objective.trained, expected).float())
        assert all(value.isfinite() for value in values.values())


@pytest.mark.parametrize(("task", "variant"), GRID)
def test_padding_and_order_change_nothing(problems, task, variant):
    problem = problems(task)
    student = problem.student(variant)
    objective, collator = problem.objective(variant, student)
    rows = [1, 2, 4, 5, 7, 8]
    expected = loss_of(objective, student, collator(rows))[0]
    torch.testing.assert_close(loss_of(objective, student, collator(rows[::-1]))[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss_of(objective, student, widened(collator(rows)))[0], expected, rtol=1e-5, atol=1e-6)


def widened(batch):
    """The batch with three more columns of padding."""
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
    wide = {name: functional.pad(batch[name], (0, 3)) for name in inputs_of(batch)}
    wide |= {"attention_mask": functional.pad(mask, (0, 3)), "labels": batch["labels"]}
    if batch["labels"].shape == mask.shape:
        wide["labels"] = functional.pad(batch["labels"], (0, 3), value=-100)
    targets = batch.get("targets", {})
    return wide | {"targets": {name: functional.pad(t, (0, 3, 0, 3)) if t.ndim == 4 else t for name, t in targets.items()}}


@pytest.mark.parametrize(("task", "variant"), GRID)
def test_two_batches_of_four_give_the_gradient_of_one_of_eight(problems, task, variant):
    problem = problems(task)
    student, rows = problem.student(variant), problem.alike()
    objective, collator = problem.objective(variant, student)
    whole = gradients(student, objective.trained, loss_of(objective, student, collator(rows))[0])
    parts = [
        gradients(student, objective.trained, loss_of(objective, student, collator(half))[0] / 2) for half in (rows[:4], rows[4:])
    ]
    assert close(parts[0] + parts[1], whole)
    assert whole.norm() > 0


@pytest.mark.parametrize(
    ("variant", "changed"),
    [
        *((variant, {}) for variant in VARIANTS),
        ("hinton", {"alpha": 0.0}),
        ("distilbert", {"hard_weight": 0.0}),
        ("pkd", {"alpha": 1.0}),
    ],
)
def test_the_weight_of_the_labels_that_params_tell_of_is_that_of_the_term(problems, variant, changed):
    problem, own = problems("sequence-classification"), settings(variant, **changed)
    weights = [term.weight for term in recipe_terms(own, problem.student(variant), problem.store) if term.name == HARD_LABELS]
    assert own.label_weight == sum(weights)


@pytest.mark.parametrize("variant", ["supervised", "hinton", "tinybert-prediction", "pkd", "pkd-last"])
@pytest.mark.parametrize("task", ["sequence-classification", "regression", "question-answering"])
def test_what_is_a_mean_over_rows_is_the_same_row_by_row(problems, task, variant):
    problem = problems(task)
    student = problem.student(variant)
    objective, collator = problem.objective(variant, student)
    rows = [1, 2, 4, 5, 7, 8]
    alone = torch.stack([loss_of(objective, student, collator([row]))[0] for row in rows]).mean()
    torch.testing.assert_close(loss_of(objective, student, collator(rows))[0], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["hinton", "distilbert", "tinybert-intermediate", "pkd", "fitnets", "minilm", "minilm-1"])
def test_int8_states_turn_the_gradient_by_very_little(problems, variant):
    problem = problems("masked-lm")
    student = problem.student(variant)
    found = []
    for name, codec in (("exact", "fp32"), ("small", "int8")):
        folder = f"{name}-{variant}"
        job = Job(hidden=JOB.hidden, cls=JOB.cls, attention=JOB.attention, relations=JOB.relations, codec=codec)
        objective, collator = problem.objective(variant, student, problem.kept(job, folder))
        found.append(gradients(student, objective.trained, loss_of(objective, student, collator(list(range(24))))[0]))
    assert not torch.equal(*found)
    assert functional.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize("variant", ["hinton", "distilbert"])
def test_soft_targets_of_every_token_are_those_with_the_live_teacher(problems, variant):
    problem = problems("masked-lm")
    student = problem.student()
    job = Job(hidden=(-1,), codec="fp32", positions="all")
    objective, collator = problem.objective(variant, student, problem.kept(job, f"all-{variant}"))
    batch = collator(list(range(9)))
    loss = loss_of(objective, student, batch)[0]
    expected = live_loss("masked-lm", variant, student, problem.teacher, batch, None, every_token=True)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    masked = live_loss("masked-lm", variant, student, problem.teacher, batch, None)
    assert (loss - masked).abs() > 1e-3
    assert close(gradients(student, None, loss), gradients(student, None, expected).float())


def test_supervised_reads_nothing_from_the_store(problems):
    problem = problems("sequence-classification")
    _, collator = problem.objective("supervised", problem.student())
    assert collator.targets == {}
    assert "targets" not in collator([0, 1])


def test_a_collator_without_targets_gives_inputs_and_labels(problems):
    batch = Collator(problems("sequence-classification").dataset.rows("train"))([3, 1])
    assert set(batch) <= {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].shape == (2,)


@pytest.mark.parametrize("variant", ["tinybert-intermediate", "fitnets", "pkd-last"])
def test_one_projection_maps_all_states_of_a_narrower_student_and_learns(problems, variant):
    problem = problems("sequence-classification")
    student = problem.student(variant)
    objective, collator = problem.objective(variant, student)
    (projection,) = objective.trained
    assert (projection.in_features, projection.out_features) == (8, 16)
    loss_of(objective, student, collator([0, 5, 9]))[0].backward()
    assert projection.weight.grad.abs().sum() > 0
    assert projection.bias.grad.abs().sum() > 0


def test_only_the_layers_below_the_hint_learn_from_it(problems):
    problem = problems("sequence-classification")
    student = problem.student("fitnets")
    objective, collator = problem.objective("fitnets", student)
    loss_of(objective, student, collator([0, 5, 9]))[0].backward()
    lower, upper = student.bert.encoder.layer
    assert all(parameter.grad is not None for parameter in lower.parameters())
    assert not any(parameter.grad is not None for parameter in [*upper.parameters(), *student.classifier.parameters()])
