"""Rows of a causal language model that are tokenized already: each stays a row, of which all tokens but the first are learnt."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.long_arrays import counted, new_array
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, vocabulary_size
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import column_of, own_ids
from distill.preparation.documents import encoded_rows

MIN_TOKENS = 2
"""Tokens of a row: one is read, one predicted."""


def map_token_rows(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Lists of ids; one that is null, or has nothing to predict, is a bad row."""
    name, bad = str(settings.columns.input_ids), BadRows(where, settings.bad_rows == "drop")
    found = column_of(table, where, name, "input_ids")
    for row, value in enumerate(found):
        if value is None:
            bad.add(row, "no tokens", f"column '{name}' holds None, expected a list of ids; mend or drop the row")
            continue
        if not isinstance(value, list) or (value and (set(map(type, value)) != {int} or min(value) < 0)):
            wrong = next(each for each in value if type(each) is not int or each < 0) if isinstance(value, list) else value
            raise UserError(
                f"{where}: row {row}: column '{name}' holds {wrong!r:.40}, expected ids, numbers from 0; mend or drop the row"
            )
        if len(value) < MIN_TOKENS:
            details = f"column '{name}' has {len(value)} tokens, expected {MIN_TOKENS} or more; mend or drop the row"
            bad.add(row, "no token to predict", details)
    ids = own_ids(table, where, settings.columns.id)
    return Rows(found, None, new_array(len(found), np.int64), counted(len(found)), ids).without(bad.found)


def encode_token_rows(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    """The rows as they are; one that is longer than `max_length` loses its end."""
    size, tokens, lost = vocabulary_size(tokenizer), [], []
    for number, ids in zip(rows.numbers.tolist(), rows.texts, strict=True):
        if max(ids) >= size:
            raise UserError(
                f"{split}: row {number}: column '{settings.columns.input_ids}' holds the id {max(ids)}, the tokenizer's are "
                f"below {size}; take the tokenizer that made these rows"
            )
        tokens.append(np.array(ids[: settings.max_length], np.int32))
        lost.append(len(ids) - len(tokens[-1]))
    labels = [np.append(row[1:], np.int32(UNLABELLED)) for row in tokens]
    texts = tokenizer.backend_tokenizer.decode_batch([row[1:].tolist() for row in tokens], skip_special_tokens=True)
    counts = {"token_rows": len(rows), "bytes": sum(len(text.encode()) for text in texts)}
    return replace(encoded_rows([*tokens], labels, counts, sum(lost)), truncated_rows=sum(map(bool, lost)))
