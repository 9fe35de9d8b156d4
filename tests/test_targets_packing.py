"""The packed copy says what the model says, faster."""

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from distill.targets import packing
from distill.targets.packing import PackedLinear, fast_inference
from tests import tiny

FAMILIES = ["bert", "distilbert", "roberta", "mobilebert"]
pytestmark = pytest.mark.skipif(not packing._onednn_serves(), reason="no oneDNN on this machine")


def config(family: str) -> object:
    sizes = (
        {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
        if family == "distilbert"
        else {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    )
    own = {"embedding_size": 16, "intra_bottleneck_size": 16} if family == "mobilebert" else {}
    return AutoConfig.for_model(family, vocab_size=44, max_position_embeddings=40, pad_token_id=0, num_labels=3, **sizes, **own)


def teacher(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config(family)).eval()


def batch(*, padded: bool) -> dict[str, Tensor]:
    torch.manual_seed(1)
    inputs = {"input_ids": torch.randint(4, 44, (5, 9))}
    if padded:
        inputs["attention_mask"] = (torch.arange(9) < torch.tensor([[9], [9], [7], [4], [2]])).long()
    return inputs


def states(model: PreTrainedModel, inputs: dict[str, Tensor], *, bf16: bool = False) -> list[Tensor]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = model(**inputs, output_hidden_states=True)
    return [outputs.logits, *outputs.hidden_states]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("padded", [False, True])
def test_states_equal_those_of_the_model(family: str, padded: bool) -> None:
    model, inputs = teacher(family), batch(padded=padded)
    packed = fast_inference(model)
    for found, expected in zip(states(packed, inputs), states(model, inputs), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_layer_is_packed(family: str) -> None:
    model = teacher(family)
    packed = fast_inference(model)
    linears = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    assert linears == [name for name, module in packed.named_modules() if isinstance(module, PackedLinear)]


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_gelu_is_fused_into_each_feed_forward_layer(family: str) -> None:
    fused = [module for module in fast_inference(teacher(family)).modules() if getattr(module, "activation", "") == "gelu"]
    assert len(fused) == 3


def test_another_activation_stays() -> None:
    model = tiny.bert(hidden_act="gelu_new")
    packed = fast_inference(model)
    for found, expected in zip(states(packed, batch(padded=True)), states(model, batch(padded=True)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_model_is_as_before_and_can_be_trained() -> None:
    model, inputs = teacher("bert"), batch(padded=True)
    before, said = copy.deepcopy(model.state_dict()), states(model, inputs)
    packed = fast_inference(model)
    states(packed, inputs)
    assert all(map(torch.equal, model.state_dict().values(), before.values()))
    assert all(map(torch.equal, states(model, inputs), said))
    model.train()(**inputs, labels=torch.tensor([0, 1, 2, 0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_model_that_has_run_before_can_be_packed() -> None:
    model, inputs = teacher("bert"), batch(padded=False)
    expected = states(model, inputs)
    found = states(fast_inference(model), inputs)
    assert len(found) == len(expected)
    assert torch.allclose(found[-1], expected[-1], atol=1e-5)


def test_what_is_not_packed_is_shared() -> None:
    model = teacher("bert")
    packed = fast_inference(model)
    kept = dict(packed.named_parameters())
    assert not any("query" in name or "dense" in name for name in kept)
    assert all(parameter is model.get_parameter(name) for name, parameter in kept.items())


def test_the_same_bytes_each_time() -> None:
    model, inputs = teacher("bert"), batch(padded=True)
    assert all(map(torch.equal, states(fast_inference(model), inputs), states(fast_inference(model), inputs)))


@pytest.mark.parametrize("family", ["bert", "mobilebert"])
def test_a_masked_language_model(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(config(family)).eval()
    for found, expected in zip(states(fast_inference(model), batch(padded=True)), states(model, batch(padded=True)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_weight_gives_the_weight_back() -> None:
    linear = nn.Linear(20, 12)
    assert torch.equal(PackedLinear(linear, torch.float32).weight, linear.weight)


def test_bf16_is_as_near_to_fp32_as_autocast() -> None:
    model, inputs = teacher("bert"), batch(padded=True)
    exact = states(model, inputs)
    packed, stock = states(fast_inference(model, "bf16"), inputs, bf16=True), states(model, inputs, bf16=True)
    assert [state.dtype for state in packed] == [state.dtype for state in stock]
    for found, usual, expected in zip(packed, stock, exact, strict=True):
        assert (found - expected).abs().mean() <= 1.5 * (usual - expected).abs().mean() + 1e-6


@pytest.mark.parametrize(
    ("where", "name", "answer"),
    [(torch.backends.mkldnn, "is_available", False), (torch.backends.cpu, "get_cpu_capability", "DEFAULT")],
)
def test_without_onednn_it_is_the_model_itself(monkeypatch: pytest.MonkeyPatch, where: object, name: str, answer: object) -> None:
    monkeypatch.setattr(where, name, lambda: answer)
    model = teacher("bert")
    assert fast_inference(model) is model


def test_a_model_in_another_dtype_stays_itself() -> None:
    model = teacher("bert").to(torch.bfloat16)
    assert fast_inference(model) is model
