"""Raw splits into a prepared data set: labels numbered, splits cut, rows tokenized, duplicates reported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, example_ids, write_description, write_examples, write_split
from distill.data.rows import Answers, Rows
from distill.data.splitters import ENOUGH, splitter_of
from distill.data.tokenizers import Encoded, encode, tokenizer_fingerprint
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.by_task import PREPARERS, rows_a_label
from distill.preparation.duplicates import across_splits
from distill.preparation.splits import SPLITS, cut_splits, limit_rows, require_labels, require_split


def make_rows(tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Train, validation and test rows, and the label names in order.

    A UserError says what is wrong with the data, with the split and the row; `where` names the source there.
    """
    preparer, splits = PREPARERS[settings.task], settings.splits.model_dump()
    require_split(tables, "train", settings.splits.train)
    wanted = {*splits.values(), *SPLITS}
    read = {split: preparer.read(table, f"{where}: {split}", settings) for split, table in tables.items() if split in wanted}
    rows, names = preparer.number(read, tables, where, settings)
    if settings.drop_empty:
        rows = {split: part.without_empty() for split, part in rows.items()}
    cut = cut_splits(rows, splits, settings.seed, preparer.cut)
    for split in SPLITS[1:]:
        require_labels(cut[split], f"{where}: {split}")
    return {split: limit_rows(part, getattr(settings.limit, split), settings.seed) for split, part in cut.items()}, names


def write_dataset(
    folder: Path,
    rows: Mapping[str, Rows],
    labels: Sequence[str],
    settings: DatasetSettings,
    tokenizer: PreTrainedTokenizerBase,
    teacher_tokenizer: PreTrainedTokenizerBase | None = None,
) -> dict[str, Any]:
    """Tokenize the splits and write a prepared data set; returns what dataset.json says."""
    preparer, described = PREPARERS[settings.task], {}
    seen_length = settings.teacher_max_length or settings.max_length
    for split, part in rows.items():
        encoded = preparer.encode(tokenizer, part, settings, split)
        if teacher_tokenizer is not None:
            title = f"{split} for the teacher"
            ids = example_ids(encode(teacher_tokenizer, part.texts, part.texts_pair, seen_length, title).columns)
            encoded = replace(encoded, ids=ids)
        described[split] = _write_split(folder / f"{split}.arrow", settings.task, labels, part, encoded)
    compared = {split: preparer.compared(part) for split, part in rows.items()}
    description = {
        "task": settings.task,
        "labels": list(labels),
        "metric": settings.chosen_metric,
        "max_length": settings.max_length,
        **_write_tokenizers(folder, tokenizer, teacher_tokenizer, seen_length),
        "unanswerable": any(isinstance(label, Answers) and not label.texts for label in rows["train"].labels),
        **_splitter(settings.task, rows["train"]),
        "splits": described,
        "duplicates": across_splits(compared, settings.near_duplicate),
    }
    write_description(folder, description)
    return description


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
        "vocabulary": len(tokenizer),
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
    windows = TASK_SPECS[task].windows
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
        "fingerprint": write_split(path, encoded.columns, labels, PREPARERS[task].kept(rows), encoded.ids),
    }
