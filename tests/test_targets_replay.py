"""What is replayed from cached states is what the live teacher computes: hooks, hidden states and logits of the whole model."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from distill.attention import capture_attention
from distill.errors import UserError
from distill.targets import replay
from distill.targets.codec import calibrate
from distill.targets.replay import AttentionHeads, attention_heads, projection_heads
from distill.targets.replay_embeddings import EmbeddingHeads, embedding_heads
from distill.targets.replay_logits import (
    LinearHead,
    SequenceHead,
    masked_lm_transform,
    sequence_head,
    span_head,
    token_head,
    vocabulary_head,
)
from tests import tiny

BATCHES = [[9, 4, 1, 7], [5, 5], [1], [2, 30, 11]]
MODELS = [(family, {}) for family in tiny.FAMILIES] + [
    ("mobilebert", {"normalization_type": "layer_norm"}),  # as an IB-BERT teacher
    ("mobilebert", {"use_bottleneck_attention": True}),
    ("mobilebert", {"use_bottleneck": False}),
]


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


@pytest.mark.parametrize(("family", "config"), MODELS, ids=str)
def test_attention_scores_are_those_of_hooks_in_the_live_teacher(family, config):
    model = tiny.family(family, **config)
    for lengths in BATCHES:
        for layer in (1, 3):
            _, hidden, captured, real = run(model, tiny.padded(lengths, types=family not in ("distilbert", "roberta")), layer)
            heads = attention_heads(model, layer)
            for own in (heads, stored(heads)):
                close(own.scores(hidden[layer - 1], arranged(lengths)), zeroed(captured[layer], real))


@pytest.mark.parametrize(("family", "config"), MODELS, ids=str)
@pytest.mark.parametrize("projection", ["query", "key", "value"])
def test_projections_are_those_of_hooks(family, config, projection):
    model = tiny.family(family, **config)
    _, hidden, captured, real = run(model, tiny.padded(BATCHES[0]), 2)
    heads = projection_heads(model, 2, projection)
    for own in (heads, stored(heads)):
        close(own.projected(hidden[1]), captured.outputs[2, projection][real])


def test_queries_and_keys_may_have_no_bottleneck_where_the_residual_has():
    model = tiny.family("mobilebert", intra_bottleneck_size=24, key_query_shared_bottleneck=False)
    _, hidden, captured, real = run(model, tiny.padded(BATCHES[0]), 2)
    heads = attention_heads(model, 2)
    assert heads.bottleneck_weight is None
    close(heads.scores(hidden[1], arranged(BATCHES[0])), zeroed(captured[2], real))


def kl(exact, found, real):
    """Nats a real query and head."""
    exact, found = (scores.masked_fill(~real[:, None, None, :], -torch.inf).log_softmax(-1) for scores in (exact, found))
    terms = torch.where(real[:, None, None, :], exact.exp() * (exact - found), 0.0).sum(-1)
    return terms.transpose(1, 2)[real].mean().item()


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_int8_states_give_nearly_the_same_distributions(monkeypatch, family, bf16):
    monkeypatch.setattr(replay, "bf16_helps", lambda: bf16)
    model, lengths = tiny.family(family), [30, 12, 1, 25, 25]
    _, hidden, _, real = run(model, tiny.padded(lengths))
    codec, heads = calibrate("int8", hidden[1]), attention_heads(model, 2)
    planes = codec.encode(hidden[1], arranged(lengths))
    exact = heads.scores(hidden[1], arranged(lengths))
    statistics = codec.statistics["mean"], codec.statistics["deviation"]
    for _ in range(2):
        found = heads.scores_from_int8(planes["values"], planes["scales"], *statistics, arranged(lengths))
        assert found.dtype == torch.float32
        assert 0 < kl(exact, found, real) <= 1e-3
        assert not found[zeroed(torch.ones_like(found), real) == 0].any()
    if not bf16:
        close(found, heads.scores(codec.decode(planes, arranged(lengths)), arranged(lengths)))


def test_other_statistics_of_the_codec_are_not_confused(monkeypatch):
    monkeypatch.setattr(replay, "bf16_helps", lambda: True)
    heads, lengths = attention_heads(tiny.family("bert"), 1), arranged([3, 2])
    values, scales = torch.randint(-127, 128, (5, 24), dtype=torch.int8), torch.full((5, 1), 0.01, dtype=torch.float16)
    for seed in (1, 2, 1):
        mean, deviation = torch.full((24,), float(seed)), torch.full((24,), 1.0 / seed)
        exact = heads.scores(values * scales.float() * deviation + mean, lengths)
        found = heads.scores_from_int8(values, scales, mean, deviation, lengths)
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
            ids = batch["input_ids"][real].to(torch.int32)
            token_types = batch["token_type_ids"][real].to(torch.int8) if types else None
            heads = embedding_heads(model, ids.numpy())
            assert len(heads.words) == len(ids.unique())
            for own in (heads, stored(heads)):
                close(own.states(ids, token_types, arranged(lengths)), hidden[0])


@pytest.mark.parametrize(
    ("family", "config"), [*[(f, {}) for f in tiny.FAMILIES], ("mobilebert", {"classifier_activation": False})]
)
def test_sequence_logits(family, config):
    model = tiny.family(family, **config)
    batch = tiny.padded(BATCHES[0])
    outputs, hidden, _, _ = run(model, batch)
    starts = np.cumsum(BATCHES[0]) - BATCHES[0]
    head = stored(sequence_head(model))
    assert isinstance(head, SequenceHead)
    close(head.logits(hidden[-1][starts]), outputs.logits)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_token_logits(family):
    model = tiny.family(family, "TokenClassification")
    outputs, hidden, _, real = run(model, tiny.padded(BATCHES[0]))
    close(stored(token_head(model)).logits(hidden[-1]), outputs.logits[real])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_span_logits(family):
    model = tiny.family(family, "QuestionAnswering")
    outputs, hidden, _, real = run(model, tiny.padded(BATCHES[0]))
    expected = torch.stack([outputs.start_logits[real], outputs.end_logits[real]], dim=1)
    close(stored(span_head(model)).logits(hidden[-1]), expected)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_vocabulary_logits_of_masked_positions(family):
    model = tiny.family(family, "MaskedLM")
    outputs, hidden, _, real = run(model, tiny.padded(BATCHES[0]))
    masked = torch.rand(len(hidden[-1])) < 0.4
    with torch.no_grad():
        cached = masked_lm_transform(model)(hidden[-1][masked])
    head = stored(vocabulary_head(model))
    assert isinstance(head, LinearHead)
    close(head.logits(cached), outputs.logits[real][masked])


def test_heads_hold_copies():
    model, lengths = tiny.family("bert"), BATCHES[0]
    _, hidden, _, _ = run(model, tiny.padded(lengths))
    heads = attention_heads(model, 1)
    before = heads.scores(hidden[0], arranged(lengths))
    for parameter in model.parameters():
        parameter.data.zero_()
    assert torch.equal(heads.scores(hidden[0], arranged(lengths)), before)
    assert not any(tensor.requires_grad for tensor in heads.tensors().values())


ATTENTION = attention_heads(tiny.family("bert"), 1).tensors()
NORMED = attention_heads(tiny.family("mobilebert", normalization_type="layer_norm"), 1).tensors()


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
    with pytest.raises(UserError, match=f"here: expected the matrices of AttentionHeads.*{message}"):
        AttentionHeads.from_tensors(tensors, "here")


@pytest.mark.parametrize("lost", ["bottleneck_weight", "bottleneck_bias", "norm_weight", "norm_bias", "norm_epsilon"])
def test_half_a_bottleneck_is_refused(lost):
    with pytest.raises(UserError, match="go together"):
        AttentionHeads.from_tensors({name: tensor for name, tensor in NORMED.items() if name != lost})


def test_tokens_types_and_positions_that_were_not_kept_are_refused():
    heads = embedding_heads(tiny.family("bert"), np.array([5, 9, 9, 7]))
    assert heads.ids.tolist() == [5, 7, 9]
    with pytest.raises(UserError, match="token 8 is none of the 3 whose embeddings were kept"):
        heads.states(torch.tensor([5, 8]), None, arranged([2]))
    with pytest.raises(UserError, match="number 2 of types, the teacher has 2"):
        heads.states(torch.tensor([5]), torch.tensor([2]), arranged([1]))
    with pytest.raises(UserError, match="number 32 of positions, the teacher has 32"):
        heads.states(torch.full((33,), 5), None, arranged([33]))
    with pytest.raises(UserError, match="token 44 is beyond the teacher's 44 embeddings"):
        embedding_heads(tiny.family("bert"), np.array([44]))


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
    tensors = embedding_heads(tiny.family(family), np.array([5, 9, 7])).tensors() | changed
    with pytest.raises(UserError, match=message):
        EmbeddingHeads.from_tensors({name: tensor for name, tensor in tensors.items() if tensor is not None})


def test_states_of_another_width_and_lengths_of_other_rows_are_refused():
    heads = attention_heads(tiny.family("bert"), 1)
    with pytest.raises(UserError, match="states are 16 wide, expected 24"):
        heads.scores(torch.ones(5, 16), arranged([5]))
    values, scales = torch.ones(5, 16, dtype=torch.int8), torch.ones(5, 1, dtype=torch.float16)
    with pytest.raises(UserError, match="states are 16 wide, expected 24"):
        heads.scores_from_int8(values, scales, torch.ones(16), torch.ones(16), arranged([5]))
    with pytest.raises(UserError, match="5 states, the lengths are of 6"):
        heads.scores(torch.ones(5, 24), arranged([2, 4]))


def test_no_rows_have_no_scores():
    assert attention_heads(tiny.family("bert"), 1).scores(torch.empty(0, 24), arranged([])).shape == (0, 4, 0, 0)


@pytest.mark.parametrize(
    "make", [lambda model: attention_heads(model, 1), lambda model: embedding_heads(model, np.array([1])), sequence_head]
)
def test_other_families_are_refused_by_name(make):
    with pytest.raises(UserError, match="'modernbert'"):
        make(tiny.family("modernbert"))


@pytest.mark.parametrize("make", [span_head, vocabulary_head, masked_lm_transform])
def test_a_model_without_the_head_is_refused(make):
    with pytest.raises(UserError, match="BertForSequenceClassification .* with the head of the task"):
        make(tiny.family("bert"))


def test_a_classifier_of_sequences_is_none_of_tokens():
    with pytest.raises(UserError, match="RobertaForSequenceClassification"):
        token_head(tiny.family("roberta"))
    with pytest.raises(UserError, match="BertForTokenClassification"):
        sequence_head(tiny.family("bert", "TokenClassification"))
