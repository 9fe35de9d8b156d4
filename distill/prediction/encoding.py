"""Texts into tokens by the `tokenizers` library alone: the tokens that transformers' fast tokenizers make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json
from distill.data.overlap import question_share, usual_stride

NO_LIMIT = 10**9
"""From here on a tokenizer's `model_max_length` means that none is known."""
UNTYPED = ("DistilBert", "Roberta", "XLMRoberta", "Camembert")
"""How the names of tokenizers begin that make no token types."""
CONTEXT = 1
"""The context is the second text of the pair."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a row, or of a window of one."""

    row: int
    ids: Array
    """(tokens,) int64"""
    types: Array | None
    """(tokens,) int64: token types, where some row is a pair"""
    spans: Array
    """(tokens, 2) int64: the characters that each token covers, empty for special tokens; in windows −1 outside the context"""
    cut: bool
    """Whether the row, or of windows its question, was longer than the model takes."""


class Encoder:
    """A tokenizer and the length to which it cuts."""

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
        """A tokenizer with what tokenizer_config.json says of it."""
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = settings.get("split_special_tokens", False)
        self.mask_token: str | None = _content(settings.get("mask_token"))
        self.mask_id: int | None = self._id(self.mask_token)
        self.pad_id = self._id(_content(settings.get("pad_token"))) or 0
        self.eos_id = self._id(_content(settings.get("eos_token")))
        names = settings.get("model_input_names")
        untyped = str(settings.get("tokenizer_class")).startswith(UNTYPED)
        self.typed = "token_type_ids" in names if names else not untyped
        self.side = settings.get("truncation_side", "right")
        told = settings.get("model_max_length") or NO_LIMIT
        self.most: int | None = int(told) if told < NO_LIMIT else None
        """Tokens a row, special tokens included: as many as the rows had that the model was measured on; None if not known."""

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None], most: int, *, special: bool = True) -> list[Tokens]:
        """Tokenize texts, or pairs of texts, the longer one of a pair cut first; `special` tokens are added around them."""
        self.tokenizer.enable_truncation(most, strategy="longest_first", direction=self.side)
        inputs = [text if pair is None else (text, pair) for text, pair in zip(texts, pairs, strict=True)]
        typed = self.typed and any(pair is not None for pair in pairs)
        found = self.tokenizer.encode_batch(inputs, add_special_tokens=special)
        return [self._tokens(row, one, typed) for row, one in enumerate(found)]

    def windows(self, questions: Sequence[str], contexts: Sequence[str], most: int, stride: int | None = None) -> list[Tokens]:
        """Questions, each with as much of its context as there is room for, in as many overlapping windows as it takes.

        The windows are those of `encode_questions` (distill/preparation/windows.py), from which the model has learnt, if `stride`
        is its own: by how many tokens they overlap, where that is known and there is room for it. `cut` are those of a
        question that is longer than its share.
        """
        share, special = question_share(most), self.tokenizer.num_special_tokens_to_add(True)
        stride = usual_stride(most, special) if stride is None else min(stride, most - share - special - 1)
        if stride < 0:
            raise UserError(f"the model takes {most} tokens, which leaves no room for a question and its context")
        self.tokenizer.no_truncation()
        asked = [
            text[: min(one.offsets[share - 1][1], one.offsets[share][0])] if len(one) > share else text
            for text, one in zip(questions, self.tokenizer.encode_batch(questions, add_special_tokens=False), strict=True)
        ]
        self.tokenizer.enable_truncation(most, stride=stride, strategy="only_second", direction=self.side)
        encoded = self.tokenizer.encode_batch(list(zip(asked, contexts, strict=True)))
        return [
            replace(self._tokens(row, part, self.typed, window=True), cut=asked[row] != questions[row])
            for row, one in enumerate(encoded)
            for part in (one, *one.overflowing)
        ]

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self.tokenizer.token_to_id(token)

    def _tokens(self, row: int, one: Encoding, typed: bool, window: bool = False) -> Tokens:
        types, spans = np.array(one.type_ids, np.int64) if typed else None, np.array(one.offsets, np.int64).reshape(-1, 2)
        if window:
            spans[np.array([part != CONTEXT for part in one.sequence_ids], bool)] = -1
        return Tokens(row, np.array(one.ids, np.int64), types, spans, bool(one.overflowing))


def open_encoder(folder: Path) -> Encoder:
    """The tokenizer of a folder; one without tokenizer.json is read by transformers."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        from distill.data.tokenizers import load_tokenizer

        return encoder_of(load_tokenizer(folder))
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise UserError(f"{folder}: no usable tokenizer: {error}") from None
    return Encoder(tokenizer, read_json(folder / "tokenizer_config.json", "the tokenizer's settings, as transformers saves them"))


def encoder_of(tokenizer: Any) -> Encoder:
    """A fast tokenizer of transformers."""
    special = ("mask_token", "pad_token", "eos_token", "split_special_tokens")
    names = (*special, "model_input_names", "truncation_side", "model_max_length")
    return Encoder(tokenizer.backend_tokenizer, {name: getattr(tokenizer, name) for name in names})


def _content(token: Any) -> str | None:
    """A special token, as text or as transformers' older versions save it."""
    content: str | None = token["content"] if isinstance(token, dict) else token
    return content
