"""How a decoder goes on with a few test rows, greedily: the same rows and tokens of a teacher and of its students."""

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED
from distill.evaluation.details import Continuation
from distill.evaluation.excerpts import SHOWN, ending
from distill.models.generation import continue_greedily
from distill.tasks.base import EvaluationSplit

ROWS = 8
"""Test rows, evenly spaced."""

NEW_TOKENS = 40
PROMPT_TOKENS = 32
"""Of a block of texts; of a conversation all is read up to its last response."""


def continuations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, split: EvaluationSplit, max_length: int
) -> tuple[Continuation, ...]:
    """What comes before, what the text says, and what the model says; `max_length` holds the former and the latter."""
    rows, found = split.rows, []
    for row in np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(np.int64)).tolist():
        span = rows.tokens_of(row)
        tokens, start = rows.tokens[span], _start(rows.labels[span], split.conversations)
        new = min(NEW_TOKENS, max(1, max_length // 2))
        prompt = tokens[:start][-(max_length - new) :].tolist()
        said = continue_greedily(model, prompt, new, rows.pad_token)
        texts = (str(tokenizer.decode(part, skip_special_tokens=True)).strip() for part in (tokens[start:][:new].tolist(), said))
        found.append(Continuation(ending(str(tokenizer.decode(prompt)).strip(), SHOWN), *texts))
    return tuple(found)


def _start(labels: Array, conversation: bool) -> int:
    """Where the continuation begins: with a conversation's last response, or some tokens into a block of texts."""
    if not conversation:
        return max(1, min(PROMPT_TOKENS, len(labels) // 2))
    places = np.flatnonzero(labels != UNLABELLED)
    first = places[np.flatnonzero(np.diff(places, prepend=-2) > 1)[-1]]
    return int(first) + 1
