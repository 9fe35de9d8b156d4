"""What recipes read, and what they refuse."""

import pytest

from distill.distillation import objective_of, recipe_terms
from distill.errors import UserError
from distill.params.students import Shapes
from distill.prepared import Dataset
from distill.recipes.base import linear_map, relation_output, terms_of
from distill.recipes.catalogue import RECIPES
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS, attention_output, cls_output, hidden_output, projection_outputs
from distill.tasks.catalogue import task_of
from tests import tiny
from tests.formulas import JOB, VARIANTS, settings
from tests.stores import materialize

SHAPES = Shapes(2, 16, 4, 16, student_heads=2, teacher_heads=2)
TASK = task_of("sequence-classification")
TEACHER = {"layers": 4, "seed": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory, dataset: Dataset) -> TargetStore:
    return kept(dataset, tmp_path_factory.mktemp("store"), JOB)


def kept(dataset: Dataset, folder, job: Job) -> TargetStore:
    return TargetStore.open(materialize(tiny.bert(**TEACHER), dataset, folder / "tiny", job))


def test_every_recipe_has_a_variant_that_is_compared_with_its_formula():
    assert set(RECIPES) == {variant.partition("-")[0] for variant in VARIANTS}


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
        ("pkd", {"beta": 0}),
    ],
)
def test_what_a_student_needs_is_what_its_terms_read(variant, changed):
    chosen = settings(variant, **changed)
    needs, terms = chosen.needs(2, 4), terms_of(chosen, SHAPES)
    read = {output for term in terms for output in term.reads}
    named = {hidden_output(layer) for layer in needs.hidden} | {cls_output(layer) for layer in needs.cls}
    named |= {attention_output(layer) for layer in needs.attention} | ({LOGITS} if needs.logits else set())
    projections = {output for layer in needs.relations for output in projection_outputs(layer)}
    assert named <= read <= named | projections
    assert bool(projections) == bool(read - named)
    assert chosen.reads_hidden == bool(named - {LOGITS} or projections)
    assert objective_of(terms, TASK).trained is None or any(term.trains for term in terms)


def test_relations_are_named_as_the_store_names_them():
    assert tuple(relation_output(each, 3) for each in ("query", "key", "value")) == projection_outputs(3)


def test_a_term_of_weight_zero_is_neither_computed_nor_read():
    terms = terms_of(settings("distilbert", cosine_weight=0), SHAPES)
    assert [term.name for term in terms] == ["soft_targets", "hard_labels"]
    assert {output for term in terms for output in term.reads} == {"logits"}
    assert [term.name for term in terms_of(settings("hinton", alpha=0), SHAPES)] == ["soft_targets"]
    objective = objective_of(terms_of(settings("tinybert-intermediate", hidden_weight=0, embedding_weight=0), SHAPES), TASK)
    assert (objective.reads_hidden, objective.reads_attention, objective.trained) == (False, (1, 2), None)
    assert objective_of(terms_of(settings("tinybert-intermediate", attention_weight=0), SHAPES), TASK).reads_attention == ()


def test_a_linear_map_begins_with_small_entries_and_no_bias():
    projection = linear_map(400, 300)
    assert 0.0195 < projection.weight.std() < 0.0205
    assert not projection.bias.any()


def test_widths_that_cannot_be_compared_are_refused_with_what_to_change(store):
    with pytest.raises(UserError, match="student's are 8 wide, the teacher's 16; set cosine_weight: 0"):
        recipe_terms(settings("distilbert"), tiny.bert(layers=2, width=8), store)


def test_head_counts_that_cannot_be_compared_are_refused_with_what_to_change(store):
    student = tiny.bert(layers=2)
    student.config.num_attention_heads = 4
    expected = "the attention term .* the student has 4 heads a layer, the teacher 2; set attention_weight: 0, or .*_heads: 2"
    with pytest.raises(UserError, match=expected):
        recipe_terms(settings("tinybert-intermediate"), student, store)
    terms = recipe_terms(settings("tinybert-intermediate", attention_weight=0), student, store)
    assert [term.name for term in terms] == ["hidden", "embedding"]
    with pytest.raises(UserError, match=r"minilm: version 1 .* 4 heads a layer, the teacher 2; set version: 2"):
        recipe_terms(settings("minilm-1"), student, store)


def test_scores_cannot_be_learnt_from_probabilities_but_distributions_can(tmp_path, dataset):
    job = Job(hidden=(0, 2, 3, -1), attention=(2, -1), relations=(-1,), attention_as="probabilities-u8")
    store = kept(dataset, tmp_path, job)
    with pytest.raises(UserError, match="compares scores before the softmax, .* probabilities.*; set attention_as: replay"):
        recipe_terms(settings("tinybert-intermediate"), tiny.bert(layers=2), store)
    assert [term.name for term in recipe_terms(settings("minilm-1"), tiny.bert(layers=2), store)] == [
        "attention",
        "value_relation",
    ]


def test_depths_that_do_not_divide_ask_for_a_layer_map(store):
    student = tiny.bert(layers=3)
    with pytest.raises(UserError, match="3 layers of a student .* the teacher's 4; give layer_map: 3 of the teacher's layers"):
        recipe_terms(settings("tinybert-intermediate"), student, store)
    terms = recipe_terms(settings("tinybert-intermediate", layer_map=(2, 2, 4)), student, store)
    assert terms[0].reads == ("attention-02", "attention-02", "attention-04")
    assert objective_of(terms, TASK).reads_attention == (1, 2, 3)


@pytest.mark.parametrize("layer_map", [(4,), (1, 2, 3), (1, 5)])
def test_a_layer_map_that_does_not_fit_is_refused(layer_map):
    with pytest.raises(UserError, match=r"layer_map: got \[.*\], expected 2 numbers, .* from 1 to the teacher's 4"):
        terms_of(settings("tinybert-intermediate", layer_map=layer_map), SHAPES)


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        ("distilbert", r"has no hidden-04, only hidden-01, logits.*; add 4 to `hidden` of targets.tiny"),
        ("tinybert-intermediate", r"has no attention-02, only .*; add 2 to `attention` of targets.tiny"),
        ("pkd", r"has no cls-02, only .*; add 2 to `cls` of targets.tiny"),
        ("fitnets", r"has no hidden-02, only .*; add 2 to `hidden` of targets.tiny"),
        ("minilm", r"has no queries-04, only .*; add 4 to `relations` of targets.tiny"),
        ("minilm-1", r"has no attention-04, only .*; add 4 to `attention` of targets.tiny"),
    ],
)
def test_an_output_that_the_store_lacks_is_refused(few, variant, complaint):
    with pytest.raises(UserError, match=complaint):
        recipe_terms(settings(variant), tiny.bert(layers=2), few)


@pytest.fixture(scope="module")
def few(tmp_path_factory, dataset) -> TargetStore:
    """A store that keeps next to nothing."""
    return kept(dataset, tmp_path_factory.mktemp("few"), Job(hidden=(1,)))
