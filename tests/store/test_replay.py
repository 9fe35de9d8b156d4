"""What is replayed from cached states is what the live teacher computes: hooks, hidden states and logits of the whole model."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from distill.core.errors import UserError
from distill.models.attention import capture_attention
from distill.store.codecs.vectors import calibrate, vector_codec
from distill.store.replay import attention as replay
from distill.store.replay.attention import AttentionWeights, attention_weights, projection_weights
from distill.store.replay.embeddings import EmbeddingWeights, embedding_weights
from distill.store.replay.logits import LinearHead, SequenceHead, masked_lm_transform, sequence_head, vocabulary_head
from tests import tiny

BATCHES = [[9, 4, 1, 7], [5, 5], [1], [2, 30, 11]]
MODELS = [(family, {}) for family in tiny.FAMILIES] + [
    ("mobilebert", {"normalization_type": "layer_norm"}),  # as an IB-BERT teacher
    ("mobilebert", {"use_bottleneck_attention": True}),
    ("mobilebert", {"use_bottleneck": False}),
]

UNSHARED = {"intra_bottleneck_size": 24, "key_query_shared_bottleneck": False}
"""Queries and keys have no bottleneck, the residual has."""


def close(found, expected):
    """To 1e-5 of the size of what is compared."""
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5 * max(1.0, expected.abs().max().item()), rtol=1e-5)


def stored(heads):
    """The same, through the bytes of a safetensors file."""
    return type(heads).from_tensors(load(save({name: tensor.contiguous() for name, tensor in heads.tensors().items()})))


def run(model, batch, layer=1):
    """The model's outputs, real tokens' states by number, and what hooks caught of a layer."""
    with torch.no_grad(), capture_attention(model, [layer], values=True) as captured:
        outputs = model(**batch, output_hidden_states=True)
    real = batch["attention_mask"].bool()
    return outputs, [states[real] for states in outputs.hidden_states], captured, real


def zeroed(scores, real):
    return scores * (real[:, None, :, None] & real[:, None, None, :])


def arranged(lengths):
    return np.array(lengths, dtype=np.int64)


@pytest.mark.parametrize(("family", "config"), [*MODELS, ("mobilebert", UNSHARED)], ids=str)
def test_scores_and_projections_are_those_of_hooks_in_the_live_teacher(family, config):
    model = tiny.family(family, **config)
    for lengths in BATCHES:
        for layer in (1, 3):
            batch = tiny.padded(lengths, types=family not in ("distilbert", "roberta"))
            _, hidden, captured, real = run(model, batch, layer)
            heads = attention_weights(model, layer)
            assert config != UNSHARED or heads.bottleneck_weight is None
            for weights in (heads, stored(heads)):
                close(weights.replay(hidden[layer - 1], arranged(lengths)), zeroed(captured[layer], real))
            for projection in ("query", "key", "value"):
                heads = projection_weights(model, layer, projection)
                for weights in (heads, stored(heads)):
                    close(weights.replay(hidden[layer - 1], arranged(lengths)), captured.outputs[layer, projection][real])


def kl(exact, found, real):
    """Nats a real query and head."""
    exact, found = (scores.masked_fill(~real[:, None, None, :], -torch.inf).log_softmax(-1) for scores in (exact, found))
    terms = torch.where(real[:, None, None, :], exact.exp() * (exact - found), 0.0).sum(-1)
    return terms.transpose(1, 2)[real].mean().item()


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_int8_states_give_nearly_the_same_distributions(monkeypatch, family, bf16):
    monkeypatch.setattr(replay, "has_fast_bf16", lambda: bf16)
    model, lengths = tiny.family(family), [30, 12, 1, 25, 25]
    _, hidden, _, real = run(model, tiny.padded(lengths))
    codec, heads = calibrate("int8", hidden[1]), attention_weights(model, 2)
    planes = codec.encode(hidden[1], arranged(lengths))
    exact = heads.replay(hidden[1], arranged(lengths))
    for _ in range(2):
        found = heads.replay_stored(planes, codec, arranged(lengths))
        assert found.dtype == torch.float32
        assert 0 < kl(exact, found, real) <= 1e-3
        assert not found[zeroed(torch.ones_like(found), real) == 0].any()
    if not bf16:
        close(found, heads.replay(codec.decode(planes, arranged(lengths)), arranged(lengths)))


def test_other_statistics_of_the_codec_are_not_confused(monkeypatch):
    monkeypatch.setattr(replay, "has_fast_bf16", lambda: True)
    heads, lengths = attention_weights(tiny.family("bert"), 1), arranged([3, 2])
    values, scales = torch.randint(-127, 128, (5, 24), dtype=torch.int8), torch.full((5, 1), 0.01, dtype=torch.float16)
    for seed in (1, 2, 1):
        mean, deviation = torch.full((24,), float(seed)), torch.full((24,), 1.0 / seed)
        exact = heads.replay(values * scales.float() * deviation + mean, lengths)
        codec = vector_codec("int8", {"mean": mean, "deviation": deviation})
        found = heads.replay_stored({"values": values, "scales": scales}, codec, lengths)
        assert (found - exact).norm() <= 1e-2 * exact.norm()


@pytest.mark.parametrize(
    ("family", "config"),
    [
        *[(family, {}) for family in tiny.FAMILIES],
        ("electra", {"embedding_size": 24}),
        ("mobilebert", {"trigram_input": False}),
        ("mobilebert", {"trigram_input": False, "embedding_size": 24}),
        ("mobilebert", {"normalization_type": "layer_norm"}),
    ],
    ids=str,
)
def test_hidden_state_0_is_that_of_the_live_teacher(family, config):
    model = tiny.family(family, **config, **({"type_vocab_size": 2} if family != "distilbert" else {}))
    for types in (False, family != "distilbert"):
        for lengths in BATCHES:
            batch = tiny.padded(lengths, types=types)
            _, hidden, _, real = run(model, batch)
            inputs = torch.stack([batch[name][real] for name in ("input_ids", "token_type_ids")[: 1 + types]], dim=1)
            heads = embedding_weights(model, inputs[:, 0].numpy())
            assert len(heads.words) == len(inputs[:, 0].unique())
            for weights in (heads, stored(heads)):
                close(weights.replay(inputs, arranged(lengths)), hidden[0])


@pytest.mark.parametrize(
    ("family", "config"), [*[(f, {}) for f in tiny.FAMILIES], ("mobilebert", {"classifier_activation": False})]
)
def test_sequence_logits(family, config):
    model = tiny.family(family, **config)
    batch = tiny.padded(BATCHES[0])
    outputs, hidden, _, _ = run(model, batch)
    head = stored(sequence_head(model))
    assert isinstance(head, SequenceHead)
    close(head.replay(hidden[-1], arranged(BATCHES[0])), outputs.logits)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_vocabulary_logits_of_masked_positions(family):
    model = tiny.family(family, "MaskedLM")
    outputs, hidden, _, real = run(model, tiny.padded(BATCHES[0]))
    masked = torch.rand(len(hidden[-1])) < 0.4
    with torch.no_grad():
        cached = masked_lm_transform(model)(hidden[-1][masked])
    head = stored(vocabulary_head(model))
    assert isinstance(head, LinearHead)
    close(head.replay(cached, arranged(BATCHES[0])), outputs.logits[real][masked])


def test_heads_hold_copies():
    model, lengths = tiny.family("bert"), BATCHES[0]
    _, hidden, _, _ = run(model, tiny.padded(lengths))
    heads = attention_weights(model, 1)
    before = heads.replay(hidden[0], arranged(lengths))
    for parameter in model.parameters():
        parameter.data.zero_()
    assert torch.equal(heads.replay(hidden[0], arranged(lengths)), before)
    assert not any(tensor.requires_grad for tensor in heads.tensors().values())


ATTENTION = attention_weights(tiny.family("bert"), 1).tensors()
NORMED = attention_weights(tiny.family("mobilebert", normalization_type="layer_norm"), 1).tensors()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": None}, "weight is None"),
        ({"weight": torch.ones(48)}, r"weight is float32 \(48,\)"),
        ({"bias": torch.ones(47)}, r"bias is float32 \(47,\)"),
        ({"bias": torch.ones(48, dtype=torch.float16)}, r"bias is float16 \(48,\)"),
        ({"heads": torch.tensor(2.0)}, "heads is 2.0"),
        ({"heads": torch.tensor([4])}, r"heads is int64 \(1,\)"),
        ({"heads": torch.tensor(5)}, "5 heads"),
        ({"heads": torch.tensor(0)}, "0 heads"),
        ({"weight": torch.ones(50, 24), "bias": torch.ones(50)}, "50 rows"),
        ({"extra": torch.ones(1)}, "got extra too"),
    ],
)
def test_matrices_that_do_not_fit_are_refused_with_their_file(changed, message):
    tensors = {name: tensor for name, tensor in {**ATTENTION, **changed}.items() if tensor is not None}
    with pytest.raises(UserError, match=f"here: expected the matrices of AttentionWeights.*{message}"):
        AttentionWeights.from_tensors(tensors, "here")


@pytest.mark.parametrize("lost", ["bottleneck_weight", "bottleneck_bias", "norm_weight", "norm_bias", "norm_epsilon"])
def test_half_a_bottleneck_is_refused(lost):
    with pytest.raises(UserError, match="go together"):
        AttentionWeights.from_tensors({name: tensor for name, tensor in NORMED.items() if name != lost})


def test_tokens_types_and_positions_that_were_not_kept_are_refused():
    heads = embedding_weights(tiny.family("bert"), np.array([5, 9, 9, 7]))
    assert heads.ids.tolist() == [5, 7, 9]
    with pytest.raises(UserError, match="token 8 is none of the 3 whose embeddings were kept"):
        heads.replay(torch.tensor([[5], [8]]), arranged([2]))
    with pytest.raises(UserError, match="number 2 of types, the teacher has 2"):
        heads.replay(torch.tensor([[5, 2]]), arranged([1]))
    with pytest.raises(UserError, match="number 32 of positions, the teacher has 32"):
        heads.replay(torch.full((33, 1), 5), arranged([33]))
    with pytest.raises(UserError, match="token 44 is beyond the teacher's 44 embeddings"):
        embedding_weights(tiny.family("bert"), np.array([44]))


@pytest.mark.parametrize(
    ("family", "changed", "message"),
    [
        ("bert", {"words": None}, "words is None"),
        ("bert", {"words": torch.ones(3, 16)}, "words are 16 wide, 24 numbers are read"),
        ("bert", {"positions": torch.ones(32, 16)}, "types is float32"),
        ("electra", {"states_bias": None}, "a weight and its bias go together"),
        ("mobilebert", {"words_weight": torch.ones(24, 16)}, "words are 8 wide, 16 numbers are read"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(family, changed, message):
    tensors = embedding_weights(tiny.family(family), np.array([5, 9, 7])).tensors() | changed
    with pytest.raises(UserError, match=message):
        EmbeddingWeights.from_tensors({name: tensor for name, tensor in tensors.items() if tensor is not None})


def test_states_of_another_width_and_lengths_of_other_rows_are_refused():
    heads = attention_weights(tiny.family("bert"), 1)
    with pytest.raises(UserError, match="states are 16 wide, expected 24"):
        heads.replay(torch.ones(5, 16), arranged([5]))
    values, scales = torch.ones(5, 16, dtype=torch.int8), torch.ones(5, 1, dtype=torch.float16)
    codec = vector_codec("int8", {"mean": torch.ones(16), "deviation": torch.ones(16)})
    with pytest.raises(UserError, match="states are 16 wide, expected 24"):
        heads.replay_stored({"values": values, "scales": scales}, codec, arranged([5]))
    with pytest.raises(UserError, match="5 states, the lengths are of 6"):
        heads.replay(torch.ones(5, 24), arranged([2, 4]))


def test_no_rows_have_no_scores():
    assert attention_weights(tiny.family("bert"), 1).replay(torch.empty(0, 24), arranged([])).shape == (0, 4, 0, 0)


@pytest.mark.parametrize(
    ("make", "family", "head", "message"),
    [
        (lambda model: attention_weights(model, 1), "roc_bert", "SequenceClassification", "'roc_bert'"),
        (lambda model: embedding_weights(model, np.array([1])), "eurobert", "SequenceClassification", "'eurobert'"),
        (sequence_head, "modernbert", "SequenceClassification", "'modernbert'"),
        (sequence_head, "bert", "TokenClassification", "BertForTokenClassification"),
        *(
            (make, "bert", "SequenceClassification", "BertForSequenceClassification .* with the head of the task")
            for make in (vocabulary_head, masked_lm_transform)
        ),
    ],
)
def test_other_families_and_heads_are_refused_by_name(make, family, head, message):
    with pytest.raises(UserError, match=message):
        make(tiny.family(family, head))
