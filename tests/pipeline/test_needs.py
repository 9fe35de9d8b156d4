"""What students read and what target sets keep, relations among them."""

from pathlib import Path
from typing import Any

import pytest

from distill.core.errors import UserError
from distill.params.students import Needs
from distill.params.targets import TargetSettings
from distill.pipeline.needs import (
    difference,
    initial_shape,
    kept_needs,
    listed_needs,
    missing_layers,
    missing_needs,
    output_names,
    to_add,
    unknown_settings,
    unused_outputs,
)
from distill.pipeline.shapes import Shape
from tests.params_files import load

SHAPES = {"big": Shape(layers=6, width=384, heads=12)}


def targets(**settings: object) -> TargetSettings:
    return TargetSettings.model_validate({"teacher": "t", "dataset": "d", **settings})


def test_relations_are_three_outputs_a_layer_and_keep_the_states_below():
    kept = kept_needs(targets(relations=(-1, 2), attention=(2,), attention_as="scores-u8"), 6)
    assert kept == Needs(logits=True, hidden=(1, 5), attention=(2,), relations=(2, 6))
    assert output_names(kept) == [
        *("logits", "hidden-01", "hidden-05", "attention-02"),
        *("queries-02", "keys-02", "values-02", "queries-06", "keys-06", "values-06"),
    ]


def test_a_state_below_attention_and_relations_is_kept_once():
    assert kept_needs(targets(relations=(4,), attention=(4,)), 6).hidden == (3,)


def test_relations_that_are_lacking_are_to_be_added_and_those_below_are_read():
    settings = targets(relations=(2,))
    assert to_add(settings, 6, [Needs(relations=(6,)), Needs(attention=(6,))]) == "attention: [6], relations: [2, 6]"
    assert output_names(difference(Needs(relations=(2, 6)), kept_needs(settings, 6))) == ["queries-06", "keys-06", "values-06"]
    assert unused_outputs(targets(relations=(2, 6), hidden=(5,)), 6, [Needs(relations=(6,))]) == [
        "queries-02",
        "keys-02",
        "values-02",
    ]


def test_layers_of_relations_are_counted_from_1():
    with pytest.raises(UserError, match="relations: the teacher has no layer 0; expected 1 to 6"):
        listed_needs(targets(relations=(0,)), 6)


def chain(**inits: dict[str, Any]) -> dict[str, Any]:
    """A params.yaml with students that are initialized so."""
    student = {"recipe": "distilbert", "dataset": "movies", "targets": "full"}
    return {
        "sources": {"reviews": {"path": "reviews.csv"}},
        "datasets": {"movies": {"source": "reviews", "tokenizer": {"hub": "tok"}}},
        "teachers": {"big": {"dataset": "movies", "checkpoint": {"hub": "bert"}}},
        "targets": {"full": {"teacher": "big", "dataset": "movies", "hidden": [-1]}},
        "students": {name: {**student, "init": init} for name, init in inits.items()},
    }


def test_layers_that_a_teacher_or_student_lacks_are_told_before_it_is_trained(tmp_path: Path):
    params = load(
        tmp_path,
        chain(
            deep={"from": "data/teachers/big", "depth": 7},
            far={"from": "data/teachers/big", "layers": [0, 6]},
            half={"from": "data/teachers/big", "depth": 3},
            second={"from": "data/students/half", "depth": 4},
            twin={"from": "data/inits/half", "layers": [2, 0]},
            random={"from": "data/prepared/movies", "architecture": {"num_hidden_layers": 9}},
        ),
    )
    assert missing_layers(params, tmp_path, SHAPES) == [
        f"{tmp_path}: students.deep.init.depth: got 7, data/teachers/big has 6 layers; expected at most 6",
        f"{tmp_path}: students.far.init.layers: got [0, 6], data/teachers/big has 6 layers; expected 0 to 5",
        f"{tmp_path}: students.second.init.depth: got 4, data/students/half has 3 layers; expected at most 3",
    ]
    assert missing_layers(params, tmp_path, {}) == [
        f"{tmp_path}: students.second.init.depth: got 4, data/students/half has 3 layers; expected at most 3"
    ]


def test_a_random_bert_has_the_shape_of_its_config_where_it_gives_none(tmp_path: Path):
    source = {"from": "data/prepared/movies"}
    thin = {"num_hidden_layers": 2}
    params = load(
        tmp_path,
        chain(random={**source, "architecture": thin}, other={**source, "architecture": {**thin, "model_type": "roberta"}}),
    )
    assert initial_shape(params, "random", SHAPES) == {"layers": 2, "width": 768, "heads": 12}
    assert initial_shape(params, "other", SHAPES) == {"layers": 2}
    (line,) = missing_needs(params, "full", tmp_path, SHAPES)
    assert "students.random: distilbert: the cosine term compares hidden states, the student's are 768 wide" in line


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        ({"hiden_size": 8}, "hiden_size: not a setting of bert; did you mean 'hidden_size'?"),
        ({"model_type": "robreta"}, "model_type: 'robreta' is unknown; did you mean 'roberta'?"),
        ({"model_type": "distilbert", "num_layers": 2}, "num_layers: not a setting of distilbert"),
        ({"preset": "tinybert-4", "pooling": "cls"}, "pooling: not a setting of bert"),
        ({"preset": "tinybert-4", "hidden_dropout_prob": 0.0}, None),
        ({"model_type": "distilbert", "num_hidden_layers": 2}, None),
        ({"preset": "tinybert-4", "num_hidden_layers": 2}, None),
    ],
)
def test_settings_that_no_config_has_are_told_before_the_teacher_is_trained(tmp_path: Path, architecture, problem):
    params = load(tmp_path, chain(random={"from": "data/prepared/movies", "architecture": architecture}))
    lines = [line.split("students.random.init.architecture.")[1] for line in unknown_settings(params, tmp_path)]
    assert [line.startswith(problem) for line in lines] == ([] if problem is None else [True])
