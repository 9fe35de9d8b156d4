"""The test that matters most: from an fp32 store, loss and gradients are those with the live teacher."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from distill.core.errors import UserError
from distill.data.averaging import labels_a_row, mean_divisors
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.params.students import SampleWeight
from distill.store.target_set import TargetStore
from distill.students.objective import objective_of, recipe_terms, row_weights
from distill.tasks.base import HARD_LABELS
from distill.tasks.masked_lm import MaskedLm
from distill.tasks.registry import task_of
from tests import tiny
from tests.formulas import (
    JOB,
    OF_VECTORS,
    RANKED,
    ROWS,
    TRUNKS,
    VARIANTS,
    gradients,
    inputs_of,
    live_loss,
    loss_of,
    problems_in,
    settings,
)
from tests.recipes.test_settings import INTERMEDIATE, student
from tests.stores import stored
from tests.target_specs import target_spec

GRID = [
    pytest.param(task, variant, id=f"{variant}-{task}")
    for task in tiny.TASKS
    for variant in VARIANTS
    if variant not in RANKED or task == "ranking"
]
GRID += [pytest.param(tiny.EMBEDDING, variant, id=f"{variant}-{tiny.EMBEDDING}") for variant in TRUNKS]


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    return problems_in(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def int8(problems):
    return problems("masked-lm").kept(replace(JOB, codec="int8"), "int8")


@pytest.fixture(scope="module")
def every_token(problems):
    """Logits not of masked tokens alone."""
    return problems("masked-lm").kept(target_spec(hidden=(-1,), codec="fp32", positions="all"), "every")


CLASSES = "sequence-classification"


def close(own: torch.Tensor, reference: torch.Tensor) -> bool:
    return bool((own - reference).norm() <= 1e-5 * reference.norm() + 1e-7)


@pytest.mark.parametrize(("task", "variant"), GRID)
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(problems, task, variant):
    problem = problems(task)
    student, objective, collator = problem.setup(variant, mixed=True)
    for size in (1, 9):
        rows = np.random.default_rng(size).permutation(min(ROWS, len(collator)))[:size].tolist()
        batch, labels = collator(rows), problem.labels_expected(rows)
        trained = objective.extra_modules
        expected = live_loss(task, variant, student, problem.teacher, batch, trained, labels_expected=labels)
        loss, values = loss_of(objective, student, batch)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
        assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())
        assert all(value.isfinite() for value in values.values())


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("progress", [0.3, 0.99])
def test_annealed_logits_are_those_of_the_live_teacher_whatever_is_done(problems, task, progress):
    problem = problems(task)
    student, objective, collator = problem.setup("annealing_kd")
    batch = collator([0, 3, 7, 11])
    expected = live_loss(task, "annealing_kd", student, problem.teacher, batch, None, progress=progress)
    loss, _ = loss_of(objective, student, {**batch, "progress": progress})
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())
    assert (loss - loss_of(objective, student, batch)[0]).abs() > 1e-3


@pytest.mark.parametrize(("task", "variant"), GRID)
def test_padding_order_and_parts_of_a_batch_change_nothing(problems, task, variant):
    """The parts have unequally many rows, tokens and labels, and one has no label."""
    student, objective, collator = problems(task).setup(variant, mixed=True)
    rows = [1, 0, 2, 3, 4, 6, 8]
    expected = loss_of(objective, student, collator(rows))[0]
    torch.testing.assert_close(loss_of(objective, student, collator(rows[::-1]))[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss_of(objective, student, widened(collator(rows)))[0], expected, rtol=1e-5, atol=1e-6)

    parts = [collator(part) for part in (rows[:1], rows[1:3], rows[3:])]
    divisors = mean_divisors(parts)
    losses = torch.stack([loss_of(objective, student, {**part, "divisors": divisors})[0] for part in parts])
    whole = gradients(objective, student, expected)
    assert close(gradients(objective, student, losses.mean()), whole)
    assert whole.norm() > 0


@pytest.fixture(scope="module")
def axes(problems):
    """The principal axes of the live teacher's vectors of the training rows, by their singular value decomposition."""
    problem = problems(tiny.EMBEDDING)
    with torch.no_grad():
        vectors = problem.teacher(**inputs_of(Collator(problem.dataset.rows("train"))(range(60)))).sentence_embedding
    whole = problem.store.output("logits", "train").some(1000)
    assert len(whole) > 60
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(len(whole)))
    torch.testing.assert_close(problem.store.output("logits", "train").spread(problem.dataset.rows("train").ids[:60]), vectors)
    found = np.linalg.svd(whole.double().numpy())[2][:8].T
    return torch.from_numpy(found * np.where(found.sum(axis=0) < 0, -1, 1))


