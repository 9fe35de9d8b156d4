"""Students' settings, and what each needs of its teacher."""

import pytest

from distill.core.errors import UserError
from distill.core.settings import validate
from distill.params.students import Needs, StudentSettings
from distill.recipes.registry import RECIPES


def student(recipe: str, **settings: object) -> StudentSettings:
    entry = {"recipe": recipe, "dataset": "d", "targets": "t", "init": {"from": "data/teachers/t"}}
    return validate(RECIPES[recipe], {**entry, **settings}, "students.s")


@pytest.mark.parametrize(
    ("chosen", "needs"),
    [
        (student("supervised"), Needs()),
        (student("hinton"), Needs(logits=True)),
        (student("hinton", alpha=1.0), Needs()),
        (student("distilbert"), Needs(logits=True, hidden=(12,))),
        (student("distilbert", cosine_weight=0.0, soft_weight=0.0), Needs()),
        (student("tinybert", stage="prediction"), Needs(logits=True)),
        (student("tinybert", stage="intermediate"), Needs(hidden=(0, 3, 6, 9, 12), attention=(3, 6, 9, 12))),
        (
            student("tinybert", stage="intermediate", layer_map=[12, 2, 2, 7], embedding_weight=0.0),
            Needs(hidden=(2, 7, 12), attention=(2, 7, 12)),
        ),
        (student("tinybert", stage="intermediate", hidden_weight=0.0), Needs(hidden=(0,), attention=(3, 6, 9, 12))),
        (student("tinybert", stage="intermediate", attention_weight=0.0), Needs(hidden=(0, 3, 6, 9, 12))),
    ],
)
def test_a_student_of_four_layers_needs_this_of_a_teacher_of_twelve(chosen, needs):
    assert chosen.needs(4, 12) == needs
    assert chosen.reads_hidden == bool(needs.hidden or needs.attention)


def test_depths_that_do_not_divide_ask_for_a_layer_map():
    with pytest.raises(UserError, match="5 layers of a student .* the teacher's 12; give layer_map: 5 of the teacher's layers"):
        student("tinybert", stage="intermediate").needs(5, 12)
    assert student("tinybert", stage="prediction").needs(5, 12) == Needs(logits=True)


def test_hints_and_relations_and_intermediate_stages_train_no_head():
    stages = {"tinybert": ("intermediate", "prediction"), "mobilebert": ("transfer", "distill")}
    headless = set()
    for name in RECIPES:
        for stage in stages.get(name, (None,)):
            if not student(name, **({} if stage is None else {"stage": stage})).trains_head:
                headless.add((name, stage))
    assert headless == {("tinybert", "intermediate"), ("mobilebert", "transfer"), ("fitnets", None), ("minilm", None)}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "students.s.stage: is missing"),
        ({"stage": "both"}, "students.s.stage: expected 'intermediate' or 'prediction', got 'both'"),
        ({"stage": "intermediate", "layer_map": [0, 3]}, "layer_map.0: expected greater than or equal to 1, got 0"),
        ({"stage": "intermediate", "layer_map": []}, "layer_map"),
        ({"stage": "intermediate", "attention_weight": -1.0}, "attention_weight: expected greater than or equal to 0"),
        ({"stage": "intermediate", "temperature": 2.0}, "temperature: not of stage intermediate, which takes attention_weight"),
        ({"stage": "prediction", "layer_map": [3, 6]}, "layer_map: not of stage prediction, which takes soft_weight"),
        ({"stage": "prediction", "soft_weight": 0.0}, "soft_weight, hard_weight: all are 0, nothing would be learnt"),
        (
            {"stage": "intermediate", "attention_weight": 0.0, "hidden_weight": 0.0, "embedding_weight": 0.0},
            "attention_weight, hidden_weight, embedding_weight: all are 0, nothing would be learnt",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(UserError) as caught:
        student("tinybert", **settings)
    assert complaint in str(caught.value)
