"""Questions and long contexts into overlapping windows, each of which may hold the answer (Devlin 2019, §4.2)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.overlap import question_share, usual_stride
from distill.data.rows import Answers, Rows
from distill.data.tokenizers import Encoded, lengths_of


def encode_questions(tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int, stride: int | None = None) -> Encoded:
    """Tokenize the question first, then as much of its context as there is room for, in as many windows as it takes.

    Windows overlap by `stride` tokens, by default as many as a question may have: longer ones than a third of `max_length` are
    truncated, and counted. Of several answers the first that is whole in a
    window is the label. `columns` has `example` (the question's place among these rows) and `spans` (the characters of the
    context, a pair a token) too; `labels` are (windows, 2) int64. `counts` has `lost_answers`: questions none of whose answers
    is whole in a window.
    """
    questions, contexts = list(rows.texts), list(rows.texts_pair or ())
    share, special = question_share(max_length), tokenizer.num_special_tokens_to_add(pair=True)
    room = max_length - share - special
    stride = usual_stride(max_length, special) if stride is None else stride
    if not 0 <= stride < room:
        raise UserError(
            f"stride: {stride} tokens of windows of {max_length}, a question may take {share}, special tokens {special}; "
            f"expected less than {room}: lower stride or raise max_length"
        )
    asked, lost = _shortened(tokenizer, questions, share)
    columns = _windows(tokenizer, asked, contexts, max_length, stride)
    labels = np.zeros((len(columns["spans"]), 2), np.int64)
    windows, answers = defaultdict(list), list(rows.labels)
    for window, row in enumerate(columns["example"]):
        windows[row].append(window)
    for row, own in windows.items():
        labels[own] = places([columns["spans"][window] for window in own], answers[row])
    return Encoded(
        {name: rows for name, rows in columns.items() if rows},
        lengths_of(columns["input_ids"]),
        int((lost > 0).sum()),
        int(lost.sum()),
        labels=labels,
        counts=_counts(answers, labels, np.array(columns["example"], np.int64)),
    )


def places(windows: Sequence[Array], answers: Answers | None) -> Array:
    """The first and last token of the answer in each window of a context, (0, 0), [CLS], where it is not whole; (windows, 2).

    UNLABELLED for None, and where no answer is whole in any window: such a question has an answer, and is not trained as if it
    had none. Each of `windows`: (tokens, 2) int spans, (−1, −1) outside the context.
    """
    if answers is not None and not answers.texts:
        return np.zeros((len(windows), 2), np.int64)
    whole = np.concatenate(windows)
    for text, start in zip(answers.texts, answers.starts, strict=True) if answers else ():
        edges = _snapped(whole, start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
        found = np.array([_place(spans, *edges) for spans in windows], np.int64)
        if found.any():
            return found
    return np.full((len(windows), 2), UNLABELLED, np.int64)


def _snapped(spans: Array, start: int, end: int) -> tuple[int, int]:
    """From the first to the last character that the tokenizer keeps: those at the edges that it deletes are in no window."""
    covered = spans[_covering(spans, start, end)]
    return (max(start, int(covered[:, 0].min())), min(end, int(covered[:, 1].max()))) if len(covered) else (end, end)


def _place(spans: Array, start: int, end: int) -> tuple[int, int]:
    covering = _covering(spans, start, end)
    if len(covering) == 0 or spans[covering[0], 0] > start or spans[covering[-1], 1] < end:
        return 0, 0
    return int(covering[0]), int(covering[-1])


def _covering(spans: Array, start: int, end: int) -> Array:
    return np.flatnonzero((spans[:, 1] > spans[:, 0]) & (spans[:, 0] < end) & (spans[:, 1] > start))


def _shortened(tokenizer: PreTrainedTokenizerBase, questions: list[str], most: int) -> tuple[list[str], Array]:
    """Questions of at most so many tokens, and how many each lost; a character of several tokens is kept whole or not at all."""
    whole = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    lost = np.maximum(lengths_of(whole["input_ids"]) - most, 0)
    spans: Sequence[Any] = whole["offset_mapping"]
    return [text[: min(spans[i][most - 1][1], spans[i][most][0])] if lost[i] else text for i, text in enumerate(questions)], lost


def _windows(
    tokenizer: PreTrainedTokenizerBase, questions: list[str], contexts: list[str], max_length: int, stride: int
) -> dict[str, list[Any]]:
    """The columns of some questions' windows, arrays in place of lists, which take much more memory."""
    cut = tokenizer(
        questions,
        contexts,
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    inside = [np.array([text == 1 for text in cut.sequence_ids(i)], bool) for i in range(len(cut["input_ids"]))]
    return {
        "input_ids": [np.array(ids, np.int32) for ids in cut["input_ids"]],
        "token_type_ids": [np.array(types, np.int8) for types in cut.get("token_type_ids", [])],
        "example": list(cut["overflow_to_sample_mapping"]),
        "spans": [
            np.where(context[:, None], np.array(offsets, np.int32).reshape(-1, 2), np.int32(-1))
            for context, offsets in zip(inside, cut["offset_mapping"], strict=True)
        ],
    }


def _counts(answers: Sequence[Answers | None], labels: Array, examples: Array) -> dict[str, Any]:
    answerable = {i for i, given in enumerate(answers) if given is not None and given.texts}
    found = set(examples[labels[:, 1] > 0].tolist())
    return {
        "questions": len(answers),
        "unanswerable": sum(given is not None and not given.texts for given in answers),
        "lost_answers": len(answerable - found),
    }
