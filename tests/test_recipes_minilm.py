import pytest

from distill.errors import UserError
from distill.params.base import validate
from distill.params.students import Needs, Shapes
from distill.recipes.base import terms_of
from distill.recipes.minilm import MiniLm

SHAPES = Shapes(student_layers=2, student_width=24, teacher_layers=4, teacher_width=36, student_heads=6, teacher_heads=6)


def student(**settings: object) -> MiniLm:
    entry = {"recipe": "minilm", "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(MiniLm, {**entry, **settings}, "students.s")


@pytest.mark.parametrize(
    ("settings", "needs", "reads"),
    [
        ({}, Needs(relations=(4,)), {"queries-04", "keys-04", "values-04"}),
        ({"teacher_layer": 3}, Needs(relations=(3,)), {"queries-03", "keys-03", "values-03"}),
        ({"query_weight": 0.0, "key_weight": 0.0}, Needs(relations=(4,)), {"values-04"}),
        ({"version": 1}, Needs(attention=(4,), relations=(4,)), {"attention-04", "values-04"}),
        ({"version": 1, "value_weight": 0.0}, Needs(attention=(4,)), {"attention-04"}),
        ({"version": 1, "attention_weight": 0.0}, Needs(relations=(4,)), {"values-04"}),
    ],
)
def test_the_last_layer_is_read(settings, needs, reads):
    own = student(**settings)
    assert own.needs(2, 4) == needs
    terms = terms_of(own, SHAPES)
    assert {output for term in terms for output in term.reads} == reads
    assert {term.reads_student_attention for term in terms} == {(2,)}
    assert not any(term.trains for term in terms)
    assert (own.trains_head, own.reads_hidden) == (False, True)


def test_version_one_compares_head_by_head():
    shapes = Shapes(2, 24, 4, 36, student_heads=4, teacher_heads=6)
    expected = "minilm: version 1 .* the student has 4 heads a layer, the teacher 6; set version: 2, or .*num_attention_heads: 6"
    with pytest.raises(UserError, match=expected):
        terms_of(student(version=1), shapes)
    assert len(terms_of(student(), shapes)) == 3


@pytest.mark.parametrize(("heads", "owner"), [(8, "teacher's width of 36"), (9, "student's width of 24"), (5, "student's")])
def test_relation_heads_divide_both_widths(heads, owner):
    with pytest.raises(UserError, match=f"minilm: relation_heads: {heads} do not divide the {owner}.*; give a divisor of both"):
        terms_of(student(relation_heads=heads), SHAPES)
    assert len(terms_of(student(relation_heads=12), SHAPES)) == 3


def test_a_layer_that_the_teacher_lacks_is_refused():
    with pytest.raises(UserError, match="minilm: teacher_layer: got 5, expected 1 to 4, the layers of the teacher"):
        student(teacher_layer=5).needs(2, 4)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"version": 3}, "students.s.version: expected 1 or 2, got 3"),
        ({"version": 1, "relation_heads": 12}, "relation_heads: not of version 1, which takes attention_weight, value_weight"),
        ({"version": 1, "key_weight": 0.5}, "key_weight: not of version 1"),
        ({"attention_weight": 0.5}, "attention_weight: not of version 2, which takes query_weight, key_weight, value_weight"),
        ({"version": 1, "attention_weight": 0.0, "value_weight": 0.0}, "all are 0, nothing would be learnt"),
        ({"query_weight": 0.0, "key_weight": 0.0, "value_weight": 0.0}, "all are 0, nothing would be learnt"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(UserError) as caught:
        student(**settings)
    assert complaint in str(caught.value)
