"""Small splits in memory, for scoring."""

import numpy as np
import pyarrow as pa

from distill.data.dataset import PreparedRows
from distill.tasks.base import EvaluationSplit


def rows_of(lengths, labels, **more) -> PreparedRows:
    """Rows of these lengths; tokens are their places."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.arange(offsets[-1], dtype=np.int32)
    ids = np.zeros((len(lengths), 16), np.uint8)
    return PreparedRows(ids=ids, tokens=tokens, offsets=offsets, token_types=None, labels=np.asarray(labels), **more)


def split_of(lengths, labels, names=(), *, unanswerable=False, questions=None, **more) -> EvaluationSplit:
    """A split of such rows; `questions` are (context, answers)."""
    examples = None
    if questions is not None:
        contexts, answers = zip(*questions, strict=True)
        examples = pa.table({"context": list(contexts), "answers": list(answers)})
    return EvaluationSplit(rows_of(lengths, labels, **more), tuple(names), examples, unanswerable)
