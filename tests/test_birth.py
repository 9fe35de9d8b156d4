from pathlib import Path

import pytest
import torch

from distill.birth import newborn
from distill.errors import UserError
from tests import tiny


def test_depth_layers_or_nothing_choose_what_is_copied(teacher, dataset):
    depths = [
        newborn(teacher, dataset, layers, depth, None, 1).config.num_hidden_layers
        for layers, depth in [(None, 2), ((1,), None), (None, None)]
    ]
    assert depths == [2, 1, 4]


def test_a_random_student_needs_no_model_and_is_the_same_for_the_same_seed(dataset):
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    first, second, other = (newborn(Path("nowhere"), dataset, None, None, shape, seed) for seed in (1, 1, 2))
    weights = [model.get_input_embeddings().weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.config.id2label == dict(enumerate(dataset.labels))


def test_a_student_that_copies_layers_must_read_the_same_tokens(tmp_path, dataset):
    other = tiny.save(tiny.bert(), tmp_path / "other", tiny.tokenizer(["x", *tiny.WORDS[1:]]))
    with pytest.raises(UserError, match="a student that copies its layers must read its tokens"):
        newborn(other, dataset, None, 1, None, 1)


def test_a_missing_model_names_what_to_run(tmp_path, dataset):
    with pytest.raises(UserError, match="no model; run the stage that writes it"):
        newborn(tmp_path / "none", dataset, None, 1, None, 1)


def test_a_random_student_too_short_for_the_rows_is_refused(dataset):
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 6}
    with pytest.raises(UserError, match="init.architecture: takes 6 tokens, the data set's max_length is 10"):
        newborn(Path("nowhere"), dataset, None, None, shape, 1)
