"""What a model says of rows, as people read it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.numeric import log_sigmoid, log_softmax
from distill.data.splitters import split
from distill.data.tag_schemes import to_bio
from distill.data.text_spans import best_span_in_window, first_tokens, span_of
from distill.params.task_specs import names_entities
from distill.prediction.encoding import NO_LIMIT, Tokens
from distill.prediction.model import Model
from distill.prediction.rows import Row

Answer = dict[str, Any]
FILLS = 5
NEW_TOKENS = 32
"""The most that a continuation has."""


def answers(model: Model, rows: Sequence[Row]) -> list[Answer]:
    """One answer a row of `row_of`; `truncated` is there, and true, if the model saw the beginning alone of the text or question.

    Classes: `label`, `probability`. Where an answer has several parts, `confidence` is how sure the model is of all of it, as
    cascades compare it: of several labels the product of the probabilities of all decisions, of words the least, of passages the
    share of the first among them. Several labels: `labels`, those that apply, and the `probabilities` of all. Numbers: `score`.
    A passage: `score`, the log-odds that it is relevant, and its `probability`. Several: `ranking`, the best first, each with
    `passage`, its place in the row's list from 0, `score` and `probability`.
    Tags: `entities`, each with `type`, `text`, `start` and `end` (characters; of `tokens` joined by blanks) and `probability`;
    or, where they name no entities, `tags`: a `tag` for each word, null for one that the model does not see. Questions:
    `answer`, `start`, `end`, `probability`, `no_answer`, the probability that the context has none, and `answered`, whether the
    answer is likelier than none. Masks: `fills`, for each mask the likeliest tokens with their `probability`. Sentence
    embedding: `embedding`, the text's vector. Texts to go on with: the `continuation`, the likeliest token after the
    other, and whether it is `finished`; `truncated` is there if the model saw the end of the text alone.
    """
    return ANSWERS[model.task](model, rows)


def _classes(model: Model, rows: Sequence[Row]) -> list[Answer]:
    logits, encoded = _of_texts(model, rows)
    chances = np.exp(log_softmax(np.stack(logits)))
    answered = [{"label": model.labels[row.argmax()], "probability": _round(row.max())} for row in chances]
    return _with_cuts(answered, encoded)


def _labels(model: Model, rows: Sequence[Row]) -> list[Answer]:
    logits, encoded = _of_texts(model, rows)
    chances = np.exp(log_sigmoid(np.stack(logits)))
    answered = [
        {
            "labels": [name for name, chance, least in zip(model.labels, row, model.thresholds, strict=True) if chance >= least],
            "probabilities": dict(zip(model.labels, map(_round, row), strict=True)),
            "confidence": _round(np.where(row >= model.thresholds, row, 1 - row).prod()),
        }
        for row in chances
    ]
    return _with_cuts(answered, encoded)


def _numbers(model: Model, rows: Sequence[Row]) -> list[Answer]:
    logits, encoded = _of_texts(model, rows)
    return _with_cuts([{"score": float(f"{row[0]:.7g}")} for row in logits], encoded)  # all that fp32 has, however small


def _vectors(model: Model, rows: Sequence[Row]) -> list[Answer]:
    encoded = model.encode([row["text"] for row in rows], [None] * len(rows))
    return _with_cuts([{"embedding": list(map(_round, vector))} for vector in model.logits(encoded)], encoded)


def _rankings(model: Model, rows: Sequence[Row]) -> list[Answer]:
    passages = [row.get("passages") or [row["passage"]] for row in rows]
    queries = [row["query"] for row, own in zip(rows, passages, strict=True) for _ in own]
    encoded = model.encode(queries, list(itertools.chain.from_iterable(passages)))
    scored = iter(_with_cuts([_relevance(row[0]) for row in model.logits(encoded)], encoded))
    answered: list[Answer] = []
    for row, own in zip(rows, passages, strict=True):
        found = [next(scored) for _ in own]
        if "passages" not in row:
            answered.append(found[0])
            continue
        order = sorted(range(len(own)), key=lambda place: -found[place]["score"])
        sure = np.exp(log_softmax(np.array([[passage["score"] for passage in found]]))).max()
        answered.append({"ranking": [{"passage": place, **found[place]} for place in order], "confidence": _round(sure)})
    return answered


def _relevance(score: Any) -> Answer:
    return {"score": _round(score), "probability": _round(np.exp(log_sigmoid(np.asarray(score))))}


def _of_texts(model: Model, rows: Sequence[Row]) -> tuple[list[Array], list[Tokens]]:
    encoded = model.encode([row["text"] for row in rows], [row["text_pair"] for row in rows])
    return model.logits(encoded), encoded


def _entities(model: Model, rows: Sequence[Row]) -> list[Answer]:
    texts = [" ".join(row["tokens"]) if "tokens" in row else row["text"] for row in rows]
    places = [_words(row, model.splitter) for row in rows]
    words = [[text[start:end] for start, end in part] for text, part in zip(texts, places, strict=True)]
    encoded = model.encode([" ".join(part) for part in words], [None] * len(rows))
    answered = []
    for row, logits in zip(encoded, model.logits(encoded), strict=True):
        chances = np.exp(log_softmax(logits))
        tags, sure = ["O"] * len(words[row.row]), np.zeros(len(words[row.row]))
        for word, position in zip(*(part.tolist() for part in first_tokens(words[row.row], row.spans)), strict=True):
            tags[word], sure[word] = model.labels[chances[position].argmax()], chances[position].max()
        text, where, least = texts[row.row], places[row.row], {"confidence": _round(sure[sure > 0].min(initial=1.0))}
        if not names_entities(model.labels):
            answered.append({"tags": [_word(text, where, sure, tags, place) for place in range(len(tags))], **least})
            continue
        answered.append({"entities": [_entity(text, where, sure, *entity) for entity in entities(tags)], **least})
    return _with_cuts(answered, encoded)


def entities(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Type, first and last word of each entity, as seqeval's `get_entities` finds them in tags of IOB; of other schemes too."""
    start, before = 0, "O"
    for place, tag in enumerate([*to_bio(tags), "O"]):
        if tag[0] in "OB":
            if before[0] != "O":
                yield before[2:], start, place - 1
            start = place
        before = tag


