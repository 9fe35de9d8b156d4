import pytest

from distill.errors import UserError
from distill.params.base import validate
from distill.params.students import Needs, Shapes
from distill.recipes.base import terms_of
from distill.recipes.fitnets import FitNets


def student(**settings: object) -> FitNets:
    entry = {"recipe": "fitnets", "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(FitNets, {**entry, **settings}, "students.s")


@pytest.mark.parametrize(
    ("settings", "depths", "pair"),
    [
        ({}, (6, 12), (3, 6)),
        ({}, (3, 7), (2, 4)),
        ({}, (1, 1), (1, 1)),
        ({"guided": 6}, (6, 12), (6, 6)),
        ({"hint": 12}, (6, 12), (3, 12)),
    ],
)
def test_the_students_middle_layer_learns_from_the_teachers(settings, depths, pair):
    own = student(**settings)
    assert own.layer_pair(*depths) == pair
    assert own.needs(*depths) == Needs(hidden=pair[1:])
    (term,) = terms_of(own, Shapes(depths[0], 16, depths[1], 24))
    assert (term.reads, term.reads_student_hidden) == ((f"hidden-{pair[1]:02d}",), True)
    assert (term.trains.in_features, term.trains.out_features) == (16, 24)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"guided": 3}, "fitnets: guided: got 3, expected 1 to 2, the layers of the student"),
        ({"hint": 5}, "fitnets: hint: got 5, expected 1 to 4, the layers of the teacher"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(settings, complaint):
    with pytest.raises(UserError, match=complaint):
        terms_of(student(**settings), Shapes(2, 16, 4, 16))


def test_no_head_is_trained_and_hidden_states_are_read():
    assert (student().trains_head, student().reads_hidden) == (False, True)
