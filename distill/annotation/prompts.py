"""Rows as requests: the messages that a language model answers with the names of labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distill.annotation.forms import Form, Vote
from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED, Dataset
from distill.params.annotators import AnnotatorSettings

Texts = tuple[str, ...]
"""A text, or a pair of them."""
Message = dict[str, str]
Request = dict[str, Any]
"""The body of a request, without what a server may not take: see `extras`."""


def system_prompt(settings: AnnotatorSettings, form: Form) -> str:
    """The instruction, the labels with their descriptions, and the form of the answer."""
    described = settings.descriptions
    told = [f"- {label}: {described[label]}" if label in described else f"- {label}" for label in form.labels]
    return "\n".join([(settings.instruction or form.instruction).strip(), "", "Labels:", *told, "", form.answer_format])


def user_prompt(texts: Texts) -> str:
    """The row."""
    return texts[0] if len(texts) == 1 else "\n\n".join(f"Text {number}: {text}" for number, text in enumerate(texts, 1))


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


def opening_of(settings: AnnotatorSettings, form: Form, examples: Sequence[tuple[Texts, Vote]]) -> list[Message]:
    """The messages that all requests begin with, so that servers which keep prefixes read them once."""
    messages = [{"role": "system", "content": system_prompt(settings, form)}]
    for texts, vote in examples:
        messages += [{"role": "user", "content": user_prompt(texts)}, {"role": "assistant", "content": form.example_answer(vote)}]
    return messages


def extras(settings: AnnotatorSettings, form: Form) -> dict[str, dict[str, Any]]:
    """Fields that make answers better where a server takes them, by what they are for; the first is the first to go.

    Log-probabilities of a list's tokens are not those of its labels: they are asked for where one label is answered.
    """
    asks = settings.log_probabilities and not form.several
    asked = {"log-probabilities": {"logprobs": True, "top_logprobs": 20}} if asks else {}
    return {**asked, "a JSON schema": {"response_format": form.schema()}}


def rows_of(dataset: Dataset, split: str) -> list[Texts]:
    """The texts of each row."""
    columns = dataset.texts(split)
    return list(zip(*(columns[name] for name in ("text", "text_pair") if name in columns), strict=True))


def few_shot(dataset: Dataset, count: int, seed: int) -> list[tuple[Texts, Vote]]:
    """Labelled training rows, as even as can be over the labels, in an order that mixes them."""
    if not count:
        return []
    labels = dataset.rows("train").labels
    chosen = list(dict.fromkeys(_round_robin(_members(labels), np.random.default_rng(seed))))[:count]
    texts = rows_of(dataset, "train")
    return [(texts[row], _vote(labels[row], dataset.labels)) for row in chosen]


def _vote(label: Any, names: Sequence[str]) -> Vote:
    """Of a class, or of labels, (labels,), 1 where one applies."""
    return names[int(label)] if np.ndim(label) == 0 else tuple(names[place] for place in np.flatnonzero(label == 1).tolist())


def _members(labels: Array) -> dict[int, Array]:
    """The rows of each class, or of each label that applies to any, and those to which none applies."""
    if labels.ndim == 1:
        return {int(label): np.flatnonzero(labels == label) for label in np.unique(labels[labels != UNLABELLED])}
    found = {place: np.flatnonzero(labels[:, place] == 1) for place in range(labels.shape[1])}
    found[labels.shape[1]] = np.flatnonzero((labels == 0).all(axis=1))
    return {place: rows for place, rows in found.items() if len(rows)}


def _round_robin(members: Mapping[int, Array], random: np.random.Generator) -> Iterator[int]:
    """A row of each label, then another of each, and so on; a row of several labels comes more than once."""
    waiting = {label: random.permutation(rows).tolist() for label, rows in members.items()}
    while any(waiting.values()):
        for label in random.permutation(list(waiting)).tolist():
            if waiting[label]:
                yield waiting[label].pop()
