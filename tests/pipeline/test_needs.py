"""What students read and what target sets keep, relations among them."""

import pytest

from distill.core.errors import UserError
from distill.params.students import Needs
from distill.params.targets import TargetSettings
from distill.pipeline.needs import difference, keeps, lists, names, to_add, unused_outputs


def targets(**settings: object) -> TargetSettings:
    return TargetSettings.model_validate({"teacher": "t", "dataset": "d", **settings})


def test_relations_are_three_outputs_a_layer_and_keep_the_states_below():
    kept = keeps(targets(relations=(-1, 2), attention=(2,), attention_as="scores-u8"), 6)
    assert kept == Needs(logits=True, hidden=(1, 5), attention=(2,), relations=(2, 6))
    assert names(kept) == [
        *("logits", "hidden-01", "hidden-05", "attention-02"),
        *("queries-02", "keys-02", "values-02", "queries-06", "keys-06", "values-06"),
    ]


def test_a_state_below_attention_and_relations_is_kept_once():
    assert keeps(targets(relations=(4,), attention=(4,)), 6).hidden == (3,)


def test_relations_that_are_lacking_are_to_be_added_and_those_below_are_read():
    settings = targets(relations=(2,))
    assert to_add(settings, 6, [Needs(relations=(6,)), Needs(attention=(6,))]) == "attention: [6], relations: [2, 6]"
    assert names(difference(Needs(relations=(2, 6)), keeps(settings, 6))) == ["queries-06", "keys-06", "values-06"]
    assert unused_outputs(targets(relations=(2, 6), hidden=(5,)), 6, [Needs(relations=(6,))]) == [
        "queries-02",
        "keys-02",
        "values-02",
    ]


def test_layers_of_relations_are_counted_from_1():
    with pytest.raises(UserError, match="relations: the teacher has no layer 0; expected 1 to 6"):
        lists(targets(relations=(0,)), 6)
