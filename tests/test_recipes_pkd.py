import pytest

from distill.errors import UserError
from distill.params.base import validate
from distill.params.students import Needs, Shapes
from distill.recipes.base import terms_of
from distill.recipes.pkd import Pkd


def student(**settings: object) -> Pkd:
    entry = {"recipe": "pkd", "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(Pkd, {**entry, **settings}, "students.s")


@pytest.mark.parametrize(
    ("settings", "depths", "needs"),
    [
        ({}, (6, 12), Needs(logits=True, cls=(2, 4, 6, 8, 10))),
        ({"strategy": "skip"}, (3, 12), Needs(logits=True, cls=(4, 8))),
        ({"strategy": "last"}, (6, 12), Needs(logits=True, cls=(7, 8, 9, 10, 11))),
        ({"strategy": "last"}, (5, 12), Needs(logits=True, cls=(8, 9, 10, 11))),
        ({"layer_map": [12, 3]}, (3, 12), Needs(logits=True, cls=(3, 12))),
        ({"alpha": 0.0}, (2, 12), Needs(cls=(6,))),
        ({"beta": 0.0}, (1, 12), Needs(logits=True)),
    ],
)
def test_the_papers_layers_are_read_and_what_is_needed_is_what_the_terms_read(settings, depths, needs):
    own = student(**settings)
    assert own.needs(*depths) == needs
    read = {output for term in terms_of(own, Shapes(depths[0], 16, depths[1], 16)) for output in term.reads}
    assert read == {f"cls-{layer:02d}" for layer in needs.cls} | ({"logits"} if needs.logits else set())
    assert own.reads_hidden == bool(needs.cls)


@pytest.mark.parametrize(
    ("settings", "depths", "complaint"),
    [
        ({}, (5, 12), "pkd: strategy skip: 5 layers of a student do not go with the teacher's 12; give layer_map: 4 of the"),
        ({"strategy": "last"}, (13, 12), "pkd: strategy last: 13 layers of a student do not go with the teacher's 12"),
        ({}, (1, 12), "pkd: a student of one layer has none before its last to teach; set beta: 0"),
        (
            {"layer_map": [1]},
            (3, 12),
            r"pkd: layer_map: got \[1\], expected 2 numbers, .* but the last, from 1 to the teacher's 12",
        ),
        ({"layer_map": [1, 13]}, (3, 12), r"pkd: layer_map: got \[1, 13\], expected 2 numbers"),
    ],
)
def test_layers_that_cannot_be_paired_are_refused_with_what_to_change(settings, depths, complaint):
    with pytest.raises(UserError, match=complaint):
        student(**settings).needs(*depths)
    with pytest.raises(UserError, match=complaint):
        terms_of(student(**settings), Shapes(depths[0], 16, depths[1], 16))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"strategy": "every"}, "students.s.strategy: expected 'skip' or 'last', got 'every'"),
        ({"alpha": 1.5}, "students.s.alpha: expected less than or equal to 1, got 1.5"),
        ({"layer_map": [0]}, "students.s.layer_map.0: expected greater than or equal to 1, got 0"),
        ({"layer_map": [2], "strategy": "last"}, "expected one of: strategy, layer_map"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(UserError) as caught:
        student(**settings)
    assert complaint in str(caught.value)


def test_states_of_one_width_are_compared_as_they_are_and_others_by_a_projection():
    assert [term.trains for term in terms_of(student(), Shapes(2, 16, 4, 16))] == [None] * 3
    assert [term.trains for term in terms_of(student(), Shapes(2, 16, 4, None))] == [None] * 3
    projection = terms_of(student(), Shapes(2, 8, 4, 16))[-1].trains
    assert (projection.in_features, projection.out_features) == (8, 16)


def test_weights_are_the_papers():
    terms = terms_of(student(alpha=0.2, beta=500.0), Shapes(2, 16, 4, 16))
    assert {term.name: term.weight for term in terms} == {"hard_labels": 0.8, "soft_targets": 0.2, "patience": 500.0}
