"""Rows of a target set are what the live teacher computes, up to what a codec can lose."""

import copy

import pytest
import torch

from distill.targets.materialization.forward import Teacher
from distill.targets.verification.live import compare
from tests import tiny
from tests.stores import fingerprints, stored, teacher_for
from tests.target_specs import target_spec

KEPT = {"hidden": (0, 2), "cls": (-1,), "attention": (1, 3)}
CASES = {
    **{codec: target_spec(codec=codec, **KEPT) for codec in ("fp32", "fp16", "bf16", "int8", "int4")},
    **{kind: target_spec(attention_as=kind, **KEPT) for kind in ("probabilities-u8", "scores-u8", "scores-fp16")},
    **dict.fromkeys(tiny.TASKS, target_spec(relations=(2,), hidden=(0,))),
}


@pytest.mark.parametrize("case", CASES)
def test_the_teacher_is_within_the_codecs_bounds_and_another_beyond_but_in_the_tokens(tmp_path, model, dataset, datasets, case):
    job, dataset = CASES[case], datasets.get(case, dataset)
    model = teacher_for(dataset) if case in datasets else model
    store = stored(model, dataset, tmp_path / "set", job)
    found = compare(store, Teacher(model, fingerprints(dataset)), dataset, 30)
    assert {each.output for each in found} == set(store.manifests)
    assert all(each.worst <= 1 for each in found), found
    assert {each.output: each.rows for each in found}["logits"] == 30
    assert found == compare(store, Teacher(model, fingerprints(dataset)), dataset, 30)
    if job.codec != "int8":
        return
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.05)
        if case not in datasets:
            other.bert.embeddings.LayerNorm.bias.add_(0.05)
            for layer in (0, 2):  # the scores of a random model hardly differ from token to token
                other.bert.encoder.layer[layer].attention.self.query.weight.mul_(20)
    worst = {each.output: each.worst for each in compare(store, Teacher(other, fingerprints(dataset)), dataset, 40)}
    assert worst.pop("tokens") == 0
    assert min(worst.values()) > 1, worst
