"""Attention scores that are captured during a forward pass; test_families.py compares them with maps, family by family."""

import gc
import weakref

import pytest
import torch

from distill.core.errors import UserError
from distill.models.attention import attention_modules, attention_relation, capture_attention
from distill.models.packed_linear import fast_inference
from tests import tiny

LENGTHS = [9, 4, 1, 7]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_gradients_reach_the_parameters_in_train_mode(family):
    model = tiny.family(family).train()
    with capture_attention(model, [2], values=True) as captured:
        model(**tiny.padded(LENGTHS))
    own = attention_modules(model)
    loss = captured[2].square().mean() + attention_relation(captured.outputs[2, "value"], 2).square().mean()
    loss.backward()
    for parameter in (own[1].query.weight, own[1].key.bias, own[1].value.weight, own[0].query.weight):
        assert parameter.grad.abs().sum() > 0
    assert own[2].query.weight.grad is None


def test_the_gradient_is_that_of_the_formula():
    model, batch = tiny.family("bert"), tiny.padded(LENGTHS)
    own = attention_modules(model)[0]
    states = model(**batch, output_hidden_states=True).hidden_states[0]
    query, key = (layer(states).view(4, 9, 4, 6) for layer in (own.query, own.key))
    expected = torch.einsum("bqhd,bkhd->bhqk", query, key) / 6**0.5
    with capture_attention(model, [1]) as captured:
        model(**batch)
    torch.testing.assert_close(captured[1], expected)
    found, wanted = (torch.autograd.grad(scores.pow(3).sum(), own.query.weight)[0] for scores in (captured[1], expected))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_under_autocast_scores_are_fp32_products_of_the_projections():
    model, batch = tiny.family("bert"), tiny.padded(LENGTHS)
    with torch.autocast("cpu", torch.bfloat16), capture_attention(model, [1]) as captured:
        model(**batch)
        scores = captured[1]
    query, key = (captured.outputs[1, name].float().view(4, 9, 4, 6) for name in ("query", "key"))
    assert (captured.outputs[1, "query"].dtype, scores.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(scores, torch.einsum("bqhd,bkhd->bhqk", query, key) / 6**0.5)


def test_a_packed_teacher_is_captured_like_the_original():
    model, batch = tiny.family("bert"), tiny.padded(LENGTHS)
    with torch.inference_mode(), capture_attention(model, [2]) as own:
        model(**batch)
    packed = fast_inference(model)
    with torch.inference_mode(), capture_attention(packed, [2]) as captured:
        packed(**batch)
    torch.testing.assert_close(captured[2], own[2], atol=1e-5, rtol=1e-5)


def test_nothing_of_a_step_outlives_it():
    model = tiny.family("bert")
    with capture_attention(model, [1]) as captured:
        model(**tiny.padded(LENGTHS))
        first = weakref.ref(captured.outputs[1, "query"])
        model(**tiny.padded([5, 3]))
        gc.collect()
        assert first() is None
        assert captured[1].shape == (2, 4, 5, 5)
    last = weakref.ref(captured.outputs[1, "query"])
    del captured
    gc.collect()
    assert last() is None
    assert not any(module._forward_hooks for own in attention_modules(model) for module in (own.query, own.key))


def test_hooks_go_when_the_forward_pass_fails():
    model = tiny.family("bert")
    with pytest.raises(IndexError), capture_attention(model, [1]):
        model(input_ids=torch.tensor([[10**6]]))
    assert not attention_modules(model)[0].query._forward_hooks


def test_it_is_a_mapping_by_layer_empty_for_a_model_of_another_kind():
    model = tiny.family("bert")
    with capture_attention(model, (3, 1)) as captured:
        model(**tiny.padded(LENGTHS))
    assert set(captured) == {1, 3}
    assert {layer: scores.shape for layer, scores in captured.items()} == dict.fromkeys((1, 3), (4, 4, 9, 9))
    with capture_attention(tiny.family("modernbert"), []) as captured:
        assert len(captured) == 0


@pytest.mark.parametrize("heads", [1, 3, 8])
def test_relations_are_scaled_products_of_any_number_of_heads(heads):
    states = torch.randn(2, 5, 24)
    found = attention_relation(states, heads)
    for head, part in enumerate(states.chunk(heads, dim=2)):
        torch.testing.assert_close(found[:, head], part @ part.mT / (24 / heads) ** 0.5)


def test_heads_that_do_not_divide_the_width_and_layers_that_the_model_lacks_are_refused():
    for heads in (0, 5, -2):
        with pytest.raises(UserError, match=f"{heads} do not divide a width of 24; choose"):
            attention_relation(torch.randn(2, 5, 24), heads)
    for layer in (0, -1, 4):
        with pytest.raises(UserError, match=f"layer {layer}: expected 1 to 3"), capture_attention(tiny.family("bert"), [layer]):
            pass
