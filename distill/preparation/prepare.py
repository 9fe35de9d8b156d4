"""Raw splits into a prepared data set: labels numbered, splits cut, rows tokenized, duplicates reported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.core.settings import SPLITS
from distill.data.columns import Column
from distill.data.dataset import write_description
from distill.data.long_arrays import joined, places
from distill.data.overlap import usual_stride
from distill.data.rows import Rows
from distill.data.splitters import ENOUGH, splitter_of
from distill.data.tokenizers import tokenizer_fingerprint, vocabulary_size
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS, names_entities
from distill.preparation.by_task import PREPARERS, rows_a_label
from distill.preparation.columns import map_ids
from distill.preparation.contradictions import contradictions
from distill.preparation.duplicates import across_splits
from distill.preparation.encoding import Encoder
from distill.preparation.keys import stand_in, with_keys
from distill.preparation.label_columns import look_at_columns
from distill.preparation.labels import shown
from distill.preparation.normalization import normalized
from distill.preparation.scores import tell_alike
from distill.preparation.spans import SPLITTER
from distill.preparation.splits import cut_splits, limit_labels, limit_rows, require_labels, wanted_splits

PAIR = 2
"""Classes of which F1 can be that of the second."""


def make_rows(
    tables: Mapping[str, pa.Table],
    where: str,
    settings: DatasetSettings,
    transfer: Mapping[str, pa.Table] | None = None,
    dropped: list[dict[str, Any]] | None = None,
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Train, validation and test rows, and the label names in order.

    A UserError says what is wrong with the data, with the split and the row; `where` names the source there. `transfer` are
    tables whose rows are added without labels, by what to call each. What is left out is added to `dropped`: split, row, reason.
    """
    preparer, splits, seed = PREPARERS[settings.task], settings.splits.model_dump(), settings.seed
    tables = wanted_splits(tables, settings, where)
    look_at_columns(tables, where, settings)
    read = {split: preparer.read(table, f"{where}: {split}", settings) for split, table in tables.items()}
    rows, names = preparer.number(read, tables, where, settings)
    embeds = TASK_SPECS[settings.task].embeds
    cut, rare = cut_splits(rows, splits, seed, preparer.grouped, by_labels=not embeds)
    for label in rare:
        count = rows_a_label(settings.task, cut["train"].labels, names)[names[label]]
        print_result(
            f"{where}: the class {names[label]} stays in train whole: {count} rows, too few different texts for every split"
        )
    for split in () if embeds else SPLITS[1:]:
        require_labels(cut[split], f"{where}: {split}")
        tell_alike(cut[split], f"{where}: {split}", names, rare)
    made = {split: limit_rows(part, getattr(settings.limit, split), seed) for split, part in cut.items()}
    made["train"] = limit_labels(made["train"], settings.labelled, seed)
    for place, table in (transfer or {}).items():
        more = transfer_rows(table, place, settings)
        made["train"] = made["train"].with_transfer(more)
        rows[place] = more
    if dropped is not None:
        rows_of = ((split, row, reason) for split, part in rows.items() for row, reason in sorted(part.dropped.items()))
        dropped += [{"split": split, "row": row, "reason": reason} for split, row, reason in rows_of]
    if settings.deduplicate:
        made = {split: with_keys(part, preparer.compared(part)) for split, part in made.items()}
        made["train"] = _apart(made, where)
    return made, names


