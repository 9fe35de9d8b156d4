"""Of the rows that a step looks at it learns from those whose answers are farthest from the teacher's."""

from itertools import chain, pairwise

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.batching import Collator
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.training.hard_examples import hardest
from distill.training.objective import DistillationModel
from distill.training.trainer import train
from tests.distilling import weights
from tests.formulas import ROWS, Observed, Problem, problems_in, settings

TASKS = ("sequence-classification", "multi-label", "regression", "token-classification", "question-answering")


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    return problems_in(tmp_path_factory.mktemp)


def setup(problem: Problem, hardest_of: int):
    student = problem.student()
    return student, *problem.objective("hinton", student, alpha=0.0, hardest_of=hardest_of)


def divergence(task: str, own: torch.Tensor, theirs: torch.Tensor) -> float:
    """Of one row without padding: (classes,), or (tokens, classes)."""
    if task == "regression":
        return float((own - theirs).square().sum())
    if task == "multi-label":
        own, theirs = (torch.stack([torch.zeros_like(z), z], dim=-1) for z in (own, theirs))
    if task == "question-answering":
        own, theirs = own.T, theirs.T
    p, log_q = theirs.softmax(-1), own.log_softmax(-1)
    return float((p * (p.log() - log_q)).sum(-1).mean())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("one_of", [2, 3])
def test_those_of_the_largest_divergence_are_chosen(problems, task, one_of):
    problem = problems(task)
    student, objective, collator = setup(problem, one_of)
    places = np.random.default_rng(1).permutation(ROWS)[:13].tolist()
    batch = collator(places)
    with torch.no_grad():
        own, theirs = (Observed.of(model, batch).logits for model in (student, problem.teacher))
    real = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    rows = [(s, t) if own.ndim == 2 else (s[real[i]], t[real[i]]) for i, (s, t) in enumerate(zip(own, theirs, strict=True))]
    found = {place: divergence(task, *row) for place, row in zip(places, rows, strict=True)}
    model = DistillationModel(student, objective).train()
    chosen = hardest(model, batch, one_of)
    assert model.training
    assert len(chosen) == -(-13 // one_of)
    assert set(chosen) == set(sorted(found, key=found.get)[-len(chosen) :])
    assert chosen == [place for place in places if place in chosen]
    assert hardest(model, collator(places[::-1]), one_of) == chosen[::-1]


NAN = float("nan")
MEANS = {
    "sequence-classification": ([2.0, NAN], [[1, 1], [1, 0]], [2.0, NAN]),
    "multi-label": ([1.0, 3.0, NAN, NAN], [[1, 1], [1, 0]], [2.0, NAN]),
    "token-classification": ([NAN, 4.0, 2.0, NAN, 5.0, NAN, NAN], [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]], [3.0, 5.0, NAN]),
}


@pytest.mark.parametrize("task", MEANS)
def test_the_mean_of_a_row_is_over_its_lines_that_have_a_target(task):
    lines, mask, expected = map(torch.tensor, MEANS[task])
    torch.testing.assert_close(task_of(task).mean_by_row(lines, mask), expected, equal_nan=True)


def test_rows_without_targets_are_chosen_last(problems):
    student, objective, collator = setup(problems(TASKS[0]), 2)
    batch = collator([3, 1, 4, 5])
    batch["targets"]["logits"][[0, 2]] = torch.nan
    assert hardest(DistillationModel(student, objective), batch, 2) == [1, 5]


def run(problem: Problem, scratch, monkeypatch, **changed: object):
    """Batches that are learnt from, how it went, and the weights."""
    seen: list[list[int]] = []
    chosen = settings("hinton", alpha=0.0, hardest_of=3, epochs=2, batch_size=4, precision="fp32", **changed)
    student, objective, collator = setup(problem, 3)
    gather = Collator.__call__
    monkeypatch.setattr(Collator, "__call__", lambda own, places: seen.append([*places]) or gather(own, places))
    validation = EvaluationSplit.from_dataset(problem.dataset, "validation")
    how = {"seed": 1, "metric": problem.dataset.metric, "scratch": scratch, "title": "test"}
    trained = train(student, collator, validation, chosen, objective, **how)
    monkeypatch.undo()
    return seen, trained, weights(student)


def test_an_epoch_looks_at_all_rows_and_learns_from_a_third_alike_each_time(problems, tmp_path, monkeypatch):
    problem = problems(TASKS[0])
    seen, trained, first = run(problem, tmp_path / "first", monkeypatch)
    looked, learnt = ([places for places in seen if (len(places) == 12) == whole] for whole in (True, False))
    assert trained.steps == 2 * 5 == len(looked) == len(learnt)
    assert {len(places) for places in learnt} == {4}
    assert sorted(chain(*looked[:5])) == [*range(ROWS)]
    assert all(any({*places} <= {*pool} for pool in looked) for places in learnt)
    assert any(a != b for a, b in pairwise(learnt))
    assert torch.equal(run(problem, tmp_path / "again", monkeypatch)[2], first)
    assert run(problem, tmp_path / "gathered", monkeypatch, gradient_accumulation=2)[1].steps == 2 * 3


@pytest.mark.parametrize(
    ("task", "variant", "complaint"),
    [
        (TASKS[0], "supervised", "hardest_of: compares a student's answers with the teacher's, supervised here reads no logits"),
        (TASKS[0], "fitnets", "fitnets here reads no logits; set it to 1, or take a recipe that does, such as hinton"),
        ("masked-lm", "hinton", "hardest_of: the targets of language models are replayed, a few tokens at a time; set it to 1"),
        ("ranking", "hinton", "hardest_of: passages of a query are learnt together; set it to 1"),
    ],
)
def test_where_no_answers_are_compared_it_is_refused(problems, task, variant, complaint):
    problem = problems(task)
    student = problem.student(variant)
    with pytest.raises(UserError, match=complaint):
        problem.objective(variant, student, hardest_of=2)
    problem.objective(variant, student, hardest_of=1)
