"""The test that matters most: from an fp32 store, loss and gradients are those with the live teacher."""

import numpy as np
import pytest
import torch

from distill.batches import Collator
from distill.distillation import objective_of, recipe_terms, target_collator
from distill.errors import UserError
from distill.params.students import RECIPES
from distill.prepared import Dataset
from distill.recipes.base import Shapes
from distill.recipes.catalogue import TERMS, terms_of
from distill.targets.reader import TargetStore
from distill.targets.writer import Job
from distill.tasks import cross_entropy
from tests import tiny
from tests.stores import materialize

TEACHER = {"layers": 4, "seed": 1}
SHAPES = Shapes(student_layers=2, student_width=16, teacher_layers=4, teacher_width=16)


def settings(recipe: str, **changed: object):
    entry = {"dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
    return RECIPES[recipe].model_validate({"recipe": recipe, **entry, **changed}, strict=False)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tokenizer):
    """A data set of which every third training row has no label."""
    texts, labels = tiny.rows(24, 3)
    labels = [label if i % 3 else "" for i, label in enumerate(labels)]
    return Dataset.open(tiny.prepare_rows(tmp_path_factory.mktemp("mixed") / "tiny", tokenizer, texts, labels))


@pytest.fixture(scope="module")
def store(tmp_path_factory, mixed):
    job = Job(hidden=(0, -1), codec="fp32", shard_bytes=3000)
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path_factory.mktemp("store") / "tiny", job)
    return TargetStore.open(folder)


def live_loss(recipe, student, teacher, batch):
    """The recipe's formula, written out, with the teacher in the loop. Padding is left out by the mask."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
    own = student(**inputs, output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(**inputs, output_hidden_states=True)
    hard = cross_entropy(own.logits, batch["labels"])

    def soft(temperature):
        p = (theirs.logits.double() / temperature).softmax(-1)
        log_q = (own.logits.double() / temperature).log_softmax(-1)
        return (p * (p.log() - log_q)).sum(-1).mean() * temperature**2

    if recipe == "supervised":
        return hard
    if recipe == "hinton":
        return 0.5 * hard + 0.5 * soft(4.0)
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    s, t = own.hidden_states[-1][mask].double(), theirs.hidden_states[-1][mask].double()
    cosine = ((s * t).sum(-1) / s.norm(dim=-1) / t.norm(dim=-1)).mean()
    return 5 * soft(2.0) + 2 * hard + (1 - cosine)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("size", [1, 7, 24])
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(mixed, store, recipe, size):
    student, teacher = tiny.bert(layers=2, seed=5), tiny.bert(**TEACHER)
    terms = recipe_terms(settings(recipe), student, store)
    batch = target_collator(mixed, store, terms)(np.random.default_rng(size).permutation(24)[:size].tolist())
    expected = live_loss(recipe, student, teacher, batch)
    reference = gradients(student, expected)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
    loss, values = objective_of(terms)(student(**inputs, output_hidden_states=True), batch)
    torch.testing.assert_close(loss.double(), expected.double(), rtol=1e-5, atol=1e-6)
    own = gradients(student, loss)
    assert (own - reference).norm() <= 1e-5 * reference.norm()
    assert set(values) == {term.name for term in terms}


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_padding_and_order_change_nothing(mixed, store, recipe):
    student = tiny.bert(layers=2, seed=5)
    terms = recipe_terms(settings(recipe), student, store)
    collator, objective = target_collator(mixed, store, terms), objective_of(terms)

    def loss_of(rows):
        batch = collator(rows)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
        return objective(student(**inputs, output_hidden_states=True), batch)[0]

    rows = [1, 2, 4, 5, 7, 8]
    torch.testing.assert_close(loss_of(rows), loss_of(rows[::-1]), rtol=1e-5, atol=1e-6)
    if recipe != "distilbert":
        alone = torch.stack([loss_of([row]) for row in rows]).mean()
        torch.testing.assert_close(loss_of(rows), alone, rtol=1e-5, atol=1e-6)


def test_int8_states_turn_the_gradient_by_very_little(tmp_path, mixed, store):
    student = tiny.bert(layers=2, seed=5)
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path / "tiny", Job(hidden=(-1,), codec="int8"))
    found = []
    for kept in (store, TargetStore.open(folder)):
        terms = recipe_terms(settings("distilbert"), student, kept)
        batch = target_collator(mixed, kept, terms)(list(range(24)))
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        found.append(gradients(student, objective_of(terms)(student(**inputs, output_hidden_states=True), batch)[0]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.999


def test_every_recipe_of_params_has_its_terms():
    assert set(TERMS) == set(RECIPES)


def test_a_term_of_weight_zero_is_neither_computed_nor_read():
    terms = terms_of(settings("distilbert", cosine_weight=0), SHAPES)
    assert [term.name for term in terms] == ["soft_targets", "hard_labels"]
    assert {output for term in terms for output in term.reads} == {"logits"}
    assert [term.name for term in terms_of(settings("hinton", alpha=0), SHAPES)] == ["soft_targets"]


def test_supervised_reads_nothing_from_the_store(mixed, store):
    student = tiny.bert(layers=2)
    collator = target_collator(mixed, store, recipe_terms(settings("supervised"), student, store))
    assert collator.targets == {}
    assert "targets" not in collator([0, 1])


def test_widths_that_cannot_be_compared_are_refused_with_what_to_change(store):
    with pytest.raises(UserError, match="student's are 8 wide, the teacher's 16; set cosine_weight: 0"):
        recipe_terms(settings("distilbert"), tiny.bert(layers=2, width=8), store)


def test_a_layer_that_the_store_lacks_is_refused(tmp_path, mixed):
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path / "few", Job(hidden=(1,)))
    with pytest.raises(UserError, match=r"has no hidden-04, only hidden-01, logits; add 4 to `hidden` of targets.few"):
        recipe_terms(settings("distilbert"), tiny.bert(layers=2), TargetStore.open(folder))


def test_a_collator_without_targets_gives_inputs_and_labels(mixed):
    batch = Collator(mixed.rows("train"))([3, 1])
    assert set(batch) <= {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].shape == (2,)
