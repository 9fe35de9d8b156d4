"""What a model says of rows, as people read it."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from seqeval.metrics.sequence_labeling import get_entities
from torch import Tensor

from distill.alignment import first_tokens
from distill.prediction.model import Model, rows_of
from distill.prediction.rows import Row
from distill.prepared import UNLABELLED
from distill.tasks.base import Mask, log_softmax
from distill.tasks.masked import MaskedLm
from distill.tasks.span import best_stretch
from distill.windows import encode_questions

Answer = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]
FILLS = 5
WORD = re.compile(r"\w+|[^\w\s]")
"""Words and punctuation marks, as data sets of entities have them."""


def answers(model: Model, rows: Sequence[Row]) -> list[Answer]:
    """One answer a row of `row_of`; `truncated` is there, and true, if the model saw the beginning of the text alone.

    Classes: `label`, `probability`. Numbers: `score`. Tags: `entities`, each with `type`, `text`, `start` and `end` (characters;
    of `tokens` joined by blanks) and `probability`. Questions: `answer`, `start`, `end`, `probability`, and `no_answer`, the
    probability that the context has none. Masks: `fills`, for each mask the likeliest tokens with their `probability`.
    """
    return ANSWERS[model.task.name](model, rows)


def _classes(model: Model, rows: Sequence[Row]) -> list[Answer]:
    logits, cut = _of_texts(model, rows)
    chances = np.exp(log_softmax(logits))
    found = [{"label": model.labels[row.argmax()], "probability": _round(row.max())} for row in chances]
    return _with_cuts(found, cut)


def _numbers(model: Model, rows: Sequence[Row]) -> list[Answer]:
    logits, cut = _of_texts(model, rows)
    return _with_cuts([{"score": _round(row[0])} for row in logits], cut)


def _of_texts(model: Model, rows: Sequence[Row]) -> tuple[Array, list[bool]]:
    encoded = model.encode([row["text"] for row in rows], [row["text_pair"] for row in rows])
    return model.logits(encoded.tokens), encoded.cut


def _entities(model: Model, rows: Sequence[Row]) -> list[Answer]:
    texts = [" ".join(row["tokens"]) if "tokens" in row else row["text"] for row in rows]
    places = [_words(row) for row in rows]
    words = [[text[start:end] for start, end in own] for text, own in zip(texts, places, strict=True)]
    encoded = model.encode([" ".join(own) for own in words], [None] * len(rows))
    chances = np.split(np.exp(log_softmax(model.logits(encoded.tokens))), encoded.tokens.offsets[1:-1])
    found = []
    for text, own, spans, row, where in zip(texts, words, encoded.spans, chances, places, strict=True):
        which, first = first_tokens(own, spans)
        tags, sure = ["O"] * len(own), np.zeros(len(own))
        for word, position in zip(which.tolist(), first.tolist(), strict=True):
            tags[word], sure[word] = model.labels[row[position].argmax()], row[position].max()
        found.append({"entities": [_entity(text, where, sure, *entity) for entity in get_entities(tags)]})
    return _with_cuts(found, encoded.cut)


def _words(row: Row) -> list[tuple[int, int]]:
    """Where each word of a row begins and ends."""
    if "tokens" not in row:
        return [match.span() for match in WORD.finditer(row["text"])]
    ends = np.cumsum([len(word) + 1 for word in row["tokens"]]) - 1
    return [(int(end) - len(word), int(end)) for word, end in zip(row["tokens"], ends, strict=True)]


def _entity(text: str, places: list[tuple[int, int]], sure: Array, kind: str, first: int, last: int) -> Answer:
    start, end = places[first][0], places[last][1]
    chance = _round(sure[first : last + 1].mean())
    return {"type": kind, "text": text[start:end], "start": start, "end": end, "probability": chance}


def _stretches(model: Model, rows: Sequence[Row]) -> list[Answer]:
    questions, contexts = ([row[name] for row in rows] for name in ("question", "context"))
    windows = encode_questions(model.tokenizer, questions, contexts, np.full(len(rows), None), model.most, None, "").columns
    tokens = rows_of(windows["input_ids"], windows.get("token_type_ids"), model.pad_token)
    logits = np.split(model.logits(tokens).astype(np.float64), tokens.offsets[1:-1])
    found: list[tuple[float, Answer]] = [(-np.inf, {"answer": "", "start": 0, "end": 0, "probability": 0.0}) for _ in rows]
    nothing = np.ones(len(rows))
    for number, spans, own in zip(windows["example"], windows["spans"], logits, strict=True):
        chances = np.exp(log_softmax(own.T))
        nothing[number] = min(nothing[number], chances[:, 0].prod())
        places = np.flatnonzero(spans[:, 0] >= 0)
        score, first, last = best_stretch(own[places, 0], own[places, 1])
        if score > found[number][0]:
            start, end = int(spans[places[first], 0]), int(spans[places[last], 1])
            chance = _round(chances[0, places[first]] * chances[1, places[last]])
            answer = {"answer": contexts[number][start:end], "start": start, "end": end, "probability": chance}
            found[number] = (score, answer)
    return [{**answer, "no_answer": _round(none)} for (_, answer), none in zip(found, nothing, strict=True)]


class _Fills(MaskedLm):
    """Keeps the likeliest tokens at each mask: (positions, 2·FILLS) probabilities, then ids."""

    def kept(
        self, vectors: Float[Tensor, "vectors classes"], labels: Num[Tensor, "batch seq"], mask: Mask
    ) -> Float[Tensor, "vectors kept"]:
        chances, ids = vectors.float().softmax(dim=-1).topk(FILLS)
        return torch.cat([chances, ids.float()], dim=1)


def _fills(model: Model, rows: Sequence[Row]) -> list[Answer]:
    encoded = model.encode([row["text"] for row in rows], [None] * len(rows))
    tokens = encoded.tokens
    masked = tokens.tokens == model.tokenizer.mask_token_id
    ids = np.split(tokens.tokens, tokens.offsets[1:-1])
    kept = model.logits(rows_of(ids, None, model.pad_token, np.where(masked, 0, UNLABELLED)), _Fills())
    counts = np.add.reduceat(masked, tokens.offsets[:-1], dtype=np.int64)
    parts = np.split(kept, np.cumsum(counts)[:-1])
    return _with_cuts([{"fills": [_likeliest(model, line) for line in part]} for part in parts], encoded.cut)


def _likeliest(model: Model, line: Array) -> list[Answer]:
    names = model.tokenizer.convert_ids_to_tokens(line[FILLS:].astype(int).tolist())
    return [{"token": name, "probability": _round(chance)} for name, chance in zip(names, line[:FILLS], strict=True)]


def _with_cuts(found: list[Answer], cut: list[bool]) -> list[Answer]:
    return [{**answer, "truncated": True} if shortened else answer for answer, shortened in zip(found, cut, strict=True)]


def _round(value: Any) -> float:
    return round(float(value), 6)


ANSWERS: dict[str, Callable[[Model, Sequence[Row]], list[Answer]]] = {
    "sequence-classification": _classes,
    "regression": _numbers,
    "token-classification": _entities,
    "question-answering": _stretches,
    "masked-lm": _fills,
}