def _words(row: Row, splitter: str | None) -> list[tuple[int, int]]:
    """Where each word of a row begins and ends."""
    if "tokens" not in row:
        if splitter is None:
            raise ValueError("how the model's data has words in a text is not known; give `tokens`")
        return split(row["text"], splitter)
    ends = np.cumsum([len(word) + 1 for word in row["tokens"]]) - 1
    return [(int(end) - len(word), int(end)) for word, end in zip(row["tokens"], ends, strict=True)]


def _word(text: str, places: list[tuple[int, int]], sure: Array, tags: Sequence[str], place: int) -> Answer:
    start, end = places[place]
    return {
        "tag": tags[place] if sure[place] else None,
        "text": text[start:end],
        "start": start,
        "end": end,
        "probability": _round(sure[place]),
    }


def _entity(text: str, places: list[tuple[int, int]], sure: Array, kind: str, first: int, last: int) -> Answer:
    start, end = places[first][0], places[last][1]
    chance = _round(sure[first : last + 1].mean())
    return {"type": kind, "text": text[start:end], "start": start, "end": end, "probability": chance}


def _spans(model: Model, rows: Sequence[Row]) -> list[Answer]:
    questions, contexts = ([row[name] for row in rows] for name in ("question", "context"))
    windows = model.encoder.windows(questions, contexts, model.most, model.stride)
    best: list[tuple[float, Answer]] = [(-np.inf, {"answer": "", "start": 0, "end": 0, "probability": 0.0}) for _ in rows]
    nothing = [(np.inf, 0.0)] * len(rows)
    for window, logits in zip(windows, model.logits(windows), strict=True):
        chances = np.exp(log_softmax(logits.T))
        nothing[window.row] = min(nothing[window.row], (float(logits[0].astype(np.float64).sum()), float(chances[:, 0].prod())))
        score, first, last = best_span_in_window(logits.astype(np.float64), window.spans)
        if score > best[window.row][0]:
            start, end = span_of(contexts[window.row], window.spans, first, last)
            chance = _round(chances[0, first] * chances[1, last])
            answer = {"answer": contexts[window.row][start:end], "start": start, "end": end, "probability": chance}
            best[window.row] = (score, answer)
    answered = [  # by scores: probabilities of two windows do not compare
        {**answer, "no_answer": _round(chance), "answered": score >= none}
        for (score, answer), (none, chance) in zip(best, nothing, strict=True)
    ]
    return _with_cuts(answered, list({window.row: window for window in windows}.values()))


