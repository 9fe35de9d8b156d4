"""Where a text's words are, and which words are single pieces of a tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"


@dataclass(frozen=True)
class Word:
    """A word of a text that may be replaced: its characters, and its tokens, both from `start` up to `stop`."""

    start: int
    stop: int
    first_token: int
    last_token: int

    @property
    def is_single(self) -> bool:
        """Whether it is one piece."""
        return self.first_token == self.last_token


@dataclass(frozen=True)
class Located:
    """A text's tokens, (seq,) int64 with special tokens, and the words among them."""

    text: str
    tokens: Array
    words: tuple[Word, ...]

    def spelling(self, i: int) -> str:
        """The characters of word i."""
        return self.text[self.words[i].start : self.words[i].stop]

    def pieces(self, i: int) -> Array:
        """The tokens of word i, (pieces,) int64."""
        return self.tokens[self.words[i].first_token : self.words[i].last_token + 1]

    def spelt(self, i: int) -> tuple[str, bytes]:
        """What tells word i from others: byte-level tokenizers have other pieces for the same characters behind a blank."""
        return self.spelling(i), self.pieces(i).tobytes()


@dataclass(frozen=True)
class Vocabulary:
    """The words that are single pieces of a tokenizer, by token."""

    words: Mapping[int, str]

    @cached_property
    def ids(self) -> Array:
        """Their tokens, (words,) int64."""
        return np.array(list(self.words), np.int64)


def whole_words(tokenizer: PreTrainedTokenizerBase, where: str) -> Vocabulary:
    """The tokens that are a word: they have a letter, and what they stand for is tokenized to them alone.

    That leaves out special tokens, numbers, punctuation, and pieces that continue a word or begin one.
    """
    special = set(tokenizer.all_special_ids)
    asked = [token for token in range(len(tokenizer)) if token not in special]
    texts = [text.strip() for text in tokenizer.backend_tokenizer.decode_batch([[token] for token in asked])]
    lettered = [(token, text) for token, text in zip(asked, texts, strict=True) if _is_word(text)]
    back = tokenizer([f" {text}" for _, text in lettered], add_special_tokens=False, return_attention_mask=False)["input_ids"]
    kept = [pair for pair, tokens in zip(lettered, back, strict=True) if list(tokens) == [pair[0]]]
    if len(kept) < 2:
        raise UserError(f"{where}: its tokenizer has {len(kept)} whole words; choose a checkpoint whose tokens are words")
    return Vocabulary(dict(kept))


def require_mask(tokenizer: PreTrainedTokenizerBase, where: str) -> int:
    """The id of the mask token."""
    if tokenizer.mask_token_id is None:
        raise UserError(f"{where}: its tokenizer has no mask token; choose the checkpoint of a masked language model")
    return int(tokenizer.mask_token_id)


def locate(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> list[Located]:
    """The words of texts, as the tokenizer splits them, in the first `max_length` tokens.

    Numbers, punctuation, and words at an apostrophe (contractions) are no words here, nor is one that the last token cuts.
    """
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length, return_offsets_mapping=True)
    return [
        Located(text, np.array(tokens, np.int64), _words(text, encoded.word_ids(i), spans))
        for i, (text, tokens, spans) in enumerate(zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True))
    ]


def share_of_words(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> float:
    """The share of the texts' words that are one piece of several letters: only such a word's neighbours are words of its kind.

    Of English under its own tokenizer 0.85 to 0.95, of another language or script far less.
    """
    words = [(found, i) for found in locate(tokenizer, texts, max_length) for i in range(len(found.words))]
    known = [
        found.words[i].is_single and len(found.spelling(i)) > 1 and int(found.pieces(i)[0]) != tokenizer.unk_token_id
        for found, i in words
    ]
    return float(sum(known)) / max(1, len(known))


def _words(text: str, numbers: Sequence[int | None], spans: Sequence[tuple[int, int]]) -> tuple[Word, ...]:
    tokens: dict[int, list[int]] = {}
    for token, number in enumerate(numbers):
        if number is not None:
            tokens.setdefault(number, []).append(token)
    words: list[Word] = []
    last = next(reversed(tokens.values()), None)
    for pieces in tokens.values():
        start, stop = min(spans[token][0] for token in pieces), max(spans[token][1] for token in pieces)
        start += len(text[start:stop]) - len(text[start:stop].lstrip())
        around = text[max(start - 1, 0) : stop + 1]
        cut = pieces is last and text[stop : stop + 1].isalnum()
        if _is_word(text[start:stop]) and not cut and not any(mark in around for mark in APOSTROPHES):
            words.append(Word(start, stop, pieces[0], pieces[-1]))
    return tuple(words)


def _is_word(text: str) -> bool:
    return any(map(str.isalpha, text)) and len(text.split()) == 1
