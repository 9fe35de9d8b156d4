"""The report of what is lost says what is lost."""

import pytest
import torch

from distill.targets.materialization.fidelity import kl, measure_fidelity
from tests import tiny
from tests.stores import materializer
from tests.target_specs import target_spec


def test_kl_is_zero_of_equals_and_that_of_the_formula_else():
    p, q = torch.randn(5, 7), torch.randn(5, 7)
    assert kl(p, p + 3).abs().max() < 1e-6
    expected = (p.softmax(-1) * (p.softmax(-1) / q.softmax(-1)).log()).sum(-1)
    torch.testing.assert_close(kl(p, q).float(), expected)


@pytest.mark.parametrize("attention_as", ["replay", "probabilities-u8", "scores-u8", "scores-fp16"])
def test_each_output_that_is_not_exact_is_reported(tmp_path, dataset, attention_as):
    job = target_spec(hidden=(0, 2, -1), cls=(1,), attention=(1, 3), attention_as=attention_as)
    found = measure_fidelity(materializer(tiny.bert(layers=3), dataset, job, tmp_path))
    lossy = {"hidden-02", "hidden-03", "cls-01", "attention-03", "logits"}
    assert set(found) == lossy | (set() if attention_as == "replay" else {"attention-01"})  # replayed from exact embeddings
    assert all(0 < found[output]["variance_lost"] < 2e-3 for output in ("hidden-02", "hidden-03", "cls-01"))
    assert all(0 <= found[output]["kl"] < 1e-2 for output in found if output.startswith("attention"))
    assert 0 < found["logits"]["replayed_kl"] < 1e-3


def test_a_coarser_codec_loses_more(tmp_path, dataset):
    lost = []
    for codec in ("fp32", "fp16", "bf16", "int8", "int4"):
        made = materializer(tiny.bert(layers=2), dataset, target_spec(hidden=(1,), codec=codec), tmp_path / codec)
        lost.append(measure_fidelity(made)["hidden-01"]["variance_lost"])
    assert lost == sorted(lost)
    assert lost[0] == 0
