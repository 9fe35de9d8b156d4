"""Log-probabilities that DistillKit has compressed, put beside the rows of a data set that are tokenized already.

A row of n tokens has a vector of log-probabilities and one of ids for each token whose next one is predicted: n - 1, or n, of
which the last says what would come behind the row and is left out. Rows are found by their tokens.
"""

from collections.abc import Mapping

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.dataset import Dataset, example_id
from distill.data.long_arrays import array_on_disk
from distill.params.given import Compression, GivenSettings
from distill.sources.streams import Stream
from distill.targets.given.compressed_rows import CompressedRow, compressed_rows, token_rows
from distill.targets.given.decompression import decode_ids, decode_log_probabilities, id_bits, packed_bytes, vector_bytes
from distill.targets.given.join import NAMED, AnsweredSplit
from distill.targets.given.likeliest import SPLIT, top_k_values, unique_positions
from distill.targets.given.normalization import Normalizer

COPY = "copy `compression` from the compression_config.yaml beside the files"


def join_compressed(
    tables: Mapping[str, Stream], dataset: Dataset, settings: GivenSettings, where: str
) -> tuple[AnsweredSplit, int, int]:
    """The training rows, each once, with their tokens' likeliest ones as `TopK` keeps them; rows of the table, and strangers.

    Of equal rows of the table the first counts.

    Raises:
        UserError: a training row is not in the table, or a row is not what `compression` says. Names the row.
    """
    compression, rows = settings.compression, dataset.rows(SPLIT)
    assert compression is not None
    positions = unique_positions(rows)
    ends = np.cumsum(rows.lengths[positions] - 1)
    values = array_on_disk((int(ends[-1]), 2 * compression.k + 1), np.float32)
    waiting = {key: int(end) for key, end in zip(_keys(rows.ids[positions]), ends, strict=True)}
    known = {key for split in dataset.splits for key in _keys(dataset.rows(split).ids)}
    normalizer, count, strangers = Normalizer(compression.exact_k, COPY), 0, 0
    for row in compressed_rows(tables, where, settings):
        tokens = row.tokens[: dataset.seen_max_length]
        key, count = _key(tokens), count + 1
        strangers += key not in known
        if row.answered and key in waiting:
            stop = waiting.pop(key)
            values[stop - len(tokens) + 1 : stop] = _likeliest(row, len(tokens) - 1, compression, dataset.vocabulary, normalizer)
    normalizer.finish()
    if waiting:
        missing = positions[np.isin(ends, list(waiting.values()))]
        raise UserError(
            f"{where}: {len(missing)} of {len(positions)} training rows are not in it or have no answer there, such as the rows "
            f"{', '.join(map(str, missing[:NAMED]))} of {dataset.folder}; make both of one source, or drop these rows"
        )
    return AnsweredSplit(positions, values), count, strangers


def answered_compressed(tables: Mapping[str, Stream], dataset: Dataset, settings: GivenSettings, where: str) -> int:
    """How many training rows, equal ones once, a table has."""
    tokens = (row[: dataset.seen_max_length] for row in token_rows(tables, where, settings))
    return len(set(_keys(dataset.rows(SPLIT).ids)).intersection(map(_key, tokens)))


def _keys(ids: Array) -> list[bytes]:
    return [each.tobytes() for each in ids]


def _key(tokens: Array) -> bytes:
    """The example id of a row of these tokens."""
    return example_id(tokens, None, np.arange(len(tokens) - 1))


def _likeliest(row: CompressedRow, count: int, compression: Compression, vocabulary: int, normalizer: Normalizer) -> Array:
    """(count, 2k + 1) float32 of the row's first vectors, as `TopK` has it."""
    tokens, found = len(row.tokens), {len(row.logs.lengths), len(row.ids.lengths)}
    if len(found) > 1 or not found <= {tokens - 1, tokens}:
        raise UserError(
            f"{row.place}: has {len(row.logs.lengths)} vectors of log-probabilities and {len(row.ids.lengths)} of ids for "
            f"{tokens} tokens, expected {tokens - 1} of each, or {tokens}: one for each token that follows; drop the row"
        )
    logs = row.logs.matrix(vector_bytes(compression), "log-probabilities", row.place, COPY)
    packed = row.ids.matrix(packed_bytes(id_bits(compression), compression.k), "ids", row.place, COPY)
    ids = decode_ids(packed[:count], compression)
    _require_ids(ids, compression, vocabulary, row.place)
    values = normalizer.normalized(decode_log_probabilities(logs[:count], compression), row.place)
    order = np.lexsort((ids, -values), axis=1)
    return top_k_values(np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1))


def _require_ids(ids: Array, compression: Compression, vocabulary: int, place: str) -> None:
    """Refuse (n, k) ids that are no words, and a word that stands twice for one token."""
    for size, whose, advice in (
        (compression.d, "d of `compression`", COPY),
        (vocabulary, "words of the data set's tokenizer", "take the tokenizer of the teacher that answered"),
    ):
        if (ids >= size).any():
            token, number = (int(part[0]) for part in np.nonzero(ids >= size))
            raise UserError(
                f"{place}: token {token} has the id {ids[token, number]}, expected ids below {size}, {whose}; {advice}"
            )
    ordered = np.sort(ids, axis=1)
    tokens, numbers = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    if len(tokens):
        twice = ordered[tokens[0], numbers[0]]
        raise UserError(f"{place}: token {tokens[0]} has the id {twice} twice, expected {compression.k} different ones; {COPY}")
