"""Raw splits into a prepared data set: labels numbered, splits cut, rows tokenized, duplicates reported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.data import Answers, Rows
from distill.duplicates import across_splits
from distill.encoders import tokenizer_fingerprint
from distill.errors import UserError
from distill.prepared import UNLABELLED, example_id, write_description, write_examples, write_split
from distill.preparers import PREPARERS, Encoding, Raw, rows_a_label
from distill.splits import SPLITS, cut_splits, limit_rows, require_labels, require_split
from distill.tokenization import Encoded, encode


def make_rows(
    tables: Mapping[str, pa.Table],
    where: str,
    columns: Mapping[str, str | None],
    labels: Sequence[str] | None,
    splits: Mapping[str, str | float | None],
    limits: Mapping[str, int | None],
    seed: int,
    task: str = "sequence-classification",
    drop_empty: bool = False,
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Splits of rows, and the label names in order.

    Args:
        tables: The raw splits by name.
        where: Names the source in errors.
        columns: Names of raw columns by the part they play, as `columns` of params.yaml has them.
        labels: The label names, if they are given.
        splits: For `train`, `validation`, `test`: a raw split's name, a fraction of the training rows, or None.
        limits: The most rows of each split.
        seed: Of cutting and sampling.
        task: One of PREPARERS.
        drop_empty: Whether rows with an empty text are dropped, not refused.

    Raises:
        UserError: what is wrong with the data, with the split and the row.
    """
    preparer, train = PREPARERS[task], str(splits["train"])
    require_split(tables, "train", train)
    wanted = {name for name in splits.values() if isinstance(name, str)} | set(SPLITS)
    chosen = {split: table for split, table in tables.items() if split in wanted}
    raw = Raw(chosen, where, train, columns, labels, drop_empty)
    rows, names = preparer.read(raw)
    cut = cut_splits(rows, splits, seed, preparer.cut)
    for split in SPLITS[1:]:
        require_labels(cut[split], f"{where}: {split}")
    return {split: limit_rows(part, limits[split], seed) for split, part in cut.items()}, names


def write_dataset(
    folder: Path,
    rows: Mapping[str, Rows],
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    task: str,
    metric: str,
    max_length: int,
    near_duplicate: float,
    teacher_tokenizer: PreTrainedTokenizerBase | None = None,
    teacher_max_length: int | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Tokenize the splits and write a prepared data set. The settings are those of params.yaml; `how` are those of Encoding.

    Returns:
        What dataset.json says.

    Raises:
        UserError: the tokenizer, or `stride`, is not fit for the task; or no text has a token.
    """
    seen, described = (teacher_tokenizer, teacher_max_length or max_length), {}
    for split, part in rows.items():
        encoded = PREPARERS[task].encode(tokenizer, part, Encoding(max_length, **how), split)
        ids = encoded.ids if seen[0] is None else _seen_ids(seen[0], part, seen[1], split)
        described[split] = _write_split(folder / f"{split}.arrow", task, labels, part, encoded, ids)
    description = {
        "task": task,
        "labels": list(labels),
        "metric": metric,
        "max_length": max_length,
        **_write_tokenizers(folder, tokenizer, *seen),
        "unanswerable": any(isinstance(label, Answers) and not label.texts for label in rows["train"].labels),
        "splits": described,
        "duplicates": across_splits({split: PREPARERS[task].compared(part) for split, part in rows.items()}, near_duplicate),
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


def _write_split(
    path: Path, task: str, names: Sequence[str], rows: Rows, encoded: Encoded, ids: Sequence[bytes] | None
) -> dict[str, Any]:
    if len(encoded.lengths) == 0:
        raise UserError(f"{path.stem}: no text has a token; look at columns.text and the tokenizer")
    labels: Any = rows.labels if encoded.labels is None else encoded.labels
    windows = task == "question-answering"
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
        "fingerprint": write_split(path, encoded.columns, labels, PREPARERS[task].kept(rows), ids),
    }


def _seen_ids(tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int, split: str) -> list[bytes]:
    """Example ids as the teacher's own data set has them."""
    columns = encode(tokenizer, rows.texts, rows.texts_pair, max_length, f"{split} for the teacher").columns
    types = columns.get("token_type_ids")
    return [example_id(row, types[i] if types else None) for i, row in enumerate(columns["input_ids"])]