@pytest.mark.parametrize("variant", OF_VECTORS)
def test_from_vectors_of_the_store_loss_and_gradients_are_those_with_the_live_teacher(problems, axes, variant):
    problem = problems(tiny.EMBEDDING)
    student, objective, collator = problem.setup(variant)
    for size in (1, 9):
        batch = collator(np.random.default_rng(size).permutation(ROWS)[:size].tolist())
        expected = live_loss(tiny.EMBEDDING, variant, student, problem.teacher, batch, axes)
        loss, _ = loss_of(objective, student, batch)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
        assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())
    rows = [1, 0, 2, 3, 4, 6, 8]
    expected, _ = loss_of(objective, student, collator(rows))
    torch.testing.assert_close(loss_of(objective, student, collator(rows[::-1]))[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss_of(objective, student, widened(collator(rows)))[0], expected, rtol=1e-5, atol=1e-6)
    if variant != "similarity_kl":  # which compares rows of a batch with each other
        parts = [collator(part) for part in (rows[:1], rows[1:3], rows[3:])]
        divisors = mean_divisors(parts)
        losses = torch.stack([loss_of(objective, student, {**part, "divisors": divisors})[0] for part in parts])
        assert close(gradients(objective, student, losses.mean()), gradients(objective, student, expected))


def test_a_student_of_another_width_is_told_how_to_be_comparable(problems):
    problem = problems(tiny.EMBEDDING)
    narrow = problem.student("similarity_kl")
    for how, changed, complaint in (
        (
            "cosine",
            {},
            "the student's have 8, the teacher's 16; give the student's architecture vector_size: 16, or set projection",
        ),
        ("similarity_kl", {"sizes": [8]}, "similarity_kl: sizes: got 8, the student's vectors have 8 numbers"),
    ):
        with pytest.raises(UserError, match=complaint):
            problem.objective(how, narrow, **changed)
    narrow.config.sentence_embedding = {"size": 16}
    followed = type(narrow)(narrow.config)
    assert problem.objective("cosine", followed)[0].task.name == tiny.EMBEDDING
    for changed in ({}, {"projection": "pca"}):
        narrow.config.sentence_embedding = {"size": 20}
        with pytest.raises(
            UserError, match="vectors have 20 numbers, the teacher's 16; give the student's architecture vector_size: 16"
        ):
            problem.objective("leaf", type(narrow)(narrow.config), **changed)


def widened(batch):
    """The batch with three more columns of padding."""
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
    wide = batch | {name: functional.pad(batch[name], (0, 3)) for name in inputs_of(batch)}
    wide |= {"attention_mask": functional.pad(mask, (0, 3))}
    if batch["labels"].shape == mask.shape:
        wide["labels"] = functional.pad(batch["labels"], (0, 3), value=-100)
    targets = batch.get("targets", {})
    return wide | {"targets": {name: functional.pad(t, (0, 3, 0, 3)) if t.ndim == 4 else t for name, t in targets.items()}}


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
    problem, own = problems(CLASSES), settings(variant, **changed)
    weights = [term.weight for term in recipe_terms(own, problem.student(variant), problem.store) if term.name == HARD_LABELS]
    assert own.label_weight == sum(weights)


@pytest.mark.parametrize("task", tiny.TASKS)
def test_where_all_rows_have_labels_the_loss_is_their_mean(problems, task):
    student, objective, collator = problems(task).setup("supervised")
    batch = collator([1, 2, 4, 5])
    loss = live_loss(task, "supervised", student, problems(task).teacher, batch, None)
    torch.testing.assert_close(loss_of(objective, student, batch)[0].double(), loss, rtol=1e-5, atol=1e-6)
    assert torch.equal(batch["counts"], batch["divisors"])


@pytest.mark.parametrize("variant", ["hinton", "distilbert", "tinybert-intermediate", "pkd", "fitnets", "minilm", "minilm-1"])
def test_int8_states_turn_the_gradient_by_very_little(problems, int8, variant):
    problem = problems("masked-lm")
    student, found = problem.student(variant), []
    for store in (problem.store, int8):
        objective, collator = problem.objective(variant, student, store)
        found.append(gradients(objective, student, loss_of(objective, student, collator(list(range(24))))[0]))
    assert not torch.equal(*found)
    assert functional.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize("variant", ["hinton", "distilbert"])
def test_soft_targets_of_every_token_are_those_with_the_live_teacher(problems, every_token, variant):
    problem = problems("masked-lm")
    student = problem.student()
    objective, collator = problem.objective(variant, student, every_token)
    batch = collator(list(range(9)))
    loss = loss_of(objective, student, batch)[0]
    expected = live_loss("masked-lm", variant, student, problem.teacher, batch, None, every_token=True)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    masked = live_loss("masked-lm", variant, student, problem.teacher, batch, None)
    assert (loss - masked).abs() > 1e-3
    assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())


