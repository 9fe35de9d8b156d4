"""The test that matters most: from an fp32 store, loss and gradients are those with the live teacher."""

import numpy as np
import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from distill.attention import capture_attention
from distill.batches import Collator
from distill.distillation import objective_of, recipe_terms, target_collator
from distill.errors import UserError
from distill.params.students import RECIPES
from distill.prepared import Dataset
from distill.recipes.base import Shapes
from distill.recipes.catalogue import TERMS, terms_of
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS, attention_output, hidden_output
from distill.tasks import cross_entropy
from tests import tiny
from tests.stores import materialize

TEACHER = {"layers": 4, "seed": 1}
SHAPES = Shapes(2, 16, 4, 16, student_heads=2, teacher_heads=2)
VARIANTS = {
    "supervised": {},
    "hinton": {},
    "distilbert": {},
    "tinybert-intermediate": {"attention_weight": 0.5, "embedding_weight": 2.0},
    "tinybert-prediction": {"temperature": 2.0, "hard_weight": 0.3},
}
SCORES: list[torch.Tensor] = []
"""What `recorded` saw in one forward pass, layer after layer."""


def settings(variant: str, **changed: object):
    entry = {"dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
    recipe, _, stage = variant.partition("-")
    entry |= {"stage": stage} if stage else {}
    return RECIPES[recipe].model_validate({"recipe": recipe, **entry, **VARIANTS[variant], **changed}, strict=False)


def recorded(module, query, key, value, attention_mask, scaling, **_):
    """Attention as its formula has it, which keeps the scores before mask and softmax."""
    scores = query @ key.transpose(-1, -2) * scaling
    SCORES.append(scores)
    weights = (scores if attention_mask is None else scores + attention_mask).softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


AttentionInterface.register("recorded", recorded)
AttentionMaskInterface.register("recorded", eager_mask)


def observed(model, batch):
    """Outputs with all hidden states, and the scores of every layer from attention's own formula."""
    SCORES.clear()
    before = model.config._attn_implementation
    model.set_attn_implementation("recorded")
    outputs = model(**inputs_of(batch), output_hidden_states=True)
    model.set_attn_implementation(before)
    return outputs, list(SCORES)


def inputs_of(batch):
    return {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tokenizer):
    """A data set of which every third training row has no label."""
    texts, labels = tiny.rows(24, 3)
    labels = [label if i % 3 else "" for i, label in enumerate(labels)]
    return Dataset.open(tiny.prepare_rows(tmp_path_factory.mktemp("mixed") / "tiny", tokenizer, texts, labels))


@pytest.fixture(scope="module")
def store(tmp_path_factory, mixed):
    job = Job(hidden=(0, 2, -1), attention=(2, -1), codec="fp32", shard_bytes=3000)
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path_factory.mktemp("store") / "tiny", job)
    return TargetStore.open(folder)


def live_loss(variant, student, teacher, batch, trained):
    """The recipe's formula, written out, with the teacher in the loop. Padding is left out by the mask."""
    own, own_scores = observed(student, batch)
    with torch.no_grad():
        theirs, their_scores = observed(teacher, batch)
    hard = cross_entropy(own.logits, batch["labels"])
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()

    def soft(temperature):
        p = (theirs.logits.double() / temperature).softmax(-1)
        log_q = (own.logits.double() / temperature).log_softmax(-1)
        return (p * (p.log() - log_q)).sum(-1).mean() * temperature**2

    def states(layer, teacher_layer):
        (projection,) = trained
        mapped = own.hidden_states[layer].double() @ projection.weight.double().T + projection.bias.double()
        return ((mapped - theirs.hidden_states[teacher_layer].double())[mask] ** 2).mean()

    def attention(layer, teacher_layer):
        squares = (own_scores[layer - 1].double() - their_scores[teacher_layer - 1].double()) ** 2
        return torch.cat([row[:, real][:, :, real].flatten() for row, real in zip(squares, mask, strict=True)]).mean()

    match variant:
        case "supervised":
            return hard
        case "hinton":
            return 0.5 * hard + 0.5 * soft(4.0)
        case "distilbert":
            s, t = own.hidden_states[-1][mask].double(), theirs.hidden_states[-1][mask].double()
            cosine = ((s * t).sum(-1) / s.norm(dim=-1) / t.norm(dim=-1)).mean()
            return 5 * soft(2.0) + 2 * hard + (1 - cosine)
        case "tinybert-intermediate":
            return 0.5 * (attention(1, 2) + attention(2, 4)) + states(1, 2) + states(2, 4) + 2 * states(0, 0)
        case "tinybert-prediction":
            p = (theirs.logits.double() / 2).softmax(-1)
            return -(p * (own.logits.double() / 2).log_softmax(-1)).sum(-1).mean() + 0.3 * hard
    raise AssertionError(variant)


