import pytest

from distill.errors import UserError
from distill.params.base import validate
from distill.params.students import Needs, Shapes
from distill.recipes.base import terms_of
from distill.recipes.mobilebert import MobileBert

SHAPES = Shapes(student_layers=4, student_width=16, teacher_layers=4, teacher_width=16, student_heads=4, teacher_heads=4)


def student(**settings: object) -> MobileBert:
    entry = {"recipe": "mobilebert", "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(MobileBert, {**entry, **settings}, "students.s")


@pytest.mark.parametrize(
    ("settings", "depths", "needs"),
    [
        ({"stage": "distill"}, (4, 4), Needs(logits=True)),
        ({"stage": "distill", "alpha": 1.0}, (4, 4), Needs()),
        ({"stage": "transfer"}, (2, 2), Needs(hidden=(1, 2), attention=(1, 2))),
        ({"stage": "transfer"}, (2, 12), Needs(hidden=(6, 12), attention=(6, 12))),
        ({"stage": "transfer", "layer_map": [5, 5]}, (2, 12), Needs(hidden=(5,), attention=(5,))),
        ({"stage": "transfer", "attention_weight": 0.0}, (2, 2), Needs(hidden=(1, 2))),
        (
            {"stage": "transfer", "feature_weight": 0.0, "mean_weight": 0.0, "variance_weight": 0.0},
            (2, 2),
            Needs(attention=(1, 2)),
        ),
    ],
)
def test_what_is_needed_is_what_the_terms_read(settings, depths, needs):
    own = student(**settings)
    assert own.needs(*depths) == needs
    shapes = Shapes(depths[0], 16, depths[1], 16)
    read = {output for term in terms_of(own, shapes) for output in term.reads}
    named = {f"{kind}-{layer:02d}" for kind in ("hidden", "attention") for layer in getattr(needs, kind)}
    assert read == named | ({"logits"} if needs.logits else set())
    assert own.reads_hidden == bool(needs.hidden or needs.attention)


def test_only_transfer_goes_layer_by_layer_and_trains_no_head():
    assert (student(stage="transfer").earlier_share, student(stage="transfer").trains_head) == (0.1, False)
    assert student(stage="transfer", earlier_rate=0.0).earlier_share == 0.0
    assert student(stage="transfer", order="joint").earlier_share is None
    assert (student(stage="distill").earlier_share, student(stage="distill").trains_head) == (None, True)


def test_heads_are_compared_one_by_one():
    shapes = Shapes(4, 16, 4, 16, student_heads=4, teacher_heads=12)
    expected = "mobilebert: .* the student has 4 heads a layer, the teacher 12; set attention_weight: 0, or .*_heads: 12"
    with pytest.raises(UserError, match=expected):
        terms_of(student(stage="transfer"), shapes)
    names = [term.name for term in terms_of(student(stage="transfer", attention_weight=0.0), shapes)]
    assert names == ["feature_maps", "means", "variances"]


def test_states_of_one_width_are_compared_as_they_are_and_others_by_one_projection():
    assert not [term.trains for term in terms_of(student(stage="transfer"), SHAPES) if term.trains]
    other = Shapes(4, 16, 4, 24, student_heads=4, teacher_heads=4)
    projections = {id(term.trains): term.trains for term in terms_of(student(stage="transfer"), other) if term.trains}
    assert [(each.in_features, each.out_features) for each in projections.values()] == [(16, 24)]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "students.s.stage: is missing"),
        ({"stage": "transfer", "alpha": 0.5}, "alpha: not of stage transfer, which takes feature_weight, mean_weight"),
        ({"stage": "distill", "order": "joint"}, "order: not of stage distill, which takes alpha, temperature"),
        ({"stage": "transfer", "order": "joint", "earlier_rate": 0.0}, "earlier_rate is of the progressive order"),
        ({"stage": "transfer", "earlier_rate": 1.5}, "earlier_rate: expected less than or equal to 1, got 1.5"),
        (
            dict.fromkeys(("feature_weight", "mean_weight", "variance_weight", "attention_weight"), 0.0) | {"stage": "transfer"},
            "all are 0, nothing would be learnt",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(UserError) as caught:
        student(**settings)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(("layer_map", "layers"), [((1, 2, 5), 3), ((1, 2), 3)])
def test_a_layer_that_the_teacher_lacks_is_refused(layer_map, layers):
    with pytest.raises(UserError, match=r"mobilebert: layer_map: got .*, expected 3 numbers, .* from 1 to the teacher's 4"):
        student(stage="transfer", layer_map=list(layer_map)).needs(layers, 4)


def test_depths_that_do_not_divide_ask_for_a_layer_map():
    with pytest.raises(UserError, match="mobilebert: 3 layers of a student .* the teacher's 4; give layer_map: 3 of"):
        student(stage="transfer").needs(3, 4)
