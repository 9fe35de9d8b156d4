"""Small splits in memory, for scoring."""

import numpy as np
import pyarrow as pa

from distill.prepared import PreparedRows
from distill.tasks.base import Gold


def rows_of(lengths, labels, **more) -> PreparedRows:
    """Rows of these lengths; tokens are their places."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.arange(offsets[-1], dtype=np.int32)
    ids = np.zeros((len(lengths), 16), np.uint8)
    return PreparedRows(ids=ids, tokens=tokens, offsets=offsets, token_types=None, labels=np.asarray(labels), **more)


def gold_of(lengths, labels, names=(), *, unanswerable=False, questions=None, **more) -> Gold:
    """A split of such rows; `questions` are (context, answers)."""
    examples = None
    if questions is not None:
        contexts, answers = zip(*questions, strict=True)
        examples = pa.table({"context": list(contexts), "answers": list(answers)})
    return Gold(rows_of(lengths, labels, **more), tuple(names), examples, unanswerable)