def loss_of(objective, student, batch):
    with capture_attention(student, objective.reads_attention) as attention:
        outputs = student(**inputs_of(batch), output_hidden_states=objective.reads_hidden)
    return objective(outputs, batch, attention)


def gradients(student, trained, loss):
    parameters = [*student.parameters(), *(() if trained is None else trained.parameters())]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [1, 7, 24])
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(mixed, store, variant, size):
    student, teacher = tiny.bert(layers=2, seed=5), tiny.bert(**TEACHER)
    terms = recipe_terms(settings(variant), student, store)
    objective = objective_of(terms)
    batch = target_collator(mixed, store, terms)(np.random.default_rng(size).permutation(24)[:size].tolist())
    expected = live_loss(variant, student, teacher, batch, objective.trained)
    loss, values = loss_of(objective, student, batch)
    torch.testing.assert_close(loss.double(), expected.double(), rtol=1e-5, atol=1e-6)
    reference = gradients(student, objective.trained, expected)
    own = gradients(student, objective.trained, loss)
    assert (own - reference).norm() <= 1e-5 * reference.norm()
    assert set(values) == {term.name for term in terms}


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_order_change_nothing(mixed, store, variant):
    student = tiny.bert(layers=2, seed=5)
    terms = recipe_terms(settings(variant), student, store)
    collator, objective = target_collator(mixed, store, terms), objective_of(terms)

    def of(rows):
        return loss_of(objective, student, collator(rows))[0]

    rows = [1, 2, 4, 5, 7, 8]
    torch.testing.assert_close(of(rows), of(rows[::-1]), rtol=1e-5, atol=1e-6)
    if not objective.reads_hidden:  # else the mean is over tokens, not over rows
        alone = torch.stack([of([row]) for row in rows]).mean()
        torch.testing.assert_close(of(rows), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["distilbert", "tinybert-intermediate"])
def test_int8_states_turn_the_gradient_by_very_little(tmp_path, mixed, store, variant):
    student = tiny.bert(layers=2, seed=5)
    job = Job(hidden=(0, 2, -1), attention=(2, -1), codec="int8")
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path / "tiny", job)
    found = []
    for kept in (store, TargetStore.open(folder)):
        torch.manual_seed(7)
        terms = recipe_terms(settings(variant), student, kept)
        objective = objective_of(terms)
        batch = target_collator(mixed, kept, terms)(list(range(24)))
        found.append(gradients(student, objective.trained, loss_of(objective, student, batch)[0]))
    assert not torch.equal(*found)
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.999


def test_every_recipe_of_params_has_its_terms():
    assert set(TERMS) == set(RECIPES) == {variant.partition("-")[0] for variant in VARIANTS}


@pytest.mark.parametrize(
    ("variant", "changed"),
    [
        *((variant, {}) for variant in VARIANTS),
        ("hinton", {"alpha": 1}),
        ("distilbert", {"soft_weight": 0}),
        ("distilbert", {"cosine_weight": 0}),
        ("tinybert-intermediate", {"attention_weight": 0}),
        ("tinybert-intermediate", {"hidden_weight": 0}),
        ("tinybert-intermediate", {"embedding_weight": 0}),
        ("tinybert-intermediate", {"layer_map": (3, 3)}),
        ("tinybert-prediction", {"soft_weight": 0}),
    ],
)
def test_what_a_student_needs_is_what_its_terms_read(variant, changed):
    chosen = settings(variant, **changed)
    needs = chosen.needs(2, 4)
    named = {LOGITS} if needs.logits else set()
    named |= {hidden_output(layer) for layer in needs.hidden} | {attention_output(layer) for layer in needs.attention}
    assert named == {output for term in terms_of(chosen, SHAPES) for output in term.reads}
    assert not needs.cls
    assert chosen.reads_hidden == bool(needs.hidden or needs.attention)


