"""Queries with their passages: rows in groups that are ranked, and what says how relevant each passage is."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.groups import groups_of
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, encode
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import RELEVANCE
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import column_of, good_rows, optional_column, own_ids, text_column
from distill.preparation.labels import Reader
from distill.preparation.numbering import Named, tell_unmet
from distill.preparation.scores import look_for_ranks, read_scores, score_readers


def map_rankings(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Queries, passages as their pairs, groups, and (rows,) objects: raw labels, None where there is none."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    queries, passages = (text_column(table, where, getattr(columns, part), part, bad) for part in ("query", "passage"))
    keys = queries if columns.group is None else column_of(table, where, columns.group, "group")
    groups: dict[Any, int] = {}
    first: dict[Any, tuple[int, str]] = {}
    for row, (key, query) in enumerate(zip(keys, queries, strict=True)):
        if isinstance(key, (list, dict)):
            raise UserError(f"{where}: row {row}: column '{columns.group}' holds {key!r:.40}, expected text or a number")
        if key is None or key == "":
            bad.add(row, "no group", f"column '{columns.group}' has no value; give one, or leave out columns.group")
        elif row not in bad.found and query != first.setdefault(key, (row, query))[1]:
            details = f"its query is {query!r:.60}, that of row {first[key][0]} {first[key][1]!r:.60}"
            bad.add(row, "another query", f"column '{columns.group}' has {key!r:.40}; {details}; a group has one query")
        groups.setdefault(key, len(groups))
    labels = optional_column(table, where, str(columns.label), "label")
    numbers = np.fromiter((groups[key] for key in keys), np.int64, len(keys))
    return good_rows(queries, passages, labels, bad, own_ids(table, where, columns.id), numbers)


def number_relevance(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """How relevant each passage is, as a share of the highest label of all splits: (rows,) float32, NaN for transfer rows.

    So a label is the probability that the teacher learns, and nDCG, whose gains are the labels, is the same as without.
    """
    numbered, drop, readers = {}, settings.bad_rows == "drop", score_readers(rows, tables, where, settings)
    for split, part in rows.items():
        bad = BadRows(f"{where}: {split}", drop)
        expected = "0 (not relevant) or a higher finite number"
        scores = read_scores(part, partial(_relevance, readers[split]), bad, 0.0, expected)
        kept = replace(part, labels=scores.astype(np.float32)).without(bad.found)
        bad = BadRows(f"{where}: {split}", drop)
        _look_at_groups(kept, bad)
        numbered[split] = kept.without(bad.found)
    look_for_ranks(numbered[settings.splits.train], where)
    tell_unmet(where, settings, readers.values())
    highest = max((float(np.nanmax(part.labels)) for part in numbered.values() if part.labelled.any()), default=1.0)
    if highest != 1:
        print_result(f"{where}: labels are learnt as shares of the highest of all, {highest:.4g}")
    return {
        split: replace(part, labels=np.asarray(part.labels) / np.float32(highest)) for split, part in numbered.items()
    }, RELEVANCE


def _relevance(reader: Reader, value: Any) -> float | None:
    return float(value) if isinstance(value, bool) else reader.score(value)


def _look_at_groups(part: Rows, bad: BadRows) -> None:
    """Refuse groups in which nothing can be ranked, and labels of a part of a group."""
    for members in groups_of(part.groups):
        labels = np.asarray(part.labels)[members]
        reason, why = "", ""
        if len(members) == 1:
            reason, why = "single passage", "has one passage, and nothing to rank it among; give it others"
        elif np.isnan(labels).any() and not np.isnan(labels).all():
            reason, why = "labels in part", "has passages with and without a label; give all one (0: not relevant), or none"
        elif (labels == 0).all():
            reason, why = "no relevant passage", "has no passage with a label above 0; give it one, or leave all labels empty"
        for member in members if reason else ():
            bad.add(int(part.numbers[member]), reason, f"the query {part.texts[int(member)]!r:.60} {why}")


def encode_rankings(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    """Tokenize pairs of a query and a passage, the longer one truncated first."""
    encoded = encode(tokenizer, rows.texts, rows.texts_pair, settings.max_length)
    numbers = [] if rows.groups is None else rows.groups.tolist()
    return replace(encoded, columns={**encoded.columns, "group": numbers})
