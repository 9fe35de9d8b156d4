"""What recipes make of their settings: what they read of which layers, and what they refuse."""

import pytest

from distill.core.errors import UserError
from distill.core.validation import validate
from distill.params.students import Needs, Shapes, StudentSettings
from distill.recipes.registry import RECIPES
from distill.recipes.terms.layers import linear_map
from distill.recipes.terms.terms import terms_of
from distill.students.objective import objective_of
from distill.tasks.registry import task_of
from tests.formulas import OF_VECTORS, VARIANTS
from tests.recipes import test_decoders

TASK = task_of("sequence-classification")
INTERMEDIATE, PREDICTION = {"stage": "intermediate"}, {"stage": "prediction"}
TRANSFER, DISTILL = {"stage": "transfer"}, {"stage": "distill"}
RELATIONS = ("queries", "keys", "values")
STATES = ("feature_weight", "mean_weight", "variance_weight")
WEIGHTS = ("attention_weight", "hidden_weight", "embedding_weight")
NOTHING = "all are 0, nothing would be learnt"
SHUFFLED = {"layer_map": [12, 2, 2, 7], "embedding_weight": 0.0}


def student(recipe: str, **settings: object) -> StudentSettings:
    entry = {"recipe": recipe, "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(RECIPES[recipe], {**entry, **settings}, "students.s")


def shapes(depths=(2, 4), widths=(24, 24), heads=(6, 6)) -> Shapes:
    return Shapes(depths[0], widths[0], depths[1], widths[1], student_heads=heads[0], teacher_heads=heads[1])


@pytest.mark.parametrize(
    ("recipe", "settings", "depths", "needs", "relations"),
    [
        ("supervised", {}, (2, 4), Needs(), ()),
        ("hinton", {}, (2, 4), Needs(logits=True), ()),
        ("hinton", {"alpha": 1.0}, (2, 4), Needs(), ()),
        ("logit_mse", {}, (2, 4), Needs(logits=True), ()),
        ("annealing_kd", {}, (2, 4), Needs(logits=True), ()),
        ("distilbert", {}, (2, 4), Needs(logits=True, hidden=(4,)), ()),
        ("distilbert", {"soft_weight": 0.0}, (2, 4), Needs(hidden=(4,)), ()),
        ("distilbert", {}, (4, 12), Needs(logits=True, hidden=(12,)), ()),
        ("distilbert", {"cosine_weight": 0.0}, (2, 4), Needs(logits=True), ()),
        ("distilbert", {"cosine_weight": 0.0, "soft_weight": 0.0}, (4, 12), Needs(), ()),
        ("tinybert", INTERMEDIATE, (2, 4), Needs(hidden=(0, 2, 4), attention=(2, 4)), ()),
        ("tinybert", {**INTERMEDIATE, "attention_weight": 0.0}, (2, 4), Needs(hidden=(0, 2, 4)), ()),
        ("tinybert", {**INTERMEDIATE, "hidden_weight": 0.0}, (2, 4), Needs(hidden=(0,), attention=(2, 4)), ()),
        ("tinybert", {**INTERMEDIATE, "embedding_weight": 0.0}, (2, 4), Needs(hidden=(2, 4), attention=(2, 4)), ()),
        ("tinybert", {**INTERMEDIATE, "layer_map": [3, 3]}, (2, 4), Needs(hidden=(0, 3), attention=(3,)), ()),
        ("tinybert", INTERMEDIATE, (4, 12), Needs(hidden=(0, 3, 6, 9, 12), attention=(3, 6, 9, 12)), ()),
        ("tinybert", {**INTERMEDIATE, **SHUFFLED}, (4, 12), Needs(hidden=(2, 7, 12), attention=(2, 7, 12)), ()),
        ("tinybert", {**INTERMEDIATE, "hidden_weight": 0.0}, (4, 12), Needs(hidden=(0,), attention=(3, 6, 9, 12)), ()),
        ("tinybert", {**INTERMEDIATE, "attention_weight": 0.0}, (4, 12), Needs(hidden=(0, 3, 6, 9, 12)), ()),
        *(("tinybert", PREDICTION, depths, Needs(logits=True), ()) for depths in ((2, 4), (4, 12), (5, 12))),
        ("tinybert", {**PREDICTION, "soft_weight": 0.0, "hard_weight": 0.3}, (2, 4), Needs(), ()),
        ("fitnets", {}, (6, 12), Needs(hidden=(6,)), ()),
        ("fitnets", {}, (3, 7), Needs(hidden=(4,)), ()),
        ("fitnets", {}, (1, 1), Needs(hidden=(1,)), ()),
        ("fitnets", {"guided": 6}, (6, 12), Needs(hidden=(6,)), ()),
        ("fitnets", {"hint": 12}, (6, 12), Needs(hidden=(12,)), ()),
        ("minilm", {}, (2, 4), Needs(relations=(4,)), RELATIONS),
        ("minilm", {"teacher_layer": 3}, (2, 4), Needs(relations=(3,)), RELATIONS),
        ("minilm", {"query_weight": 0.0, "key_weight": 0.0}, (2, 4), Needs(relations=(4,)), ("values",)),
        ("minilm", {"version": 1}, (2, 4), Needs(attention=(4,), relations=(4,)), ("values",)),
        ("minilm", {"version": 1, "value_weight": 0.0}, (2, 4), Needs(attention=(4,)), ()),
        ("minilm", {"version": 1, "attention_weight": 0.0}, (2, 4), Needs(relations=(4,)), ("values",)),
        ("mobilebert", DISTILL, (4, 4), Needs(logits=True), ()),
        ("mobilebert", {**DISTILL, "alpha": 1.0}, (4, 4), Needs(), ()),
        ("mobilebert", TRANSFER, (2, 2), Needs(hidden=(1, 2), attention=(1, 2)), ()),
        ("mobilebert", TRANSFER, (2, 12), Needs(hidden=(6, 12), attention=(6, 12)), ()),
        ("mobilebert", {**TRANSFER, "layer_map": [5, 5]}, (2, 12), Needs(hidden=(5,), attention=(5,)), ()),
        ("mobilebert", {**TRANSFER, "attention_weight": 0.0}, (2, 2), Needs(hidden=(1, 2)), ()),
        ("mobilebert", {**TRANSFER, **dict.fromkeys(STATES, 0.0)}, (2, 2), Needs(attention=(1, 2)), ()),
        ("pkd", {}, (6, 12), Needs(logits=True, cls=(2, 4, 6, 8, 10)), ()),
        ("pkd", {"strategy": "skip"}, (3, 12), Needs(logits=True, cls=(4, 8)), ()),
        ("pkd", {"strategy": "last"}, (6, 12), Needs(logits=True, cls=(7, 8, 9, 10, 11)), ()),
        ("pkd", {"strategy": "last"}, (5, 12), Needs(logits=True, cls=(8, 9, 10, 11)), ()),
        ("pkd", {"layer_map": [12, 3]}, (3, 12), Needs(logits=True, cls=(3, 12)), ()),
        ("pkd", {"alpha": 0.0}, (2, 12), Needs(cls=(6,)), ()),
        ("pkd", {"beta": 0.0}, (1, 12), Needs(logits=True), ()),
    ],
)
def test_what_is_needed_is_what_the_terms_read(recipe, settings, depths, needs, relations):
    own = student(recipe, **settings)
    assert own.needs(*depths) == needs
    terms = terms_of(own, shapes(depths))
    read = {output for term in terms for output in term.reads}
    named = {f"{kind}-{layer:02d}" for kind in ("hidden", "cls", "attention") for layer in getattr(needs, kind)}
    named |= {f"{projection}-{layer:02d}" for projection in relations for layer in needs.relations}
    assert read == named | ({"logits"} if needs.logits else set())
    assert own.reads_hidden == bool(needs.hidden or needs.cls or needs.attention or needs.relations)
    assert objective_of(terms, TASK).extra_modules is None or any(term.trains for term in terms)


@pytest.mark.parametrize(
    ("recipe", "settings", "depths", "complaint"),
    [
        ("fitnets", {"guided": 3}, (2, 4), "fitnets: guided: got 3, expected 1 to 2, the layers of the student"),
        ("fitnets", {"hint": 5}, (2, 4), "fitnets: hint: got 5, expected 1 to 4, the layers of the teacher"),
        ("minilm", {"teacher_layer": 5}, (2, 4), "minilm: teacher_layer: got 5, expected 1 to 4, the layers of the teacher"),
        ("mobilebert", {**TRANSFER, "layer_map": [1, 2, 5]}, (3, 4), r"mobilebert: layer_map: got .*, expected 3 numbers, .* 4"),
        ("mobilebert", {**TRANSFER, "layer_map": [1, 2]}, (3, 4), r"expected 3 numbers, .* from 1 to the teacher's 4"),
        ("tinybert", INTERMEDIATE, (3, 4), "3 layers of a student .* the teacher's 4; give layer_map: 3 of the teacher's layers"),
        ("tinybert", INTERMEDIATE, (5, 12), "5 layers of a student .* teacher's 12; give layer_map: 5 of the teacher's layers"),
        ("mobilebert", TRANSFER, (3, 4), "mobilebert: 3 layers of a student .* the teacher's 4; give layer_map: 3 of"),
        *(
            ("tinybert", {**INTERMEDIATE, "layer_map": list(layer_map)}, (2, 4), expected)
            for layer_map in ((4,), (1, 2, 3), (1, 5))
            for expected in [r"layer_map: got \[.*\], expected 2 numbers, .* from 1 to the teacher's 4"]
        ),
        (
            "pkd",
            {},
            (5, 12),
            "pkd: strategy skip: 5 layers of a student do not go with the teacher's 12; give layer_map: 4 of the",
        ),
        ("pkd", {"strategy": "last"}, (13, 12), "strategy last: 13 layers of a student do not go with the teacher's 12"),
        ("pkd", {}, (1, 12), "pkd: a student of one layer has none before its last to teach; set beta: 0"),
        ("pkd", {"layer_map": [1]}, (3, 12), r"got \[1\], expected 2 numbers, .* but the last, from 1 to the teacher's 12"),
        ("pkd", {"layer_map": [1, 13]}, (3, 12), r"pkd: layer_map: got \[1, 13\], expected 2 numbers"),
    ],
)
def test_layers_that_cannot_be_paired_are_refused(recipe, settings, depths, complaint):
    with pytest.raises(UserError, match=complaint):
        student(recipe, **settings).needs(*depths)
    with pytest.raises(UserError, match=complaint):
        terms_of(student(recipe, **settings), shapes(depths))


@pytest.mark.parametrize(
    ("recipe", "settings", "complaint"),
    [
        ("minilm", {"version": 3}, "students.s.version: expected 1 or 2, got 3"),
        ("minilm", {"version": 1, "relation_heads": 12}, "not of version 1, which takes attention_weight, value_weight"),
        ("minilm", {"version": 1, "key_weight": 0.5}, "key_weight: not of version 1"),
        ("minilm", {"attention_weight": 0.5}, "not of version 2, which takes query_weight, key_weight, value_weight"),
        ("minilm", {"version": 1, "attention_weight": 0.0, "value_weight": 0.0}, NOTHING),
        ("minilm", {"query_weight": 0.0, "key_weight": 0.0, "value_weight": 0.0}, NOTHING),
        *((recipe, {}, "students.s.stage: is missing") for recipe in ("mobilebert", "tinybert")),
        ("annealing_kd", {"max_temperature": 0}, "students.s.max_temperature: expected greater than or equal to 1, got 0"),
        ("tinybert", {"stage": "both"}, "students.s.stage: expected 'intermediate' or 'prediction', got 'both'"),
        ("tinybert", {**INTERMEDIATE, "layer_map": [0, 3]}, "layer_map.0: expected greater than or equal to 1, got 0"),
        ("tinybert", {**INTERMEDIATE, "layer_map": []}, "layer_map"),
        ("tinybert", {**INTERMEDIATE, "attention_weight": -1.0}, "attention_weight: expected greater than or equal to 0"),
        ("tinybert", {**INTERMEDIATE, "temperature": 2.0}, f"temperature: not of stage intermediate, which takes {WEIGHTS[0]}"),
        ("tinybert", {**PREDICTION, "layer_map": [3, 6]}, "layer_map: not of stage prediction, which takes soft_weight"),
        (
            "similarity_kl",
            {"batch_size": 1},
            "batch_size: the rows of a batch are compared with each other, of 1 nothing is learnt",
        ),
        ("cosine", {"sizes": [8, 16, 8]}, "sizes: got [8, 16, 8], expected each once"),
        ("tinybert", {**PREDICTION, "soft_weight": 0.0}, "soft_weight, hard_weight: " + NOTHING),
        ("tinybert", {**INTERMEDIATE, **dict.fromkeys(WEIGHTS, 0.0)}, f"{', '.join(WEIGHTS)}: {NOTHING}"),
        ("mobilebert", {**TRANSFER, "alpha": 0.5}, "alpha: not of stage transfer, which takes feature_weight, mean_weight"),
        ("mobilebert", {**DISTILL, "order": "joint"}, "order: not of stage distill, which takes alpha, temperature"),
        ("mobilebert", {**TRANSFER, "order": "joint", "earlier_rate": 0.0}, "earlier_rate is of the progressive order"),
        ("mobilebert", {**TRANSFER, "earlier_rate": 1.5}, "earlier_rate: expected less than or equal to 1, got 1.5"),
        ("mobilebert", {**TRANSFER, **dict.fromkeys((*STATES, "attention_weight"), 0.0)}, NOTHING),
        ("pkd", {"strategy": "every"}, "students.s.strategy: expected 'skip' or 'last', got 'every'"),
        ("pkd", {"alpha": 1.5}, "students.s.alpha: expected less than or equal to 1, got 1.5"),
        ("pkd", {"layer_map": [0]}, "students.s.layer_map.0: expected greater than or equal to 1, got 0"),
        ("pkd", {"layer_map": [2], "strategy": "last"}, "expected one of: strategy, layer_map"),
    ],
)
def test_settings_that_make_no_sense_are_refused(recipe, settings, complaint):
    with pytest.raises(UserError) as caught:
        student(recipe, **settings)
    assert complaint in str(caught.value)


def test_the_students_middle_layer_learns_from_the_teachers():
    for settings, depths, pair in (({}, (6, 12), (3, 6)), ({"guided": 6}, (6, 12), (6, 6)), ({"hint": 12}, (6, 12), (3, 12))):
        assert student("fitnets", **settings).layer_pair(*depths) == pair


def test_only_first_stages_train_no_head_and_transfer_goes_layer_by_layer():
    every = {"tinybert": (INTERMEDIATE, PREDICTION), "mobilebert": (TRANSFER, DISTILL)}
    first = [(name, how) for name in RECIPES for how in every.get(name, ({},)) if not student(name, **how).trains_head]
    assert sorted(first, key=str) == [("fitnets", {}), ("minilm", {}), ("mobilebert", TRANSFER), ("tinybert", INTERMEDIATE)]
    assert all(student(recipe).reads_hidden for recipe in ("fitnets", "minilm"))
    transfer, distill = student("mobilebert", **TRANSFER), student("mobilebert", **DISTILL)
    assert (transfer.earlier_layers_lr_scale, transfer.trains_head) == (0.1, False)
    assert student("mobilebert", **TRANSFER, earlier_rate=0.0).earlier_layers_lr_scale == 0.0
    assert student("mobilebert", **TRANSFER, order="joint").earlier_layers_lr_scale is None
    assert (distill.earlier_layers_lr_scale, distill.trains_head) == (None, True)


@pytest.mark.parametrize(
    ("recipe", "settings", "remedy", "left"),
    [
        ("tinybert", INTERMEDIATE, {"attention_weight": 0.0}, ["hidden", "embedding"]),
        ("mobilebert", TRANSFER, {"attention_weight": 0.0}, ["feature_maps", "means", "variances"]),
        ("minilm", {"version": 1}, {"version": 2}, ["query_relation", "key_relation", "value_relation"]),
    ],
)
def test_heads_are_compared_one_by_one(recipe, settings, remedy, left):
    ((key, value),) = remedy.items()
    expected = f"{recipe}: .* the student has 4 heads a layer, the teacher 12; set {key}: {value:g}, or .*num_attention_heads: 12"
    with pytest.raises(UserError, match=expected):
        terms_of(student(recipe, **settings), shapes(heads=(4, 12)))
    terms = terms_of(student(recipe, **{**settings, **remedy}), shapes(heads=(4, 12)))
    assert [term.name for term in terms] == left


@pytest.mark.parametrize(("heads", "owner"), [(8, "teacher's width of 36"), (9, "student's width of 24"), (5, "student's")])
def test_relation_heads_divide_both_widths(heads, owner):
    with pytest.raises(UserError, match=f"minilm: relation_heads: {heads} do not divide the {owner}.*; give a divisor of both"):
        terms_of(student("minilm", relation_heads=heads), shapes(widths=(24, 36)))
    assert len(terms_of(student("minilm", relation_heads=12), shapes(widths=(24, 36)))) == 3


def test_other_widths_are_compared_through_one_projection():
    def projections(recipe: str, student_width: int, teacher_width: int | None, **settings: object) -> list[tuple[int, int]]:
        terms = terms_of(student(recipe, **settings), shapes(widths=(student_width, teacher_width)))
        found = {id(term.trains): term.trains for term in terms if term.trains}
        return [(each.in_features, each.out_features) for each in found.values()]

    for recipe, settings in (("mobilebert", TRANSFER), ("pkd", {})):
        assert projections(recipe, 12, 12, **settings) == []
        assert projections(recipe, 12, None, **settings) == []
        assert projections(recipe, 12, 24, **settings) == [(12, 24)]
    assert (projections("fitnets", 12, 24), projections("minilm", 12, 24)) == ([(12, 24)], [])


def test_the_last_layer_of_the_student_is_compared_by_minilm():
    for version in (1, 2):
        assert {term.reads_student_attention for term in terms_of(student("minilm", version=version), shapes())} == {(2,)}


def test_annealed_logits_grow_in_equal_steps_to_their_size():
    annealing = student("annealing_kd", max_temperature=4)
    shares = [annealing.share(step / 8) for step in range(8)]
    assert shares == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]
    assert student("annealing_kd", max_temperature=1).share(0.0) == 1.0


