"""Rows of a causal language model: documents packed into blocks, or conversations of which the responses alone are learnt.

The label of a token is the token after it, where that one is to be predicted. Each row's example id hashes its tokens and the
places that have a label: there the teacher's states are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.columns import Column
from distill.data.dataset import UNLABELLED, example_id
from distill.data.long_arrays import counted, new_array
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, lengths_of
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import column_of, own_ids
from distill.preparation.conversations import ASSISTANT, USER, Turns, problem, rendered, turns_of


@dataclass(frozen=True)
class Tokenized:
    """A document or conversation as tokens."""

    ids: Array
    """(tokens,) int32"""
    learnt: Array
    """(tokens,) bool: which of them are to be predicted from those before."""
    ends: Array
    """(tokens,) int64: the bytes of its text up to the end of each token."""

    def part(self, start: int, stop: int) -> "Tokenized":
        """Some consecutive tokens."""
        return Tokenized(self.ids[start:stop], self.learnt[start:stop], self.ends[start:stop])

    @property
    def labels(self) -> Array:
        """(tokens,) int32: the next token where it is learnt; UNLABELLED elsewhere, and at the last."""
        following = np.where(self.learnt[1:], self.ids[1:], UNLABELLED)
        return np.append(following, UNLABELLED).astype(np.int32)

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text of what is predicted: all that is learnt but the first token, which has none before it."""
        return int((np.diff(self.ends) * self.learnt[1:]).sum())


