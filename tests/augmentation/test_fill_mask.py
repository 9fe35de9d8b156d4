"""Refills are those of a model that sees one masked text at a time."""

import numpy as np
import pytest
import torch

from distill.augmentation.fill_mask import Refiller
from distill.augmentation.words import whole_words
from distill.core.errors import UserError
from distill.models.packed_linear import fast_inference
from tests.words import masked_lm, wordpiece

TEXTS = ["sun moon", "red fish swimming .", "old rock", "the new tree , a leaf", "cold sea"]


def refiller(model_type: str = "bert", batch_tokens: int = 64, fast: bool = True) -> Refiller:
    tokenizer, model = wordpiece(), masked_lm(model_type)
    return Refiller(fast_inference(model) if fast else model, whole_words(tokenizer, "here"), 4, 0, batch_tokens)


def rows() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token ids, and every place that is no special token."""
    ids = [np.array(row, np.int64) for row in wordpiece()(TEXTS)["input_ids"]]
    return ids, [np.arange(1, len(row) - 1) for row in ids]


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "roberta", "electra"])
def test_each_place_is_masked_alone_and_gets_the_likeliest_words_but_its_own(model_type):
    ids, places = rows()
    plain = refiller(model_type, fast=False)
    found = refiller(model_type).refills(ids, places, 5)
    for row, where, refills in zip(ids, places, found, strict=True):
        assert refills.shape == (len(where), 5)
        for place, words in zip(where, refills, strict=True):
            masked = torch.from_numpy(row.copy())[None]
            masked[0, place] = 4
            with torch.no_grad():
                logits = plain.model(masked).logits[0, place]
            order = [token for token in logits.argsort(descending=True).tolist() if token in plain.vocabulary.words]
            assert words.tolist() == [token for token in order if token != row[place]][:5]


@pytest.mark.parametrize("batch_tokens", [1, 16, 1024])
def test_batches_do_not_matter(batch_tokens):
    ids, places = rows()
    whole = refiller().refills(ids, places, 4)
    for mine, theirs in zip(whole, refiller(batch_tokens=batch_tokens).refills(ids, places, 4), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_places_of_all_texts_share_forward_passes_in_which_the_head_runs_at_them_alone():
    ids, places = rows()
    count = sum(map(len, places))
    made, batches, shapes, told = refiller(batch_tokens=4096), [], [], []
    made.model.register_forward_pre_hook(lambda _, __, inputs: batches.append(tuple(inputs["input_ids"].shape)), with_kwargs=True)
    made.model.cls.predictions.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    made.refills(ids, places, 3, told.append)
    assert (batches, told) == ([(count, max(map(len, ids)))], [count])
    assert [(shape[0], len(shape)) for shape in shapes] == [(count, 2)]


def test_rows_without_places_cost_no_pass_and_there_are_no_more_candidates_than_other_words():
    ids, places = rows()
    made, calls = refiller(), []
    made.model.register_forward_pre_hook(lambda *_: calls.append(1))
    found = made.refills(ids, [np.empty(0, np.int64)] * len(ids), 3)
    assert ([refills.shape for refills in found], calls) == ([(0, 3)] * len(ids), [])
    assert {refills.shape[1] for refills in made.refills(ids, places, 999)} == {len(made.vocabulary.words) - 1}


def test_nan_logits_are_refused():
    ids, places = rows()
    made = refiller(fast=False)
    made.model.cls.predictions.bias.data[7] = torch.nan
    with pytest.raises(UserError, match="logits are NaN or infinite"):
        made.refills(ids, places, 3)
