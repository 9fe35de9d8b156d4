"""The form of an answer: the one label of a row, or all that apply to it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Vote = str | tuple[str, ...]
"""What one answer says: a label; or, where labels do not exclude each other, those that apply."""


@dataclass(frozen=True)
class Form:
    """Which labels an answer may name, and whether it may name several."""

    labels: Sequence[str]
    several: bool = False

    @property
    def key(self) -> str:
        """What JSON calls it."""
        return "labels" if self.several else "label"

    @property
    def instruction(self) -> str:
        """The first line of the prompt, where params.yaml has none."""
        return "Choose all labels that apply to the text." if self.several else "Choose the label that fits the text best."

    @property
    def answer_format(self) -> str:
        """The last line of the prompt."""
        if self.several:
            form = 'Answer with JSON alone: {"labels": ["…"]}, with all of these labels that apply, as they are written'
            return f'{form}; if none applies: {{"labels": []}}.'
        return 'Answer with JSON alone: {"label": "…"}, with one of these labels, as it is written.'

    def example_answer(self, vote: Vote) -> str:
        """What a model is expected to say, to the letter: examples show it."""
        return json.dumps({self.key: vote}, ensure_ascii=False)

    def schema(self) -> dict[str, Any]:
        """What servers hold an answer to."""
        label: dict[str, Any] = {"type": "string", "enum": list(self.labels)}
        answer = {"type": "array", "items": label} if self.several else label
        schema = {"type": "object", "properties": {self.key: answer}, "required": [self.key], "additionalProperties": False}
        return {"type": "json_schema", "json_schema": {"name": self.key, "strict": True, "schema": schema}}

    def vote(self, given: Any) -> tuple[Vote | None, str]:
        """What the JSON of an answer names, or None; and why there is none, in a few words that can be counted."""
        if isinstance(given, dict):
            given = given.get(self.key)
        if not self.several:
            name = self._name(given)
            return (name, "") if name is not None else (None, "label outside the set")
        if not isinstance(given, list):
            return None, "no list of labels"
        names = [self._name(item) for item in given]
        if None in names:
            return None, "label outside the set"
        return tuple(label for label in self.labels if label in names), ""

    def _name(self, given: Any) -> str | None:
        if isinstance(given, (bool, int, float)):
            given = json.dumps(given)
        name = given.strip() if isinstance(given, str) else None
        return name if name in self.labels else None
