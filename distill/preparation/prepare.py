"""Raw splits into a prepared data set: labels numbered, splits cut, rows tokenized, duplicates reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.dataset import OWN_ID, UNLABELLED, example_ids, write_description, write_examples, write_split
from distill.data.rows import Answers, Rows
from distill.data.splitters import ENOUGH, splitter_of
from distill.data.tokenizers import Encoded, encode, tokenizer_fingerprint, vocabulary_size
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS, names_entities
from distill.preparation.by_task import PREPARERS, rows_a_label
from distill.preparation.columns import map_ids
from distill.preparation.duplicates import across_splits
from distill.preparation.labels import shown
from distill.preparation.normalization import normalized
from distill.preparation.splits import SPLITS, cut_splits, limit_labels, limit_rows, require_labels, require_split

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
    require_split(tables, "train", settings.splits.train)
    wanted = {*splits.values(), *SPLITS}
    read = {split: preparer.read(table, f"{where}: {split}", settings) for split, table in tables.items() if split in wanted}
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
        made["train"] = _apart(made, preparer.compared, where)
    return made, names


def transfer_rows(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """All rows of a table as transfer rows, whatever labels it has; under their own ids, if it has the column of ids."""
    columns = settings.columns
    labels = {part: part for part in ("label", "tags", "answers")}
    plain = columns.model_copy(update={**labels, "id": None, "labels": None})
    table = table.drop([name for part in labels if (name := getattr(columns, part)) in table.column_names])
    table = table.drop([name for name in labels if name in table.column_names])
    preparer, settings = PREPARERS[settings.task], settings.model_copy(update={"columns": plain})
    rows = preparer.read(table, where, settings)
    if TASK_SPECS[settings.task].windows or columns.id not in table.column_names:
        return replace(rows, ids=[f"{where}-{number}" for number in rows.numbers])
    own = map_ids(table, where, columns.id)
    return replace(rows, ids=[own[number] for number in rows.numbers.tolist()])


def _apart(rows: Mapping[str, Rows], compared: Callable[[Rows], list[str]], where: str) -> Rows:
    """The training rows whose text stands in no other split."""
    scored = {normalized(text) for split in SPLITS[1:] for text in compared(rows[split])}
    kept = np.array([normalized(text) not in scored for text in compared(rows["train"])], bool)
    if not kept.any():
        raise UserError(
            f"{where}: train: every row stands in validation or test too; look at the splits, or set deduplicate: false"
        )
    if not kept.all():
        print_result(f"{where}: train: {int((~kept).sum())} rows that stand in validation or test are taken out")
    return rows["train"].take(np.flatnonzero(kept))


def write_dataset(
    folder: Path,
    rows: Mapping[str, Rows],
    labels: Sequence[str],
    settings: DatasetSettings,
    tokenizer: PreTrainedTokenizerBase,
    teacher_tokenizer: PreTrainedTokenizerBase | None = None,
) -> dict[str, Any]:
    """Tokenize the splits and write a prepared data set; returns what dataset.json says."""
    preparer, described, metric = (
        PREPARERS[settings.task],
        dict[str, Any](),
        chosen_metric(settings, labels, _searched(rows["test"])),
    )
    compared = {split: preparer.compared(part) for split, part in rows.items()}
    if TASK_SPECS[settings.task].embeds:
        rows = {split: part.apart() for split, part in rows.items()}
    seen_length = settings.teacher_max_length or settings.max_length
    for split, part in rows.items():
        encoded = preparer.encode(tokenizer, part, settings, split)
        if teacher_tokenizer is not None:
            title = f"{split} for the teacher"
            ids = example_ids(encode(teacher_tokenizer, part.texts, part.texts_pair, seen_length, title).columns)
            encoded = replace(encoded, ids=ids)
        described[split] = _write_split(folder / f"{split}.arrow", settings.task, labels, part, encoded)
    description = {
        "task": settings.task,
        "labels": list(labels),
        "metric": metric,
        "max_length": settings.max_length,
        **_write_tokenizers(folder, tokenizer, teacher_tokenizer, seen_length),
        "unanswerable": any(isinstance(label, Answers) and not label.texts for label in rows["train"].labels),
        **_splitter(settings.task, rows["train"]),
        "splits": described,
        "duplicates": across_splits(compared, settings.near_duplicate),
    }
    write_description(folder, description)
    return description


def _searched(rows: Rows) -> bool:
    """Whether there are pairs of texts, and none has a score."""
    return any(rows.texts_pair or ()) and not rows.labelled.any()


def chosen_metric(settings: DatasetSettings, labels: Sequence[str], searched: bool = False) -> str:
    """The metric, or the default of the task and of such labels; one that these labels do not have is refused.

    Sentence embedding: `searched` says that the test rows are pairs without scores, of which one text asks for the other.
    """
    metrics = TASK_SPECS[settings.task].metrics
    if settings.task == "sequence-classification" and len(labels) != PAIR:
        metrics = tuple(metric for metric in metrics if metric != "f1")
    if settings.task == "token-classification":
        metrics = tuple(metric for metric in metrics if metric != ("macro_f1" if names_entities(labels) else "entity_f1"))
    if TASK_SPECS[settings.task].embeds:
        metrics = (*metrics[1:], metrics[0]) if searched else metrics[:1]
        if settings.metric is not None and settings.metric not in metrics:
            raise UserError(f"metric: {settings.metric} is of pairs without scores, the test rows are others; take {metrics[0]}")
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


def _splitter(task: str, rows: Rows) -> dict[str, Any]:
    """How raw text becomes words like those of the training rows, and how many of them it finds."""
    if "tokens" not in TASK_SPECS[task].columns:
        return {"splitter": None}
    best, share = splitter_of(rows.texts)
    return {"splitter": best if share >= ENOUGH else None, "splitter_f1": round(share, 4)}


def _write_split(path: Path, task: str, names: Sequence[str], rows: Rows, encoded: Encoded) -> dict[str, Any]:
    if len(encoded.lengths) == 0:
        raise UserError(f"{path.stem}: no text has a token; look at columns.text and the tokenizer")
    if not encoded.lengths.all():
        row = encoded.columns.get("example", range(len(rows)))[int(encoded.lengths.argmin())]
        raise UserError(
            f"{path.stem}: row {rows.numbers[row]}: its text becomes no token; drop it, or take a tokenizer with special tokens"
        )
    labels: Any = rows.labels if encoded.labels is None else encoded.labels
    windows, kept = TASK_SPECS[task].windows, PREPARERS[task].kept(rows)
    if rows.examples is not None:
        encoded = replace(encoded, columns={**encoded.columns, "example": rows.examples.tolist()})
    if rows.ids is not None and not windows:
        kept = {OWN_ID: rows.ids, **kept}
    if windows:
        answers = [[] if label is None else list(label.texts) for label in rows.labels]
        write_examples(path, {"id": rows.ids or [], "question": rows.texts, "context": rows.texts_pair or [], "answers": answers})
    return {
        "rows": len(encoded.lengths),
        "transfer_rows": int((labels[:, 0] == UNLABELLED).sum() if windows else (~rows.labelled).sum()),
        "rows_a_label": rows_a_label(task, labels, names),
        "tokens": int(encoded.lengths.sum()),
        "truncated_rows": encoded.truncated_rows,
        "truncated_tokens": encoded.truncated_tokens,
        "counts": encoded.counts,
        "fingerprint": write_split(path, encoded.columns, labels, kept, encoded.ids),
    }