def test_supervised_reads_nothing_from_the_store(problems):
    problem = problems(CLASSES)
    _, collator = problem.objective("supervised", problem.student())
    assert list(collator.targets) == []
    assert "targets" not in collator([0, 1])


def test_a_collator_without_targets_gives_inputs_and_labels(problems):
    batch = Collator(problems(CLASSES).dataset.rows("train"))([3, 1])
    assert set(batch) <= {"input_ids", "attention_mask", "labels", "counts", "divisors"}
    assert batch["labels"].shape == (2,)


@pytest.mark.parametrize("variant", ["tinybert-intermediate", "fitnets", "pkd-last"])
def test_one_projection_maps_all_states_of_a_narrower_student_and_learns(problems, variant):
    student, objective, collator = problems(CLASSES).setup(variant)
    (projection,) = objective.extra_modules
    assert (projection.in_features, projection.out_features) == (8, 16)
    loss_of(objective, student, collator([0, 5, 9]))[0].backward()
    assert projection.weight.grad.abs().sum() > 0
    assert projection.bias.grad.abs().sum() > 0


def test_only_the_layers_below_the_hint_learn_from_it(problems):
    student, objective, collator = problems(CLASSES).setup("fitnets")
    loss_of(objective, student, collator([0, 5, 9]))[0].backward()
    lower, upper = student.bert.encoder.layer
    assert all(parameter.grad is not None for parameter in lower.parameters())
    assert not any(parameter.grad is not None for parameter in [*upper.parameters(), *student.classifier.parameters()])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("task", [task for task in tiny.TASKS if task != "masked-lm"])
