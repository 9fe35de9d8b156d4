"""Tokenizers: loading, a fingerprint of what one does, and texts to ids of unequal length."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Encoding
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.locations import load_or_explain

PADDING = ("eos_token", "sep_token", "unk_token")
"""What stands in for a padding token that a tokenizer lacks: the attention mask hides it all the same."""


@dataclass(frozen=True)
class Encoded:
    """Some rows' tokens, and what else is known once there are tokens."""

    columns: dict[str, list[Any]]
    """`input_ids`, and `token_type_ids` for pairs whose tokenizer tells them apart; `example` and `spans` for windows."""
    lengths: Array
    truncated_rows: int = 0
    truncated_tokens: int = 0
    labels: Array | list[Any] | None = None
    """Those of tokens or windows; those of whole rows are not changed by tokens."""
    ids: list[bytes] | None = None
    """Example ids, if the tokens alone do not give them."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What is worth telling of this task."""


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int) -> Encoded:
    """Tokenize some rows with special tokens, the longer text of a pair truncated first."""
    encodings, lost = tokenize_truncated(tokenizer, texts, pairs, max_length)
    columns: dict[str, list[Any]] = {"input_ids": [row.ids for row in encodings]}
    if pairs is not None and "token_type_ids" in tokenizer.model_input_names:
        columns["token_type_ids"] = [row.type_ids for row in encodings]
    columns = {name: rows for name, rows in columns.items() if rows}
    return Encoded(columns, lengths_of(columns.get("input_ids", [])), int((lost > 0).sum()), int(lost.sum()))


def tokenize_truncated(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> tuple[list[Encoding], Array]:
    """What the tokenizer makes of rows with `truncation=True`, and how many tokens each row lost: each text is tokenized once."""
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    processor, backend.post_processor = backend.post_processor, None  # it would trim RoBERTa's offsets twice
    try:
        parts = [backend.encode_batch(list(part), add_special_tokens=False) for part in (texts, pairs) if part is not None]
    finally:
        backend.post_processor = processor
    backend.enable_truncation(max_length, strategy="longest_first", direction=tokenizer.truncation_side)
    encodings = [backend.post_process(*row) for row in zip(*parts, strict=True)]
    backend.no_truncation()
    special = tokenizer.num_special_tokens_to_add(pair=pairs is not None)
    return encodings, sum(map(lengths_of, parts), special - lengths_of(encodings))


def lengths_of(rows: Sequence[Any]) -> Array:
    """(rows,) int64"""
    return np.array([len(row) for row in rows], np.int64)


def load_tokenizer(place: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A fast tokenizer, from a folder or a hub name."""

    def load() -> PreTrainedTokenizerBase:
        return cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(place, revision=revision))

    pieces = [] if Path(place, "tokenizer.json").exists() else sorted(file.name for file in Path(place).glob("*.model"))
    if pieces and find_spec("sentencepiece") is None:
        raise UserError(
            f"{place}: has its tokenizer as {pieces[0]} alone; `pip install sentencepiece protobuf`, or add its tokenizer.json"
        )
    tokenizer = load_or_explain(place, "tokenizer", load)
    if not tokenizer.is_fast:
        raise UserError(f"{place}: has no fast tokenizer (tokenizer.json); convert it with transformers and save it again")
    if tokenizer.pad_token is None:
        stands_in = next((token for name in PADDING if (token := getattr(tokenizer, name)) is not None), None)
        if stands_in is None:
            raise UserError(f"{place}: its tokenizer has no token to pad with; add `pad_token` to its tokenizer_config.json")
        tokenizer.pad_token = stands_in
    return tokenizer


def decoded_parts(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> list[str]:
    """The text, or those of a pair, that tokens are of, without the special tokens that frame them; blanks are single."""
    frame = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    parts = [list(part) for framing, part in itertools.groupby(tokens, frame.__contains__) if not framing]
    return [" ".join(str(tokenizer.decode(part)).split()) for part in parts]


def vocabulary_size(tokenizer: PreTrainedTokenizerBase) -> int:
    """The highest id + 1: a vocabulary with gaps has fewer entries."""
    return int(max(tokenizer.get_vocab().values())) + 1


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of what a tokenizer does: its pipeline and vocabulary, without truncation and padding."""
    pipeline = json.loads(tokenizer.backend_tokenizer.to_str())
    pipeline["truncation"] = pipeline["padding"] = None
    return hashlib.sha256(json.dumps(pipeline, sort_keys=True).encode()).hexdigest()
