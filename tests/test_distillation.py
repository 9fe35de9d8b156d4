"""Every recipe learns every task from the store."""

import json

import pytest
import torch

from distill.attention import capture_attention
from distill.auditing import row_weights
from distill.distillation import objective_of, recipe_terms, target_collator, task_for
from distill.errors import UserError
from distill.models import only_positions
from distill.params.students import SampleWeight
from distill.prepared import Dataset
from distill.recipes.soft import soft_cross_entropy
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.tasks.base import Gold
from distill.tasks.catalogue import task_of
from distill.tasks.masked import MaskedLm
from distill.training import train
from tests import tiny
from tests.formulas import JOB, VARIANTS, inputs_of, random_model, settings
from tests.stores import materialize

TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "schedule": "constant", "warmup": 0.0, "precision": "fp32"}
TRAINED = [(task, "hinton") for task in tiny.TASKS] + [
    ("sequence-classification", variant) for variant in ("pkd", "fitnets", "minilm")
]
ROWS = 40


def store_of(folder, dataset: Dataset, job: Job) -> TargetStore:
    return TargetStore.open(materialize(random_model(dataset, layers=4, seed=1), dataset, folder, job))


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """By task: a data set, and the targets of a teacher of four layers."""
    made = {}

    def of(task: str) -> tuple[Dataset, TargetStore]:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            dataset = Dataset.open(tiny.prepare_task(folder / "tiny", task, sizes=(ROWS, 8, 8)))
            job = Job(hidden=JOB.hidden, cls=JOB.cls, attention=JOB.attention, relations=JOB.relations)
            made[task] = dataset, store_of(folder / "targets", dataset, job)
        return made[task]

    return of


def loss_of(objective, student, batch):
    """The loss above the least that it can be."""
    where = objective.task.positions(batch["labels"], batch.get("attention_mask"))
    with (
        capture_attention(student, objective.reads_attention, values=True) as attention,
        only_positions(student, where),
    ):
        outputs = student(**inputs_of(batch), output_hidden_states=objective.reads_hidden)
    loss, terms = objective(outputs, batch, attention)
    if "soft_cross_entropy" in terms:
        teacher = objective.task.comparable(batch["targets"]["logits"], batch["attention_mask"])
        loss = loss - soft_cross_entropy(objective.task, teacher, teacher, 2.0)
    return loss


def prepared(dataset: Dataset, store: TargetStore, chosen):
    """A newborn student, the objective, and what makes batches."""
    student = random_model(dataset, layers=2, seed=5)
    torch.manual_seed(7)
    terms = recipe_terms(chosen, student, store)
    objective = objective_of(terms, task_for(dataset, store), chosen.earlier_share)
    return student, objective, target_collator(dataset, store, terms)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("task", tiny.TASKS)
def test_every_recipe_learns_every_task_from_the_store(problems, task, variant):
    dataset, store = problems(task)
    student, objective, rows = prepared(dataset, store, settings(variant))
    learnt = [*student.parameters(), *(() if objective.trained is None else objective.trained.parameters())]
    optimizer = torch.optim.AdamW(learnt, lr=3e-3)
    whole = rows(list(range(ROWS)))
    before = loss_of(objective, student, whole).item()
    for start in (*range(0, ROWS, 8), *range(0, ROWS, 8)):
        optimizer.zero_grad()
        loss_of(objective, student, rows(list(range(start, start + 8)))).backward()
        optimizer.step()
    assert loss_of(objective, student, whole).item() < 0.95 * before


@pytest.mark.parametrize(("task", "variant"), TRAINED)
def test_the_trainer_does_what_the_objective_says(tmp_path, problems, task, variant):
    dataset, store = problems(task)
    chosen = settings(variant, **TRAINING)
    student, objective, rows = prepared(dataset, store, chosen)
    whole = rows(list(range(ROWS)))
    before = loss_of(objective, student, whole).item()
    validation = Gold.of(dataset, "validation")
    keep, scored = ("best", [1, 2]) if chosen.trains_head else ("last", [])
    how = {"seed": 1, "metric": dataset.metric, "scratch": tmp_path / "run", "title": variant, "keep": keep}
    trained = train(student, rows, validation, chosen, objective, **how)
    assert loss_of(objective, student.eval(), whole).item() < 0.95 * before
    assert [entry["epoch"] for entry in trained.history if "score" in entry] == scored
    assert json.dumps(trained.record(1))


