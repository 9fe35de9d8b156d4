"""Texts into tokens: what truncation takes is counted, and the two texts of a pair stay apart."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.data import tokenizers as tokenization
from distill.data.rows import Rows
from distill.data.tokenizers import encode, load_tokenizer, tokenize_truncated, vocabulary_size
from distill.preparation.word_labels import encode_words
from tests.words import byte_pieces, wordpiece

CLS, SEP = 2, 3


def words(count: int, first: int = 0) -> str:
    return " ".join(f"w{first + i}" for i in range(count))


def test_rows_keep_their_order_and_their_special_tokens_and_an_empty_split_has_none(tokenizer):
    assert encode(tokenizer, [], None, 6).lengths.tolist() == []
    encoded = encode(tokenizer, ["w1 w0", "w2"], None, 8)
    assert encoded.columns == {"input_ids": [[CLS, 5, 4, SEP], [CLS, 6, SEP]]}
    assert encoded.lengths.tolist() == [4, 3]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (0, 0)


def test_truncated_rows_and_lost_tokens_are_counted_and_pairs_lose_from_the_longer_text(tokenizer):
    encoded = encode(tokenizer, [words(3), words(4), words(5), words(9)], None, 6)
    assert encoded.lengths.tolist() == [5, 6, 6, 6]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (2, 1 + 5)
    assert encoded.columns["input_ids"][3] == [CLS, 4, 5, 6, 7, SEP]
    encoded = encode(tokenizer, [words(1), words(6)], [words(2, 10), words(1, 20)], 6)
    assert encoded.columns["token_type_ids"] == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]]
    assert encoded.columns["input_ids"][1] == [CLS, 4, 5, SEP, 24, SEP]
    assert encoded.lengths.tolist() == [6, 6]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (1, 4)


@pytest.mark.parametrize("make", [wordpiece, byte_pieces])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("paired", [False, True])
def test_rows_are_those_of_the_tokenizers_own_truncation(make, side, paired):
    fast, texts = make(), ["swimming suns", "a", "moon abab aa sun " * 3, "b flying"]
    fast.truncation_side = side
    inputs = (texts, texts[::-1] if paired else None)
    for most in (5, 6, 9, 40):
        expected, whole = fast(*inputs, truncation=True, max_length=most, return_offsets_mapping=True), fast(*inputs)
        rows, lost = tokenize_truncated(fast, *inputs, most)
        assert [row.ids for row in rows] == expected["input_ids"]
        assert [row.offsets for row in rows] == expected["offset_mapping"]
        assert [row.type_ids for row in rows] == expected.get("token_type_ids", [row.type_ids for row in rows])
        assert lost.tolist() == [len(row) - len(kept) for row, kept in zip(whole["input_ids"], rows, strict=True)]


def test_each_text_is_tokenized_once(monkeypatch):
    seen: list[str] = []

    class Counted:
        def __init__(self, core: Tokenizer) -> None:
            self.core = core

        def encode_batch(self, texts: list[str], **how: Any) -> Any:
            seen.extend(texts)
            return self.core.encode_batch(texts, **how)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.core, name)

    fast = wordpiece()
    monkeypatch.setattr(fast, "_tokenizer", Counted(fast.backend_tokenizer))
    assert encode(fast, ["sun moon sea", "sun"], ["star", "sea rock"], 6).truncated_rows == 1
    assert sorted(seen) == ["sea rock", "star", "sun", "sun moon sea"]
    seen.clear()
    rows = Rows([["sun", "moon", "red"], ["sea"]], None, np.array([None, None], object), np.arange(2))
    assert encode_words(fast, rows, 4).truncated_rows == 1
    assert seen == ["sun moon red", "sea"]


def unpadded(folder, **special):
    core = Tokenizer(WordLevel({"[UNK]": 0, "w0": 1, "</s>": 7}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(folder)
    return folder


def test_a_tokenizer_without_a_padding_token_pads_with_its_end_of_text(tmp_path):
    assert load_tokenizer(unpadded(tmp_path, eos_token="</s>", unk_token="[UNK]")).pad_token_id == 7


def test_a_tokenizer_with_nothing_to_pad_with_is_refused_with_what_to_add(tmp_path):
    with pytest.raises(UserError, match="no token to pad with; add `pad_token` to its tokenizer_config.json"):
        load_tokenizer(unpadded(tmp_path))


def test_a_vocabulary_with_gaps_is_as_large_as_its_highest_id(tmp_path):
    tokenizer = load_tokenizer(unpadded(tmp_path, eos_token="</s>"))
    assert (len(tokenizer), vocabulary_size(tokenizer)) == (3, 8)


@pytest.mark.parametrize("file", ["spm.model", "sentencepiece.bpe.model"])
def test_a_sentencepiece_file_alone_needs_the_package_that_reads_it(monkeypatch, tmp_path, file):
    monkeypatch.setattr(tokenization, "find_spec", lambda _: None)
    (tmp_path / file).write_bytes(b"pieces")
    with pytest.raises(UserError, match="has its tokenizer as .*model alone; `pip install sentencepiece protobuf`, or"):
        load_tokenizer(tmp_path)