def test_weights_of_pkd_are_the_papers():
    terms = terms_of(student("pkd", alpha=0.2, beta=500.0), shapes())
    assert {term.name: term.weight for term in terms} == {"hard_labels": 0.8, "soft_targets": 0.2, "patience": 500.0}


def test_every_recipe_has_a_variant_that_is_compared_with_its_formula():
    of_decoders = {settings["recipe"] for settings in test_decoders.VARIANTS.values()}
    assert set(RECIPES) == {variant.partition("-")[0] for variant in (*VARIANTS, *OF_VECTORS)} | of_decoders


def test_a_term_of_weight_zero_is_neither_computed_nor_read():
    def named(recipe: str, **settings: object) -> list[str]:
        return [term.name for term in terms_of(student(recipe, **settings), shapes())]

    def objective(**weights: float):
        return objective_of(terms_of(student("tinybert", **INTERMEDIATE, **weights), shapes()), TASK)

    assert named("distilbert", cosine_weight=0.0) == ["soft_targets", "hard_labels"]
    assert named("hinton", alpha=0.0) == ["soft_targets"]
    scores = objective(hidden_weight=0.0, embedding_weight=0.0)
    assert (scores.reads_hidden, scores.reads_attention, scores.extra_modules) == (False, (1, 2), None)
    assert objective(attention_weight=0.0).reads_attention == ()


def test_a_linear_map_begins_with_small_entries_and_no_bias():
    projection = linear_map(400, 300)
    assert 0.0195 < projection.weight.std() < 0.0205
    assert not projection.bias.any()
