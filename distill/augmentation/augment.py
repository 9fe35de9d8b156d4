"""A prepared data set with copies of its training rows."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.augmentation.augmenter import Augmenter
from distill.augmentation.chunks import Chunks
from distill.augmentation.questions import QuestionCopies
from distill.augmentation.tagged_words import WordCopies
from distill.augmentation.texts import TextCopies
from distill.core import progress
from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json
from distill.data.arrow_files import ArrowWriter
from distill.data.dataset import EXAMPLES, OWN_ID, UNLABELLED, Dataset, example_ids, examples_path, write_description
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, load_tokenizer
from distill.data.writing import SplitWriter
from distill.params.task_specs import NOT_REWORDED, REWORDED

AT_ONCE = 4096
"""Rows that are written at once."""
COPIES: dict[str, type[TextCopies]] = {"token-classification": WordCopies, "question-answering": QuestionCopies}
"""Of the tasks whose rows are more than texts."""


def write_augmented(
    folder: Path, dataset: Dataset, augmenter: Augmenter, chunks: Chunks, limit: int | None = None
) -> dict[str, Any]:
    """Write a data set's training rows as they are, and after them copies: transfer rows, or rows with the tags of their words.

    Copies that are, once they are tokenized, a row of any split or another copy are dropped. All other files are copied byte by
    byte. At most `limit` rows, or questions, are copied, a sample by the augmenter's seed; `chunks` has what an earlier run has
    finished. Returns what dataset.json says; `splits.train.counts` tells how many rows were reworded, and their copies.
    """
    if dataset.task not in REWORDED:
        why = NOT_REWORDED[dataset.task]
        raise UserError(f"{dataset.folder}: is for {dataset.task}, expected one of: {', '.join(REWORDED)}; {why}")
    copies = COPIES.get(dataset.task, TextCopies)(dataset, augmenter, chunks)
    rewritten = shutil.ignore_patterns("dataset.json", "train.arrow", "train.examples.arrow")
    shutil.copytree(dataset.folder, folder, ignore=rewritten, copy_function=shutil.copyfile, dirs_exist_ok=True)
    chosen = np.sort(np.random.default_rng(augmenter.seed).permutation(len(copies.rows))[:limit])
    description: dict[str, Any] = read_json(dataset.folder / "dataset.json", "a prepared data set")
    train = _write_train(folder / "train.arrow", dataset, copies, chosen, description["splits"]["train"])
    made = train["counts"]["copies"]
    train["counts"] |= {"reworded_rows": len(chosen), "dropped_copies": len(chosen) * augmenter.copies - made}
    description["splits"]["train"] = train
    write_description(folder, {key: value for key, value in description.items() if key not in ("format", "version")})
    return description


def _write_train(path: Path, dataset: Dataset, copies: TextCopies, chosen: Array, before: dict[str, Any]) -> dict[str, Any]:
    """Write all training rows; what dataset.json says of them."""
    told, counts = Counter(before), Counter({**before["counts"], "copies": 0})
    tokenizer, by_label = load_tokenizer(dataset.folder / "tokenizer"), Counter(before["rows_a_label"])
    with closing(SplitWriter(path)) as file, closing(ArrowWriter(examples_path(path))) as examples:
        _write_given(file, examples, dataset)
        count = len(copies.rows)
        for part, ids in _new(dataset, copies, chosen):
            encoded = copies.encode(tokenizer, part, dataset.max_length)
            labels = part.labels if encoded.labels is None else encoded.labels
            if dataset.spec.windows:
                encoded.columns["example"] = [count + number for number in encoded.columns["example"]]
                examples.add(_unanswered(part))
            own = {} if dataset.spec.windows or part.ids is None else {OWN_ID: part.ids.tolist()}
            file.add(encoded.columns, labels, {**own, **copies.columns(part)}, ids)
            count += len(part)
            counts.update({"copies": len(part), **encoded.counts})
            by_label.update(_tags(dataset, labels))
            told.update(_told(encoded, part, dataset))
        if dataset.spec.windows:
            examples.finish()
        return {**told, "rows_a_label": dict(by_label), "counts": dict(counts), "fingerprint": file.finish()}


def _write_given(file: SplitWriter, examples: ArrowWriter, dataset: Dataset) -> None:
    """Write the rows that there were."""
    rows, windows = dataset.rows("train"), dataset.spec.windows
    texts: dict[str, Any] = {} if windows else {**dataset.texts("train")}
    if not windows and (own := dataset.own_ids("train")) is not None:
        texts = {OWN_ID: own, **texts}
    for start in range(0, len(rows), AT_ONCE):
        places = np.arange(start, min(start + AT_ONCE, len(rows)))
        old = rows.take(places)
        sources = {"input_ids": old.tokens, "token_type_ids": old.token_types, "spans": old.spans}
        columns: dict[str, Any] = {
            name: np.split(values, old.offsets[1:-1]) for name, values in sources.items() if values is not None
        }
        if windows:
            columns["example"] = old.examples
        labels = np.split(old.labels, old.offsets[1:-1]) if dataset.spec.labels_per_token else old.labels
        kept = {name: values[start : start + AT_ONCE] for name, values in texts.items()}
        file.add(columns, labels, kept, [key.tobytes() for key in old.ids])
    if windows:
        examples.add(dataset.examples("train").cast(EXAMPLES))


def _new(dataset: Dataset, copies: TextCopies, chosen: Array) -> Iterator[tuple[Rows, list[bytes] | None]]:
    """The copies that are like no other row, and their example ids, if they are of other tokens than the data set's own."""
    seen = dataset.folder / "seen_tokenizer"
    tokenizer = load_tokenizer(seen if seen.exists() else dataset.folder / "tokenizer")
    known = {key.tobytes() for split in dataset.splits for key in dataset.rows(split).ids}
    with progress.bar(title="words refilled", unit="word") as bar:
        for made in copies.of(chosen, bar.update):
            ids = _ids(tokenizer, copies, made, dataset.seen_max_length)
            places = []
            for row, own in enumerate(ids):
                if own - known:
                    places.append(row)
                    known |= own
            kept = made.take(np.array(places, np.int64))
            for part in kept.parts():
                own_ids = [next(iter(ids[row])) for row in places[part.start : part.stop]] if seen.exists() else None
                yield kept.part(part), own_ids