def _fills(model: Model, rows: Sequence[Row]) -> list[Answer]:
    encoded = model.encode([row["text"] for row in rows], [None] * len(rows))
    name = model.encoder.tokenizer.id_to_token
    answered = [
        {"fills": [[{"token": name(int(token)), "probability": _round(chance)} for token, chance in mask] for mask in masks]}
        for masks in model.logits(encoded, _likeliest)
    ]
    return _with_cuts(answered, encoded)


def _continuations(model: Model, rows: Sequence[Row]) -> list[Answer]:
    eos, encode = model.encoder.eos_id, model.encoder.encode
    encoded = [encode([row["text"]], [None], NO_LIMIT, special=row.get("special", True))[0] for row in rows]
    ids = [row.ids[: len(row.ids) - bool(len(row.ids) and row.ids[-1] == eos)] for row in encoded]  # some tokenizers end texts
    starts, going = [len(row) for row in ids], [len(row) > 0 for row in ids]
    if not all(going):
        raise UserError("a text becomes no token, and the model's tokenizer adds none; drop such texts")
    for _ in range(NEW_TOKENS):
        left = [place for place, goes in enumerate(going) if goes]
        seen = [replace(encoded[place], ids=ids[place][-model.most :]) for place in left]
        for place, token in zip(left, model.logits(seen, _likeliest_next), strict=True):
            ids[place] = np.append(ids[place], int(token))
            going[place] = int(token) not in model.ends
        if not any(going):
            break
    return [
        {
            "continuation": model.encoder.tokenizer.decode(row[start:].tolist()),
            "finished": not goes,
            **({"truncated": True} if start > model.most else {}),
        }
        for row, start, goes in zip(ids, starts, going, strict=True)
    ]


def _likeliest_next(logits: Array) -> Array:
    return np.asarray(logits[-1].argmax())


def _likeliest(logits: Array) -> Array:
    """The likeliest tokens at each mask: (masks, FILLS, 2), id and probability."""
    ids = np.argpartition(-logits, FILLS - 1, axis=1)[:, :FILLS]
    ids = np.take_along_axis(ids, np.argsort(-np.take_along_axis(logits, ids, axis=1), axis=1, kind="stable"), axis=1)
    return np.stack([ids, np.take_along_axis(np.exp(log_softmax(logits)), ids, axis=1)], axis=2)


def _with_cuts(answered: list[Answer], encoded: Sequence[Tokens]) -> list[Answer]:
    return [{**answer, "truncated": True} if row.cut else answer for answer, row in zip(answered, encoded, strict=True)]


def _round(value: Any) -> float:
    return float(f"{value:.7g}")  # a product over many labels is small, and still compared with a threshold


ANSWERS: dict[str, Callable[[Model, Sequence[Row]], list[Answer]]] = {
    "sequence-classification": _classes,
    "multi-label": _labels,
    "regression": _numbers,
    "token-classification": _entities,
    "question-answering": _spans,
    "masked-lm": _fills,
    "sentence-embedding": _vectors,
    "ranking": _rankings,
    "causal-lm": _continuations,
}
