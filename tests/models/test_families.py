"""To add a family is one entry: what the table claims of each is what its model in transformers does."""

import subprocess
import sys

import pytest
import torch

from distill.core.errors import UserError
from distill.models.attention import attention_modules, capture_attention
from distill.models.families import AFTER_PADDING, FAMILIES, layer_stack, usable_positions
from distill.models.loading import only_positions
from distill.models.packed_linear import PackedLinear, fast_inference
from distill.store.replay.attention import attention_weights
from distill.store.replay.embeddings import embedding_weights, replays_embeddings
from distill.store.replay.logits import masked_lm_transform, sequence_head, vocabulary_head
from tests import tiny

LENGTHS = [9, 4, 1, 7]
ADDED = "roc_bert"
"""Of BERT's kind, and not in the table."""
STORED = ("megatron-bert", "roc_bert", "xlm-roberta-xl")
"""Families whose embeddings are not a sum of what replay looks up."""
LIGHT_STAGES = (
    "preparation.prepare augmentation.augment augmentation.augmenter audit.audit targets.ensemble students.initialize "
    "evaluation.evaluate evaluation.plots export.export export.model_card export.scores benchmark.runners benchmark.benchmark "
    "report.gather report.page"
)
"""What stages import that train nothing."""


@pytest.fixture(params=[*FAMILIES, ADDED])
def name(request, monkeypatch) -> str:
    """Each family of the table, and one that a single entry adds to it."""
    monkeypatch.setitem(FAMILIES, ADDED, FAMILIES["bert"])
    return request.param


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5 * max(1.0, expected.abs().max().item()), rtol=1e-5)


def test_every_layer_s_attention_is_where_the_table_says(name):
    """Captured scores against an independent path: the distributions that `eager` attention returns."""
    model, batch = tiny.family(name), tiny.padded(LENGTHS)
    assert len(layer_stack(model)[1]) == 3
    if FAMILIES[name].attention is None:
        with pytest.raises(UserError, match=f"'{name}' .* choose one of bert, .*, or drop the attention terms"):
            attention_modules(model)
        return
    modules = attention_modules(model)
    assert len({id(own.query) for own in modules}) == 3
    for own in modules:
        assert own.heads == 4
        (width,) = {each.out_features for each in (own.query, own.key, own.value)}
        assert width % (own.heads * (3 if own.query is own.key else 1)) == 0
    assert model.config._attn_implementation == ("eager" if name in tiny.EAGER else "sdpa")
    with torch.no_grad(), capture_attention(model, [1, 3]) as captured:
        model(**batch)
        maps = tiny.family(name, attention="eager")(**batch, output_attentions=True).attentions
    real = batch["attention_mask"].bool()
    for layer in (1, 3):
        found = captured[layer].masked_fill(~real[:, None, None, :], -torch.inf).softmax(-1)
        expected = maps[layer - 1].transpose(1, 2)[real]
        torch.testing.assert_close(found.transpose(1, 2)[real], expected, atol=1e-6, rtol=1e-5)
        assert captured[layer].abs().max() > 0.1


def test_attention_embeddings_and_classifiers_are_replayed_where_the_table_says_so(name):
    family, model, batch = FAMILIES[name], tiny.family(name), tiny.padded(LENGTHS)
    real = batch["attention_mask"].bool()
    with torch.no_grad(), capture_attention(model, [2] if family.attention else []) as attention:
        outputs = model(**batch, output_hidden_states=True)
    states = [each[real] for each in outputs.hidden_states]
    lengths = batch["attention_mask"].sum(1).numpy()
    if family.attention:
        pairs = real[:, None, :, None] & real[:, None, None, :]
        close(attention_weights(model, 2).replay(states[1], lengths), attention[2] * pairs)
    assert replays_embeddings(model) == (name not in STORED)
    if name not in ("mobilebert", *STORED):  # which reads [PAD] beside a row's last token
        ids = batch["input_ids"][real]
        close(embedding_weights(model, ids.numpy()).replay(ids[:, None], lengths), states[0])
    if family.classifier:
        close(sequence_head(model).replay(states[-1], lengths), outputs.logits)


@pytest.mark.parametrize(
    "config",
    [
        {"share_att_key": True},
        {"pos_att_type": ["c2p"]},
        {"pos_att_type": ["p2c"], "share_att_key": True},
        {"position_buckets": -1, "max_relative_positions": 4},
        {"relative_attention": False},
    ],
    ids=str,
)
def test_every_kind_of_disentangled_position_is_captured_and_replayed(config):
    model, batch = tiny.family("deberta-v2", **config), tiny.padded([12, 5])
    real = batch["attention_mask"].bool()
    with torch.no_grad(), capture_attention(model, [2]) as captured:
        outputs = model(**batch, output_hidden_states=True, output_attentions=True)
    found = captured[2].masked_fill(~real[:, None, None, :], -torch.inf).softmax(-1).transpose(1, 2)[real]
    torch.testing.assert_close(found, outputs.attentions[1].transpose(1, 2)[real], atol=1e-6, rtol=1e-5)
    replayed = attention_weights(model, 2).replay(outputs.hidden_states[1][real], batch["attention_mask"].sum(1).numpy())
    close(replayed, captured[2] * (real[:, None, :, None] & real[:, None, None, :]))


def test_masked_lm_heads_run_at_some_positions_and_are_replayed(name):
    assert (FAMILIES[name].masked_lm_head is None) == (FAMILIES[name].masked_lm_transform is None)
    model, batch = tiny.family(name, "MaskedLM"), tiny.padded(LENGTHS)
    where = batch["attention_mask"].bool() & (torch.arange(9) % 2 == 0)
    if FAMILIES[name].masked_lm_head is None:
        with pytest.raises(UserError, match=f"the masked-lm head of '{name}' is not known"), only_positions(model, where):
            pass
        return
    with torch.no_grad():
        outputs = model(**batch, output_hidden_states=True)
        with only_positions(model, where):
            close(model(**batch).logits, outputs.logits[where])
        inner = masked_lm_transform(model)(outputs.hidden_states[-1][where])
    close(vocabulary_head(model).replay(inner, where.sum(1).numpy()), outputs.logits[where])


def test_feed_forward_layers_are_packed_with_their_activation(name):
    packed = fast_inference(tiny.family(name, **({} if name == "distilbert" else {"hidden_act": "gelu"})))
    halves = [module for module in packed.modules() if isinstance(module, PackedLinear) and module.activation == "gelu"]
    assert bool(halves) == (FAMILIES[name].feed_forward is not None)


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_the_longest_row_has_a_position_for_each_token(name, padding):
    model = tiny.family(name, pad_token_id=padding)
    tokens = torch.full((1, usable_positions(model.config.to_dict())), 7)
    model(input_ids=tokens)
    if name in AFTER_PADDING:
        with pytest.raises((IndexError, RuntimeError), match="out of (bounds|range)"):
            model(input_ids=torch.full((1, tokens.shape[1] + 1), 7))


def test_neither_families_need_torch_nor_stages_that_do_not_train_the_trainer():
    code = (
        "import sys, importlib, distill.models.families; assert 'torch' not in sys.modules\n"
        f"for name in {LIGHT_STAGES!r}.split(): importlib.import_module(f'distill.{{name}}')\n"
        "assert 'torch' in sys.modules; assert 'transformers.trainer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
