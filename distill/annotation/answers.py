"""What a language model has answered, as a vote or as a distribution over labels; an answer of another form is none."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill.annotation.forms import Form, Vote

Distribution = dict[str, float]
"""Log-probabilities of the labels that they are known of."""


def vote_of(response: Mapping[str, Any], form: Form) -> tuple[Vote | None, str]:
    """What an answer names, or None; and why it names nothing, in a few words that can be counted."""
    choice = (response.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content = message.get("content")
    if message.get("refusal"):
        return None, "refused to answer"
    if not isinstance(content, str) or not content.strip():
        return None, "empty answer"
    try:
        given = json.loads(_without_fence(content))
    except (ValueError, RecursionError):
        bare = content.strip() if not form.several and content.strip() in form.labels else None
        return (bare, "") if bare is not None else (None, _not_json(choice))
    return form.vote(given)


def _not_json(choice: Mapping[str, Any]) -> str:
    return "answer cut at max_tokens" if choice.get("finish_reason") == "length" else "no JSON, and no label"


def _without_fence(content: str) -> str:
    """JSON that stands between ``` lines, as many models write it."""
    lines = content.strip().splitlines()
    return "\n".join(lines[1:-1]) if len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```" else content


def distribution(response: Mapping[str, Any], label: str, labels: Sequence[str]) -> Distribution | None:
    """Log-probabilities of labels, given that the answer has its form, from those of the tokens that spell the chosen one.

    At each of these tokens, an alternative that one other label alone begins with gives that label its probability times that of
    the tokens before. What leads to no label, or to several, is not known, and is left to whoever reads the table. None if the
    response has no log-probabilities, or its tokens do not spell the answer.
    """
    choice = (response.get("choices") or [{}])[0]
    tokens = ((choice.get("logprobs") or {}).get("content")) or []
    text = "".join(str(token.get("token", "")) for token in tokens)
    start = _start_of(text, label)
    if start is None or any(mark in name for name in labels for mark in '"\\'):
        return None
    found: Distribution = {}
    place, before = 0, 0.0
    for token in tokens:
        end = place + len(str(token["token"]))
        if start < end and place <= start + len(label):
            for other in token.get("top_logprobs") or []:
                spelt = _spelt(str(other["token"]), text, place, start)
                reached = _only(spelt, labels)
                if reached not in (None, label):
                    found[reached] = float(np.logaddexp(found.get(reached, -np.inf), before + _number(other)))
            before += _number(token)
        place = end
    found[label] = before
    return {name: value for name, value in found.items() if math.isfinite(value)} or None


def _start_of(text: str, label: str) -> int | None:
    """Where the label's name begins in the text of an answer: as a string of JSON, or as the whole."""
    if (place := text.rfind(f'"{label}"')) >= 0:
        return place + 1
    return text.index(label) if text.strip() == label else None


def _spelt(piece: str, text: str, place: int, start: int) -> str:
    """What an alternative token at `place` makes of the label's name, closing quote included; empty if it has another form."""
    lead = text[place:start] if place < start else ""
    return text[start:place] + piece[len(lead) :] if piece.startswith(lead) else ""


def _only(spelt: str, labels: Sequence[str]) -> str | None:
    """The one label that is spelt, or begun, so."""
    name, closed, _ = spelt.partition('"')
    reached = [label for label in labels if (label == name if closed else name and label.startswith(name))]
    return reached[0] if len(reached) == 1 else None


def _number(token: Mapping[str, Any]) -> float:
    value = token.get("logprob")
    return float(value) if isinstance(value, (int, float)) else -math.inf
