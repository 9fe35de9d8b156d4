"""Rows of a target set are what the live teacher says, up to what a codec can lose."""

import pytest
import torch

from distill.targets.live import compare
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.teacher import Teacher
from tests import tiny
from tests.stores import fingerprints, materialize


@pytest.fixture(scope="module")
def model():
    return tiny.bert(layers=4)


@pytest.mark.parametrize(
    ("codec", "attention_as"),
    [
        *((codec, "replay") for codec in ("fp32", "fp16", "bf16", "int8", "int4")),
        *(("int8", attention_as) for attention_as in ("probabilities-u8", "scores-u8", "scores-fp16")),
    ],
)
def test_rows_of_the_live_teacher_are_within_the_codecs_bounds(tmp_path, model, dataset, codec, attention_as):
    job = Job(hidden=(0, 2), cls=(-1,), attention=(1, 3), codec=codec, attention_as=attention_as)
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", job))
    teacher = Teacher(model, fingerprints(dataset))
    found = compare(store, teacher, dataset, 30)
    assert {each.output for each in found} == set(store.manifests)
    assert all(each.worst <= 1 for each in found), found
    assert {each.output: each.rows for each in found}["logits"] == 30
    assert found == compare(store, teacher, dataset, 30)


@pytest.mark.parametrize("attention_as", ["replay", "probabilities-u8", "scores-u8", "scores-fp16"])
def test_a_teacher_that_says_something_else_is_found_in_every_output_but_the_tokens(tmp_path, dataset, attention_as):
    job = Job(hidden=(0, 2), cls=(-1,), attention=(1,), attention_as=attention_as)
    store = TargetStore.open(materialize(tiny.bert(layers=4), dataset, tmp_path / "set", job))
    other = tiny.bert(layers=4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.05)
        other.bert.embeddings.LayerNorm.bias.add_(0.05)
        # The scores of a random model hardly differ from token to token.
        other.bert.encoder.layer[0].attention.self.query.weight.mul_(20)
    found = {each.output: each.worst for each in compare(store, Teacher(other, fingerprints(dataset)), dataset, 40)}
    assert found.pop("tokens") == 0
    assert min(found.values()) > 1, found
