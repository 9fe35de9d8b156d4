"""Parameter counts of the presets, on the meta device: nothing is allocated."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from distill.params.inits import PRESETS

VOCABULARY = 30_522


def parameters(preset: str, **changed: object) -> int:
    settings = {**PRESETS[preset], "vocab_size": VOCABULARY, **changed}
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(**settings))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        ("bert-base", 109.48),
        ("bert-tiny", 4.39),
        ("bert-mini", 11.17),
        ("bert-small", 28.76),
        ("bert-medium", 41.37),
        ("distilbert", 66.36),
        ("tinybert-4", 14.35),
        ("tinybert-6", 66.96),
        ("mobilebert", 24.84),
        ("ib-bert", 332.29),
    ],
)
def test_presets_have_the_published_number_of_parameters(preset, millions):
    assert round(parameters(preset) / 1e6, 2) == millions


def test_every_preset_is_counted():
    (mark,) = test_presets_have_the_published_number_of_parameters.pytestmark
    assert {preset for preset, _ in mark.args[1]} == set(PRESETS)


def test_mobilebert_lacks_of_the_paper_s_25_3_million_what_pretraining_adds():
    width = PRESETS["mobilebert"]["hidden_size"]
    transform, bias, next_sentence = width * width + 3 * width, VOCABULARY, 2 * width + 2
    assert (parameters("mobilebert") + transform + bias + next_sentence) / 1e6 == pytest.approx(25.3, abs=0.2)


def test_ib_bert_has_more_than_the_paper_s_293_million_by_the_bottleneck_of_queries_and_keys():
    preset = PRESETS["ib-bert"]
    outside, inside = preset["hidden_size"], preset["intra_bottleneck_size"]
    bottleneck = outside * inside + 3 * inside  # with its bias and normalization
    queries_and_keys = 2 * inside * (inside - outside)
    surplus = preset["num_hidden_layers"] * (bottleneck + queries_and_keys)
    assert surplus / 1e6 == pytest.approx(38, abs=0.5)
    assert (parameters("ib-bert") - surplus) / 1e6 == pytest.approx(293, rel=0.006)


def test_teacher_and_student_of_mobilebert_have_the_same_feature_maps_and_heads():
    student, teacher = PRESETS["mobilebert"], PRESETS["ib-bert"]
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "embedding_size"):
        assert student[key] == teacher[key]