def map_documents(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Texts, or conversations as lists of turns; an empty text and a broken conversation are bad rows."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    found = _documents(table, where, settings)
    for row, value in enumerate(found):
        if is_conversational(settings):
            if why := problem(value):
                bad.add(row, "broken conversation", f"{why}; mend or drop the row")
        elif value is not None and not isinstance(value, str):
            raise UserError(f"{where}: row {row}: column '{columns.text}' holds {value!r:.40}, expected text; mend or drop it")
        elif not (value or "").strip():
            bad.add(row, "empty text", f"column '{columns.text}' is empty; mend or drop the row")
    ids = own_ids(table, where, columns.id)
    ids = ids if is_conversational(settings) else None  # blocks are rows of several documents
    return Rows(found, None, new_array(len(found), np.int64), counted(len(found)), ids).without(bad.found)


def _documents(table: pa.Table, where: str, settings: DatasetSettings) -> Column:
    columns = settings.columns
    if columns.messages is not None:
        return column_of(table, where, columns.messages, "messages").map(turns_of)
    if columns.prompt is None or columns.response is None:
        return column_of(table, where, columns.text, "text")
    parts = (("prompt", columns.prompt), ("response", columns.response))
    both = Column.of_tuples([column_of(table, where, name, part) for part, name in parts])
    return both.map(lambda pair: [{"role": role, "content": said} for role, said in zip((USER, ASSISTANT), pair, strict=True)])


def is_conversational(settings: DatasetSettings) -> bool:
    """Whether rows are conversations."""
    return settings.columns.messages is not None or settings.columns.prompt is not None


def texts_of(rows: Rows) -> Column:
    """What each row says, to compare rows by: a text, all that was said, or ids of tokens."""
    said: Column = rows.texts.map(_said)
    return said


def _said(row: str | list[Any]) -> str:
    if isinstance(row, str):
        return row
    return " ".join(map(str, row)) if isinstance(row[0], int) else "\n".join(turn["content"] for turn in row)


def packer_of(tokenizer: PreTrainedTokenizerBase, settings: DatasetSettings) -> "Packer | None":
    """Documents are packed; conversations, and rows that are tokenized already, are not."""
    return (
        None if is_conversational(settings) or settings.columns.input_ids is not None else Packer(tokenizer, settings.max_length)
    )


class Packer:
    """One document after the other, each with the eos token behind it, cut every `length` tokens; the last block is shorter.

    No first token of a document is predicted, for it would be from the document before; all others are, a block's first one
    from the last token of the block before. A last block in which nothing is to be predicted (an eos token) is left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int) -> None:
        """Nothing is waiting to be cut."""
        self.tokenizer, self.length = tokenizer, length
        self.rest = Tokenized(*(np.zeros(0, kind) for kind in (np.int32, bool, np.int64)))

    def add(self, rows: Rows) -> Encoded:
        """The blocks that are full with these documents, and whose last token's next one is known."""
        texts = list(rows.texts)
        documents = _tokenized(self.tokenizer, texts, [0] * len(texts), True)
        counts = {"documents": len(documents), "bytes": sum(document.bytes for document in documents)}
        parts = [self.rest, *documents]
        self.rest = Tokenized(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "learnt", "ends")))
        return self._cut(max(0, len(self.rest.ids) - 1) // self.length * self.length, counts)

    def finish(self) -> Encoded:
        """The last block."""
        return self._cut(len(self.rest.ids), {})

    def _cut(self, stop: int, counts: dict[str, int]) -> Encoded:
        ids, labels = self.rest.ids, self.rest.labels
        self.rest = self.rest.part(stop, len(ids))
        blocks = [slice(start, min(start + self.length, stop)) for start in range(0, stop, self.length)]
        kept = [block for block in blocks if (labels[block] != UNLABELLED).any()]
        lost = stop - sum(block.stop - block.start for block in kept)
        return encoded_rows(
            [ids[block] for block in kept], [labels[block] for block in kept], counts | {"blocks": len(kept)}, lost
        )


def encode_conversations(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    """A row a conversation.

    One that is longer than `max_length` loses its beginning; and where its last response and a token before it are longer
    than that by themselves, the end of the response.
    """
    tokens, labels, lost, count = [], [], [], 0
    texts, spans = _rendered(tokenizer, list(rows.texts), rows.numbers, split)
    for number, whole in zip(rows.numbers, _tokenized(tokenizer, texts, spans, not tokenizer.chat_template), strict=True):
        start, stop = _kept(whole, settings.max_length)
        made = whole.part(start, stop)
        if not made.learnt[1:].any():
            raise UserError(f"{split}: row {number}: its response becomes no token; mend or drop the row")
        tokens.append(made.ids)
        labels.append(made.labels)
        lost.append(len(whole.ids) - len(made.ids))
        count += made.bytes
    encoded = encoded_rows(tokens, labels, {"conversations": len(rows), "bytes": count}, sum(lost))
    return replace(encoded, truncated_rows=int((np.array(lost) > 0).sum()))


def _kept(whole: Tokenized, length: int) -> tuple[int, int]:
    """The first token that is kept, and the one behind the last."""
    excess = len(whole.ids) - length
    if excess <= 0:
        return 0, len(whole.ids)
    before = np.flatnonzero(whole.learnt[1:] & ~whole.learnt[:-1])
    start = min(excess, int(before[-1]) if len(before) else 0)
    return start, start + length


def _rendered(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Turns], numbers: Array, split: str
) -> tuple[list[str], list[Any]]:
    """Each conversation as one text, and the characters that are learnt."""
    texts, spans = [], []
    for number, turns in zip(numbers.tolist(), conversations, strict=True):
        try:
            text, learnt = rendered(tokenizer, turns)
        except UserError as error:
            raise UserError(f"{split}: row {number}: {error}") from None
        texts.append(text)
        spans.append(learnt)
    return texts, spans


def _tokenized(tokenizer: PreTrainedTokenizerBase, texts: list[str], spans: list[Any], framed: bool) -> list[Tokenized]:
    """Tokens of texts; `spans` are the characters that are learnt, 0 for all but a text's first token.

    A token of which a part is learnt is: many tokenizers put the blank at the end of a prompt to the response's first word.

    If `framed`, texts get the tokenizer's special tokens and eos behind them, which is learnt.
    """
    eos = tokenizer.eos_token_id
    if framed and eos is None:
        raise UserError(
            "tokenizer: has no eos token to end a text with, which causal-lm needs; take one of a causal language model"
        )
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    encodings = backend.encode_batch(texts, add_special_tokens=framed)
    return [_one(each, text, span, eos if framed else None) for each, text, span in zip(encodings, texts, spans, strict=True)]


def _one(encoding: Encoding, text: str, spans: Any, eos: int | None) -> Tokenized:
    ids, places = np.array(encoding.ids, np.int32), np.array(encoding.offsets, np.int64).reshape(-1, 2)
    added = np.array([sequence is None for sequence in encoding.sequence_ids], bool)
    if eos is not None and not (len(ids) and ids[-1] == eos and added[-1]):
        ids, places = np.append(ids, np.int32(eos)), np.append(places, [[len(text)] * 2], axis=0)
        added = np.append(added, True)
    learnt = ~added
    if spans != 0:
        inside = [(places[:, 0] < stop) & ((places[:, 0] >= start) | (places[:, 1] > start)) for start, stop in spans]
        learnt &= np.logical_or.reduce(inside)
    learnt[:1] = False
    if eos is not None:
        learnt[-1] = len(ids) > 1
    sizes = np.concatenate([[0], np.cumsum([len(character.encode()) for character in text])])
    return Tokenized(ids, learnt, sizes[np.maximum.accumulate(np.where(added, 0, places[:, 1]))])


def encoded_rows(tokens: list[Array], labels: list[Array], counts: dict[str, Any], lost: int) -> Encoded:
    """Rows with the ids and counts of their predicted tokens; `lost` tokens are in none."""
    places = [np.flatnonzero(row != UNLABELLED) for row in labels]
    ids = [example_id(row, None, place) for row, place in zip(tokens, places, strict=True)]
    counts |= {"predicted_tokens": sum(map(len, places))}
    return Encoded({"input_ids": tokens}, lengths_of(tokens), truncated_tokens=lost, labels=labels, ids=ids, counts=counts)
