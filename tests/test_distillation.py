"""Every recipe learns every task from the store."""

import json

import pytest
import torch

from distill.attention import capture_attention
from distill.distillation import objective_of, recipe_terms, target_collator, task_for
from distill.models import only_positions
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
    how = {"seed": 1, "metric": dataset.metric, "scratch": tmp_path / "run", "title": variant, "keep": "last"}
    trained = train(student, rows, validation, chosen, objective, **how)
    assert loss_of(objective, student.eval(), whole).item() < 0.95 * before
    assert [entry["epoch"] for entry in trained.history if "score" in entry] == [1, 2]
    assert json.dumps(trained.record(1))


def test_the_task_is_that_of_the_data_and_of_every_token_if_the_store_keeps_them(tmp_path, problems):
    dataset, store = problems("masked-lm")
    assert task_for(dataset, store) == task_of("masked-lm") == MaskedLm()
    every = store_of(tmp_path / "every", dataset, Job(positions="all"))
    assert task_for(dataset, every) == MaskedLm(every_token=True)
    dataset, store = problems("token-classification")
    assert task_for(dataset, store) is task_of("token-classification")
