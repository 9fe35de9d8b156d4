"""Masks are fixed, follow BERT's shares, and hide what they say they hide."""

from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded
from distill.preparation.masking import encode_corpus, mask
from tests import tiny

CLS, SEP, MASK = 2, 3, 44
ORDINARY = np.arange(4, 44, dtype=np.int32)


@pytest.fixture(scope="module")
def masking() -> PreTrainedTokenizerFast:
    return tiny.masking_tokenizer()


def corpus(tokenizer: PreTrainedTokenizerFast, texts: list[str], **how: Any) -> Encoded:
    rows = Rows(texts, None, np.zeros(len(texts), np.int64), np.arange(len(texts)))
    return encode_corpus(tokenizer, rows, tiny.settings("masked-lm", **{"max_length": 8, **how}), "train")


def originals(encoded: Encoded) -> list[list[int]]:
    pairs = zip(encoded.columns["input_ids"], encoded.labels, strict=True)
    return [np.where(labels != UNLABELLED, labels, tokens).tolist() for tokens, labels in pairs]


def test_texts_are_cut_to_chunks_that_cross_no_text(masking):
    encoded = corpus(masking, ["w0 w1 w2 w3 w4 w5 w6 w7", "w8"])
    assert originals(encoded) == [[CLS, 4, 5, 6, 7, 8, 9, SEP], [CLS, 10, 11, SEP], [CLS, 12, SEP]]
    assert encoded.lengths.tolist() == [8, 4, 3]
    assert encoded.counts == {"texts": 2, "chunks": 3, "masked_tokens": 3}


def test_each_masking_is_of_the_same_chunk_and_may_mask_nothing(masking):
    text = " ".join(tiny.WORDS)
    encoded = corpus(masking, [text], maskings=5, max_length=42)
    assert originals(encoded) == [[CLS, *range(4, 44), SEP]] * 5
    assert len(set(encoded.ids)) == 5
    assert encoded.counts == {"texts": 1, "chunks": 1, "masked_tokens": 30}
    encoded = corpus(masking, [text, "w1"], max_length=42, mask_probability=0.0)
    assert [row.tolist() for row in encoded.columns["input_ids"]] == [[CLS, *range(4, 44), SEP], [CLS, 5, SEP]]
    assert encoded.counts == {"texts": 2, "chunks": 2, "masked_tokens": 2}


def test_masks_depend_on_the_chunk_the_seed_and_the_number_alone(masking):
    text = " ".join(tiny.WORDS)
    one = corpus(masking, [text], max_length=42)
    among = corpus(masking, ["w1 w2", text], max_length=42)
    assert one.ids[0] == among.ids[1]
    assert corpus(masking, [text], max_length=42, maskings=2).ids[0] == one.ids[0]
    assert corpus(masking, [text], max_length=42, seed=2).ids != one.ids


def test_chosen_tokens_are_masked_replaced_or_kept_in_berts_shares():
    chunk = np.full(10_000, 7, np.int32)
    free = np.arange(1, 9_999)
    tokens, labels = mask(chunk, free, ORDINARY, MASK, 0.15, (1, 0))
    chosen = labels != UNLABELLED
    assert chosen.sum() == 1500
    assert not chosen[[0, -1]].any()
    assert (labels[chosen] == 7).all()
    assert (tokens[~chosen] == 7).all()
    assert abs((tokens[chosen] == MASK).mean() - 0.8) < 0.03
    assert abs((tokens[chosen] == 7).mean() - 0.1) < 0.03
    assert set(tokens[chosen].tolist()) - {MASK} <= set(ORDINARY.tolist())
    assert len(set(tokens[chosen].tolist())) > 30


@pytest.mark.parametrize(("length", "probability", "count"), [(1, 0.15, 1), (3, 0.15, 1), (20, 0.15, 3), (20, 0.5, 10)])
def test_some_token_is_always_chosen(length, probability, count):
    chunk = np.arange(4, 4 + length, dtype=np.int32)
    _, labels = mask(chunk, np.arange(length), ORDINARY, MASK, probability, (1, 0))
    assert int((labels != UNLABELLED).sum()) == count


def test_rows_of_equal_tokens_whose_masks_are_elsewhere_have_other_ids(masking):
    encoded = corpus(masking, ["w1 w1 w1 w1 w1 w1"], maskings=300)
    seen: dict[bytes, set[tuple[bytes, bytes]]] = {}
    for key, tokens, labels in zip(encoded.ids, encoded.columns["input_ids"], encoded.labels, strict=True):
        seen.setdefault(key, set()).add((tokens.tobytes(), (labels != UNLABELLED).tobytes()))
    assert all(len(rows) == 1 for rows in seen.values())
    kept = [rows for key in seen for rows in seen[key] if b"\x2c" not in rows[0]]
    assert len({tokens for tokens, _ in kept}) < len(kept)


def test_a_tokenizer_without_a_mask_token_is_refused(tokenizer):
    with pytest.raises(UserError, match="tokenizer: has no mask token, which masked-lm needs"):
        corpus(tokenizer, ["w1"])
