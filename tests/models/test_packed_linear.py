"""The packed copy computes what the model computes, faster."""

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from distill.models import packed_linear as packing
from distill.models.packed_linear import PackedLinear, fast_inference
from tests import decoders, tiny

FUSED = ("bert", "distilbert", "roberta")
pytestmark = pytest.mark.skipif(not packing._onednn_serves(), reason="no oneDNN on this machine")


def states(model: PreTrainedModel, inputs: dict[str, Tensor], *, bf16: bool = False) -> list[Tensor]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = model(**inputs, output_hidden_states=True)
    return [outputs.logits, *outputs.hidden_states]


@pytest.mark.parametrize(
    ("family", "head", "config"),
    [
        *[(family, "SequenceClassification", {}) for family in (*FUSED, "mobilebert")],
        ("bert", "SequenceClassification", {"hidden_act": "gelu_new"}),
        ("bert", "MaskedLM", {}),
        ("mobilebert", "MaskedLM", {}),
    ],
)
@pytest.mark.parametrize("run_before", [False, True])
def test_the_copy_packs_every_linear_layer_and_computes_what_the_model_computes(family, head, config, run_before):
    model = tiny.family(family, head, **config)
    if run_before:
        states(model, tiny.padded([9, 9]))
    packed, again = fast_inference(model), fast_inference(model)
    for inputs in (tiny.padded([9, 9]), tiny.padded([9, 9, 7, 4, 2])):
        found = states(packed, inputs)
        for one, expected in zip(found, states(model, inputs), strict=True):
            torch.testing.assert_close(one, expected, atol=1e-5 * max(1.0, expected.abs().max().item()), rtol=0)
        assert all(map(torch.equal, states(again, inputs), found))
    layers = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    assert layers == [name for name, module in packed.named_modules() if isinstance(module, PackedLinear)]
    fused = [module for module in packed.modules() if getattr(module, "activation", "") == "gelu"]
    assert len(fused) == (3 if family in FUSED and not config else 0)


def test_a_decoders_layers_are_packed_too_and_its_states_stay():
    model = decoders.decoder("gpt2")
    packed, ids = fast_inference(model), torch.randint(6, 46, (3, 11))
    with torch.inference_mode():
        own, theirs = (each.base_model(input_ids=ids).last_hidden_state for each in (packed, model))
    torch.testing.assert_close(own, theirs, atol=1e-5, rtol=1e-5)
    assert sum(isinstance(module, PackedLinear) for module in packed.modules()) == 4 * 4 + 1
    assert not any(isinstance(module, Conv1D) for module in packed.modules())


def test_the_model_is_as_before_shares_the_rest_and_can_be_trained():
    model, inputs = tiny.family("bert"), tiny.padded([9, 7, 2])
    before, expected = copy.deepcopy(model.state_dict()), states(model, inputs)
    packed = fast_inference(model)
    states(packed, inputs)
    kept = dict(packed.named_parameters())
    assert not any("query" in name or "dense" in name for name in kept)
    assert all(parameter is model.get_parameter(name) for name, parameter in kept.items())
    assert all(map(torch.equal, model.state_dict().values(), before.values()))
    assert all(map(torch.equal, states(model, inputs), expected))
    model.train()(**inputs, labels=torch.tensor([0, 1, 2])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_weight_gives_the_weight_back():
    linear = nn.Linear(20, 12)
    assert torch.equal(PackedLinear(linear, torch.float32).weight, linear.weight)


def test_bf16_is_as_near_to_fp32_as_autocast():
    model, inputs = tiny.family("bert"), tiny.padded([9, 9, 7, 4, 2])
    exact = states(model, inputs)
    packed, stock = states(fast_inference(model, "bf16"), inputs, bf16=True), states(model, inputs, bf16=True)
    assert [state.dtype for state in packed] == [state.dtype for state in stock]
    for found, usual, expected in zip(packed, stock, exact, strict=True):
        assert (found - expected).abs().mean() <= 1.5 * (usual - expected).abs().mean() + 1e-6


@pytest.mark.parametrize(
    ("where", "name", "answer"),
    [(torch.backends.mkldnn, "is_available", False), (torch.backends.cpu, "get_cpu_capability", "DEFAULT")],
)
def test_without_onednn_or_in_another_dtype_it_is_the_model_itself(monkeypatch, where, name, answer):
    model = tiny.family("bert")
    half = copy.deepcopy(model).to(torch.bfloat16)
    assert fast_inference(half) is half
    monkeypatch.setattr(where, name, lambda: answer)
    assert fast_inference(model) is model