def weighted(problems, task: str, weights: object, batch: list[int], variant: str = "supervised"):
    """The loss of a batch whose rows have these weights, its terms, and its gradient."""
    dataset, store = problems(task)
    student, objective, rows = prepared(dataset, store, settings(variant))
    found = dict(rows(batch))
    if weights is not None:
        found["weights"] = torch.tensor(weights, dtype=torch.float32)
    loss, terms = objective(student(**inputs_of(found)), found)
    loss.backward()
    return loss.detach(), terms, torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])


@pytest.mark.parametrize("task", [task for task in tiny.TASKS if task != "masked-lm"])
def test_a_row_counts_as_its_weight_says_in_the_loss_against_the_labels(problems, task):
    loss, _, gradient = weighted(problems, task, None, [0, 1, 2, 3])
    alike = weighted(problems, task, [0.3] * 4, [0, 1, 2, 3])
    torch.testing.assert_close((alike[0], alike[2]), (loss, gradient), rtol=1e-5, atol=1e-6)
    fewer = weighted(problems, task, [1.0, 0.0, 1.0, 0.0], [0, 1, 2, 3])
    expected = weighted(problems, task, None, [0, 2])
    torch.testing.assert_close((fewer[0], fewer[2]), (expected[0], expected[2]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(fewer[2], gradient, rtol=1e-2)
    twice = weighted(problems, task, [2.0, 1.0, 1.0, 1.0], [0, 1, 2, 3])
    repeated = weighted(problems, task, None, [0, 1, 2, 3, 0])
    torch.testing.assert_close((twice[0], twice[2]), (repeated[0], repeated[2]), rtol=1e-4, atol=1e-5)
    nothing = weighted(problems, task, [0.0] * 4, [0, 1, 2, 3])
    assert (nothing[0].item(), nothing[2].abs().max().item()) == (0.0, 0.0)


def test_weights_leave_the_soft_targets_as_they_are(problems):
    _, plain, _ = weighted(problems, "sequence-classification", None, [0, 1, 2], "hinton")
    _, weighed, _ = weighted(problems, "sequence-classification", [1.0, 0.0, 0.5], [0, 1, 2], "hinton")
    assert torch.equal(plain["soft_targets"], weighed["soft_targets"])
    assert not torch.equal(plain["hard_labels"], weighed["hard_labels"])


def test_batches_have_the_weights_of_the_audit_and_a_student_without_labels_takes_none(problems):
    dataset, store = problems("sequence-classification")
    own = SampleWeight(suspect=0.25, hard=0.5)
    terms = recipe_terms(settings("hinton"), random_model(dataset, layers=2), store)
    found = target_collator(dataset, store, terms, own)([5, 0, 9])["weights"]
    assert found.tolist() == row_weights(dataset, store, own.model_dump())[[5, 0, 9]].tolist()
    terms = recipe_terms(settings("hinton", alpha=0.0), random_model(dataset, layers=2), store)
    with pytest.raises(UserError, match="sample_weight: weighs rows in the loss against the labels, which this student has not"):
        target_collator(dataset, store, terms, own)


def test_the_task_is_that_of_the_data_and_of_every_token_if_the_store_keeps_them(tmp_path, problems):
    dataset, store = problems("masked-lm")
    assert task_for(dataset, store) == task_of("masked-lm") == MaskedLm()
    every = store_of(tmp_path / "every", dataset, Job(positions="all"))
    assert task_for(dataset, every) == MaskedLm(every_token=True)
    dataset, store = problems("token-classification")
    assert task_for(dataset, store) is task_of("token-classification")
