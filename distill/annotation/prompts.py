"""Rows as requests: the messages that a language model answers with the name of a label."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED, Dataset
from distill.params.annotators import AnnotatorSettings

Texts = tuple[str, ...]
"""A text, or a pair of them."""
Message = dict[str, str]
Request = dict[str, Any]
"""The body of a request, without what a server may not take: see `extras`."""


def system_prompt(settings: AnnotatorSettings, labels: Sequence[str]) -> str:
    """The instruction, the labels with their descriptions, and the form of the answer."""
    told = [f"- {label}: {settings.descriptions[label]}" if label in settings.descriptions else f"- {label}" for label in labels]
    form = 'Answer with JSON alone: {"label": "…"}, with one of these labels, as it is written.'
    return "\n".join([settings.instruction.strip(), "", "Labels:", *told, "", form])


def user_prompt(texts: Texts) -> str:
    """The row."""
    return texts[0] if len(texts) == 1 else "\n\n".join(f"Text {number}: {text}" for number, text in enumerate(texts, 1))


def answer(label: str) -> str:
    """What a model is expected to say, to the letter: examples show it."""
    return json.dumps({"label": label}, ensure_ascii=False)


def build_request(settings: AnnotatorSettings, opening: Sequence[Message], texts: Texts, vote: int) -> Request:
    """One of the samples of a row's answer; a single one is the likeliest answer."""
    return {
        "model": settings.model,
        "messages": [*opening, {"role": "user", "content": user_prompt(texts)}],
        "temperature": 1.0 if settings.votes > 1 else 0.0,
        "seed": vote,
        "max_tokens": settings.max_tokens,
        **settings.body,
    }


def opening_of(settings: AnnotatorSettings, labels: Sequence[str], examples: Sequence[tuple[Texts, str]]) -> list[Message]:
    """The messages that all requests begin with, so that servers which keep prefixes read them once."""
    messages = [{"role": "system", "content": system_prompt(settings, labels)}]
    for texts, label in examples:
        messages += [{"role": "user", "content": user_prompt(texts)}, {"role": "assistant", "content": answer(label)}]
    return messages


def extras(settings: AnnotatorSettings, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Fields that make answers better where a server takes them, by what they are for; the first is the first to go."""
    label = {"type": "string", "enum": list(labels)}
    schema = {"type": "object", "properties": {"label": label}, "required": ["label"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": schema}}
    asked = {"log-probabilities": {"logprobs": True, "top_logprobs": 20}} if settings.log_probabilities else {}
    return {**asked, "a JSON schema": {"response_format": form}}


def rows_of(dataset: Dataset, split: str) -> list[Texts]:
    """The texts of each row."""
    columns = dataset.texts(split)
    return list(zip(*(columns[name] for name in ("text", "text_pair") if name in columns), strict=True))


def few_shot(dataset: Dataset, count: int, seed: int) -> list[tuple[Texts, str]]:
    """Labelled training rows, as even as can be over the classes, in an order that mixes them."""
    if not count:
        return []
    labels = dataset.rows("train").labels
    chosen = [int(row) for row in _round_robin(labels, np.random.default_rng(seed))][:count]
    texts = rows_of(dataset, "train")
    return [(texts[row], dataset.labels[labels[row]]) for row in chosen]


def _round_robin(labels: Array, random: np.random.Generator) -> Iterator[int]:
    """A row of each class, then another of each, and so on."""
    waiting: Mapping[int, list[int]] = {
        int(label): random.permutation(np.flatnonzero(labels == label)).tolist()
        for label in np.unique(labels[labels != UNLABELLED])
    }
    while any(waiting.values()):
        for label in random.permutation(list(waiting)).tolist():
            if waiting[label]:
                yield waiting[label].pop()