def test_a_row_counts_as_its_weight_says_in_the_loss_against_the_labels(problems, task, mixed):
    """Whatever else is in its batch: its loss is multiplied by its weight, divided by the mean weight of all labels."""
    student, objective, plain = problems(task).setup("supervised", mixed)
    weights, items = np.random.default_rng(1).integers(0, 4, len(plain.rows)).astype(np.float32), np.arange(len(plain.rows))
    if plain.rows.groups is not None:
        items, weights = plain.rows.groups, weights[plain.rows.groups] * (plain.rows.groups != 3)
    weighted, alike = (Collator(plain.rows, weights=each) for each in (weights, np.full(len(plain.rows), 0.3, np.float32)))
    labels = labels_a_row(plain.rows)
    for row in (0, 3, int(np.flatnonzero((weights == 0) & (labels > 0))[0])):
        losses = [loss_of(objective, student, collator([int(items[row])]))[0] for collator in (plain, weighted, alike)]
        found = [gradients(objective, student, loss) for loss in losses]
        factor = float(weights[row] / np.average(weights, weights=labels))
        torch.testing.assert_close((losses[1], found[1]), (losses[0] * factor, found[0] * factor), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close((losses[2], found[2]), (losses[0], found[0]), rtol=1e-4, atol=1e-5)


def test_weights_leave_the_soft_targets_as_they_are(problems):
    student, objective, rows = problems(CLASSES).setup("hinton")
    weights = np.linspace(0, 1, ROWS, dtype=np.float32)
    weighted = Collator(rows.rows, rows.targets, weights)
    plain, weighed = (loss_of(objective, student, collator([0, 1, 2]))[1] for collator in (rows, weighted))
    assert torch.equal(plain["soft_targets"], weighed["soft_targets"])
    assert not torch.equal(plain["hard_labels"], weighed["hard_labels"])


def test_batches_have_the_weights_of_the_audit_and_a_student_without_labels_takes_none(problems):
    problem, weight = problems(CLASSES), SampleWeight(suspect=0.25, hard=0.5)
    _, rows = problem.objective("hinton", problem.student(), sample_weight=weight)
    assert rows([5, 0, 9])["weights"].tolist() == row_weights(problem.dataset, problem.store, weight)[[5, 0, 9]].tolist()
    with pytest.raises(UserError, match="sample_weight: weighs the loss against the labels, which hinton here does not"):
        problem.objective("hinton", problem.student(), alpha=0.0, sample_weight=weight)


def test_the_task_is_that_of_the_data_and_of_every_token_if_the_store_keeps_them(problems, every_token):
    problem = problems("masked-lm")
    assert problem.objective("hinton", problem.student())[0].task == task_of("masked-lm") == MaskedLm()
    assert problem.objective("hinton", problem.student(), every_token)[0].task == MaskedLm(every_token=True)
    assert problems("token-classification").setup("hinton")[1].task is task_of("token-classification")


@pytest.fixture(scope="module")
def stores(tmp_path_factory, dataset: Dataset) -> dict[str, TargetStore]:
    """Of one teacher of 4 layers: with what all variants read, with attention as probabilities, and with next to nothing."""
    kept = {"hidden": (0, 2, 3, -1), "attention": (2, -1), "relations": (-1,), "attention_as": "probabilities-u8"}
    jobs = {"all": JOB, "probabilities": target_spec(**kept), "few": target_spec(hidden=(1,))}
    teacher = tiny.bert(layers=4, seed=1)
    return {name: stored(teacher, dataset, tmp_path_factory.mktemp(name) / "tiny", job) for name, job in jobs.items()}


MISSING = "has no {}, only .*; add {} to `{}` of targets.tiny"


@pytest.mark.parametrize(
    ("recipe", "own", "store", "shape", "complaint"),
    [
        ("distilbert", {}, "all", {"width": 8}, "student's are 8 wide, the teacher's 16; set cosine_weight: 0"),
        (
            "tinybert",
            INTERMEDIATE,
            "all",
            {"heads": 4},
            "4 heads a layer, the teacher 2; set attention_weight: 0, or .*_heads: 2",
        ),
        ("minilm", {"version": 1}, "all", {"heads": 4}, r"minilm: version 1 .* 4 heads a layer, the teacher 2; set version: 2"),
        (
            "tinybert",
            INTERMEDIATE,
            "probabilities",
            {},
            "scores before the softmax, .* probabilities.*; set attention_as: replay",
        ),
        ("distilbert", {}, "few", {}, r"has no hidden-04, only hidden-01, logits.*; add 4 to `hidden` of targets.tiny"),
        ("tinybert", INTERMEDIATE, "few", {}, MISSING.format("attention-02", 2, "attention")),
        ("pkd", {}, "few", {}, MISSING.format("cls-02", 2, "cls")),
        ("fitnets", {}, "few", {}, MISSING.format("hidden-02", 2, "hidden")),
        ("minilm", {}, "few", {}, MISSING.format("queries-04", 4, "relations")),
        ("minilm", {"version": 1}, "few", {}, MISSING.format("attention-04", 4, "attention")),
    ],
)
def test_what_the_store_lacks_or_cannot_be_compared_is_refused(stores, recipe, own, store, shape, complaint):
    model = tiny.bert(layers=2, width=shape.get("width", 16))
    model.config.num_attention_heads = shape.get("heads", 2)
    with pytest.raises(UserError, match=complaint):
        recipe_terms(student(recipe, **own), model, stores[store])


def test_distributions_are_learnt_from_probabilities_and_layers_by_a_map(stores):
    terms = recipe_terms(student("minilm", version=1), tiny.bert(layers=2), stores["probabilities"])
    assert [term.name for term in terms] == ["attention", "value_relation"]
    terms = recipe_terms(student("tinybert", **INTERMEDIATE, layer_map=[2, 2, 4]), tiny.bert(layers=3), stores["all"])
    assert terms[0].reads == ("attention-02", "attention-02", "attention-04")
    assert objective_of(terms, task_of(CLASSES)).reads_attention == (1, 2, 3)