def _ids(tokenizer: PreTrainedTokenizerBase, copies: TextCopies, rows: Rows, max_length: int) -> list[set[bytes]]:
    """The example ids of each of some rows, of a question those of its windows."""
    columns = copies.encode(tokenizer, rows, max_length).columns
    found: list[set[bytes]] = [set() for _ in range(len(rows))]
    for row, key in zip(columns.get("example", range(len(rows))), example_ids(columns), strict=True):
        found[row].add(key)
    return found


def _told(encoded: Encoded, rows: Rows, dataset: Dataset) -> dict[str, int]:
    """What dataset.json counts of some copies."""
    return {
        "rows": len(encoded.lengths),
        "transfer_rows": len(encoded.lengths) if dataset.spec.windows else int((~rows.labelled).sum()),
        "tokens": int(encoded.lengths.sum()),
        "truncated_rows": encoded.truncated_rows,
        "truncated_tokens": encoded.truncated_tokens,
    }


def _tags(dataset: Dataset, labels: Any) -> dict[str, int]:
    """How often each tag is the label of a token."""
    if not dataset.spec.labels_per_token:
        return {}
    flat = np.concatenate(labels)
    counts = np.bincount(flat[flat != UNLABELLED], minlength=len(dataset.labels))
    return dict(zip(dataset.labels, counts.tolist(), strict=True))


def _unanswered(rows: Rows) -> pa.Table:
    """Questions without answers."""
    columns = {"id": rows.ids.tolist(), "question": rows.texts.tolist(), "context": rows.texts_pair.tolist()}
    return pa.table({**columns, "answers": [[]] * len(rows)}, schema=EXAMPLES)