def transfer_rows(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """All rows of a table as transfer rows, whatever labels it has; under their own ids, if it has the column of ids."""
    columns = settings.columns
    labels = {part: part for part in ("label", "tags", "answers", *(["spans"] if columns.spans is not None else []))}
    plain = columns.model_copy(update={**labels, "id": None, "labels": None})
    inputs = {getattr(columns, part) for part in settings.parts if part not in (*labels, "labels")}
    table = table.drop(sorted(({*labels, *(getattr(columns, part) for part in labels)} - inputs) & {*table.column_names}))
    preparer, settings = PREPARERS[settings.task], settings.model_copy(update={"columns": plain})
    rows = preparer.read(table, where, settings)
    if TASK_SPECS[settings.task].windows or columns.id not in table.column_names:
        return replace(rows, ids=Column.of(rows.numbers).map(lambda number: f"{where}-{number}"))
    return replace(rows, ids=map_ids(table, where, columns.id).take(rows.numbers))


def _apart(rows: Mapping[str, Rows], where: str) -> Rows:
    """The training rows whose text stands in no other split; all have their keys."""
    kept = ~stand_in(np.asarray(rows["train"].keys), joined([np.asarray(rows[split].keys) for split in SPLITS[1:]]))
    if not kept.any():
        raise UserError(
            f"{where}: train: every row stands in validation or test too; look at the splits, or set deduplicate: false"
        )
    if not kept.all():
        print_result(f"{where}: train: {int((~kept).sum())} rows that stand in validation or test are taken out")
    return rows["train"].take(places(kept))


def write_dataset(
    folder: Path,
    rows: Mapping[str, Rows],
    labels: Sequence[str],
    settings: DatasetSettings,
    tokenizer: PreTrainedTokenizerBase,
    teacher_tokenizer: PreTrainedTokenizerBase | None = None,
) -> dict[str, Any]:
    """Tokenize the splits and write a prepared data set; returns what dataset.json says."""
    searched = all(_searched(rows[split]) for split in ("validation", "test"))
    preparer, metric = PREPARERS[settings.task], chosen_metric(settings, labels, searched)
    encoder = Encoder(settings, labels, tokenizer, teacher_tokenizer)
    compared = {split: preparer.compared(part) for split, part in rows.items()}
    keys = {split: np.asarray(with_keys(part, compared[split]).keys) for split, part in rows.items()}
    texts = {split: column.map(normalized) for split, column in compared.items()}
    if TASK_SPECS[settings.task].embeds:
        rows = {split: part.apart() for split, part in rows.items()}
    described = {split: encoder.write(folder / f"{split}.arrow", part) for split, part in rows.items()}
    if TASK_SPECS[settings.task].names_labels:
        described = {
            split: {**part, "contradictions": contradictions(rows[split], keys[split])} for split, part in described.items()
        }
    description = {
        "task": settings.task,
        "labels": list(labels),
        "metric": metric,
        "max_length": settings.max_length,
        **_write_tokenizers(folder, tokenizer, teacher_tokenizer, encoder.seen_length),
        "unanswerable": described["train"]["counts"].get("unanswerable", 0) > 0,
        **_splitter(settings, rows["train"]),
        "stride": _stride(settings, tokenizer),
        "splits": described,
        "duplicates": _placed(across_splits(texts, keys, settings.near_duplicate), rows),
    }
    write_description(folder, description)
    return description


def _placed(duplicates: dict[str, Any], rows: Mapping[str, Rows]) -> dict[str, Any]:
    """With examples by the first prepared row of each, where the texts of pairs have become rows of their own."""

    def place(split: str, row: int) -> int:
        pairs = rows[split].examples
        return row if pairs is None else int(np.searchsorted(pairs, row))

    return {
        splits: {**found, "examples": [{split: place(split, row) for split, row in each.items()} for each in found["examples"]]}
        for splits, found in duplicates.items()
    }


def _searched(rows: Rows) -> bool:
    """Whether there are pairs of texts, and none has a score."""
    return rows.texts_pair is not None and bool(rows.texts_pair.present.any()) and not rows.labelled.any()


def chosen_metric(settings: DatasetSettings, labels: Sequence[str], searched: bool = False) -> str:
    """The metric, or the default of the task and of such labels; one that these labels do not have is refused.

    Sentence embedding: `searched` says that validation and test rows are pairs without scores: one text asks for the other.
    """
    metrics = TASK_SPECS[settings.task].metrics
    if settings.task == "sequence-classification" and len(labels) != PAIR:
        metrics = tuple(metric for metric in metrics if metric != "f1")
    if settings.task == "token-classification":
        metrics = tuple(metric for metric in metrics if metric != ("macro_f1" if names_entities(labels) else "entity_f1"))
    if TASK_SPECS[settings.task].embeds:
        metrics = (*metrics[1:], metrics[0]) if searched else metrics[:1]
        if settings.metric is not None and settings.metric not in metrics:
            raise UserError(
                f"metric: {settings.metric} is of pairs without scores, validation or test rows are others; take {metrics[0]}"
            )
    if settings.metric is not None and settings.metric not in metrics:
        raise UserError(
            f"metric: {settings.metric} is not for the labels {shown(labels)}; these have {', '.join(metrics)}: take one"
        )
    return settings.metric or metrics[0]


def _write_tokenizers(
    folder: Path, tokenizer: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase | None, seen_length: int
) -> dict[str, Any]:
    """Save tokenizers as they came: the truncation that rows were made with would stay in their files."""
    for name, part in (("tokenizer", tokenizer), ("seen_tokenizer", teacher)):
        if part is not None:
            part.backend_tokenizer.no_truncation()
            part.save_pretrained(folder / name)
    return {
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "vocabulary": vocabulary_size(tokenizer),
        "pad_token": tokenizer.pad_token_id,
        "seen_tokenizer": tokenizer_fingerprint(teacher or tokenizer),
        "seen_max_length": seen_length,
    }


def _stride(settings: DatasetSettings, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """By how many tokens the windows of a context overlap, if rows are windows."""
    if not TASK_SPECS[settings.task].windows:
        return None
    usual = usual_stride(settings.max_length, tokenizer.num_special_tokens_to_add(pair=True))
    return usual if settings.stride is None else settings.stride


def _splitter(settings: DatasetSettings, rows: Rows) -> dict[str, Any]:
    """How raw text becomes words like those of the training rows, and how many of them it finds."""
    if "tokens" not in TASK_SPECS[settings.task].columns:
        return {"splitter": None}
    if settings.columns.spans is not None:
        return {"splitter": SPLITTER, "splitter_f1": 1.0}
    best, share = splitter_of(rows.texts)
    return {"splitter": best if share >= ENOUGH else None, "splitter_f1": round(share, 4)}
