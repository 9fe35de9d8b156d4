"""What to show of a test row."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.data.tokenizers import decoded_parts
from distill.tasks.base import EvaluationSplit, Task

SHOWN = 400
"""Characters of a text that are shown."""

MORE = " …"


def text_of(task: Task, line: int, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase, near: Sequence[str] = ()) -> str:
    """What was read of a line, at most about SHOWN characters.

    `near` are texts: of a question's context, the part around the first of these that it holds is shown.
    """
    rows = split.rows
    if split.examples is not None:
        question, context = (_line(str(split.examples[name][line])) for name in ("question", "context"))
        middle = next((text for text in map(_line, near) if text and text in context), "")
        return f"{_start(question)}\n{_around(context, middle)}"
    if task.spec.labels_per_token:
        place = int(split.labelled_tokens[line])
        row = int(np.searchsorted(rows.offsets, place, side="right")) - 1
        word = rows.word(place) if task.spec.names_labels else [int(rows.tokens[place])]
        shown = _decoded(tokenizer, word) if task.spec.names_labels else "?"
        if task.spec.causal:
            return f"{ending(_decoded(tokenizer, rows.tokens[rows.offsets[row] : place + 1].tolist()), SHOWN)} [{shown}]"
        before, after = rows.tokens[rows.offsets[row] : place], rows.tokens[place + len(word) : rows.offsets[row + 1]]
        left, right = (_decoded(tokenizer, part.tolist()) for part in (before, after))
        return f"{ending(left, SHOWN // 2)} [{shown}] {_start(right, SHOWN // 2)}".strip()
    texts = [rows.tokens[rows.tokens_of(row)].tolist() for row in task.rows_of(line, split)]
    parts = [_decoded(tokenizer, tokens) for tokens in texts]
    return _start("\n".join(part.partition("\n")[0] if task.spec.groups else part for part in parts))


def _decoded(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    """A text, or those of a pair on lines of their own."""
    return "\n".join(decoded_parts(tokenizer, tokens))


def _line(text: str) -> str:
    return " ".join(text.split())


def _start(text: str, most: int = SHOWN) -> str:
    if len(text) <= most:
        return text
    parts = text.split("\n")
    return "\n".join(_cut(part, most // len(parts)) for part in parts)


def _cut(text: str, most: int) -> str:
    """A line's beginning, up to a blank if it has any."""
    if len(text) <= most:
        return text
    shown = text[: most - len(MORE)]
    return (shown if text[len(shown)] == " " else shown.rpartition(" ")[0] or shown) + MORE


def ending(text: str, most: int) -> str:
    """A text's end, from a blank on if it has any."""
    shown = text[-most:]
    return text if len(text) <= most else f"… {shown.partition(' ')[2] or shown}"


def _around(text: str, middle: str) -> str:
    """So much of a text, with `middle` in the middle if it is in it."""
    start = max(0, text.find(middle) + (len(middle) - SHOWN) // 2) if middle else 0
    return f"… {_start(text[start:].partition(' ')[2] or text[start:])}" if start else _start(text)