def test_a_term_of_weight_zero_is_neither_computed_nor_read():
    terms = terms_of(settings("distilbert", cosine_weight=0), SHAPES)
    assert [term.name for term in terms] == ["soft_targets", "hard_labels"]
    assert {output for term in terms for output in term.reads} == {"logits"}
    assert [term.name for term in terms_of(settings("hinton", alpha=0), SHAPES)] == ["soft_targets"]
    objective = objective_of(terms_of(settings("tinybert-intermediate", hidden_weight=0, embedding_weight=0), SHAPES))
    assert (objective.reads_hidden, objective.reads_attention, objective.trained) == (False, (1, 2), None)
    assert objective_of(terms_of(settings("tinybert-intermediate", attention_weight=0), SHAPES)).reads_attention == ()


def test_supervised_reads_nothing_from_the_store(mixed, store):
    student = tiny.bert(layers=2)
    collator = target_collator(mixed, store, recipe_terms(settings("supervised"), student, store))
    assert collator.targets == {}
    assert "targets" not in collator([0, 1])


def test_widths_that_cannot_be_compared_are_refused_with_what_to_change(store):
    with pytest.raises(UserError, match="student's are 8 wide, the teacher's 16; set cosine_weight: 0"):
        recipe_terms(settings("distilbert"), tiny.bert(layers=2, width=8), store)


def test_tinybert_maps_all_states_of_a_narrower_student_by_one_projection(mixed, store):
    student = tiny.bert(layers=2, width=8)
    terms = recipe_terms(settings("tinybert-intermediate"), student, store)
    objective = objective_of(terms)
    (projection,) = objective.trained
    assert (projection.in_features, projection.out_features) == (8, 16)
    batch = target_collator(mixed, store, terms)([0, 5, 9])
    loss_of(objective, student, batch)[0].backward()
    assert projection.weight.grad.abs().sum() > 0
    assert projection.bias.grad.abs().sum() > 0


def test_head_counts_that_cannot_be_compared_are_refused_with_what_to_change(store):
    student = tiny.bert(layers=2)
    student.config.num_attention_heads = 4
    expected = "the attention term .* the student has 4 heads a layer, the teacher 2; set attention_weight: 0, or .*_heads: 2"
    with pytest.raises(UserError, match=expected):
        recipe_terms(settings("tinybert-intermediate"), student, store)
    terms = recipe_terms(settings("tinybert-intermediate", attention_weight=0), student, store)
    assert [term.name for term in terms] == ["hidden", "embedding"]


def test_scores_cannot_be_learnt_from_probabilities(tmp_path, mixed):
    job = Job(hidden=(0, 2, -1), attention=(2, -1), attention_as="probabilities-u8")
    kept = TargetStore.open(materialize(tiny.bert(**TEACHER), mixed, tmp_path / "tiny", job))
    with pytest.raises(UserError, match="compares scores before the softmax, .* probabilities.*; set attention_as: replay"):
        recipe_terms(settings("tinybert-intermediate"), tiny.bert(layers=2), kept)


def test_depths_that_do_not_divide_ask_for_a_layer_map(store):
    student = tiny.bert(layers=3)
    with pytest.raises(UserError, match="3 layers of a student .* the teacher's 4; give layer_map: 3 of the teacher's layers"):
        recipe_terms(settings("tinybert-intermediate"), student, store)
    terms = recipe_terms(settings("tinybert-intermediate", layer_map=(2, 2, 4)), student, store)
    assert terms[0].reads == ("attention-02", "attention-02", "attention-04")
    assert objective_of(terms).reads_attention == (1, 2, 3)


@pytest.mark.parametrize("layer_map", [(4,), (1, 2, 3), (1, 5)])
def test_a_layer_map_that_does_not_fit_is_refused(layer_map):
    with pytest.raises(UserError, match=r"layer_map: got \[.*\], expected 2 numbers, .* from 1 to the teacher's 4"):
        terms_of(settings("tinybert-intermediate", layer_map=layer_map), SHAPES)


def test_a_layer_that_the_store_lacks_is_refused(tmp_path, mixed):
    folder = materialize(tiny.bert(**TEACHER), mixed, tmp_path / "few", Job(hidden=(1,)))
    with pytest.raises(UserError, match=r"has no hidden-04, only hidden-01, logits.*; add 4 to `hidden` of targets.few"):
        recipe_terms(settings("distilbert"), tiny.bert(layers=2), TargetStore.open(folder))
    with pytest.raises(UserError, match=r"has no attention-02"):
        recipe_terms(settings("tinybert-intermediate"), tiny.bert(layers=2), TargetStore.open(folder))


def test_a_collator_without_targets_gives_inputs_and_labels(mixed):
    batch = Collator(mixed.rows("train"))([3, 1])
    assert set(batch) <= {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].shape == (2,)
