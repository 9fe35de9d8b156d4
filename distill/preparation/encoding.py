"""The rows of a split through the tokenizer into their file, some at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.errors import UserError
from distill.core.progress import bar
from distill.data.arrow_files import ArrowWriter
from distill.data.dataset import EXAMPLES, OWN_ID, UNLABELLED, example_ids, examples_path
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, encode
from distill.data.writing import SplitWriter
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.by_task import PREPARERS, rows_a_label


class Encoder:
    """What becomes of the rows of any split."""

    def __init__(
        self,
        settings: DatasetSettings,
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        teacher: PreTrainedTokenizerBase | None,
    ) -> None:
        """With the labels' names in order, and the teacher's tokenizer if it has another."""
        self.settings, self.labels, self.tokenizer, self.teacher = settings, labels, tokenizer, teacher
        self.seen_length = settings.teacher_max_length or settings.max_length
        self.preparer, self.windows = PREPARERS[settings.task], TASK_SPECS[settings.task].windows

    def write(self, path: Path, rows: Rows) -> dict[str, Any]:
        """Write a split; what dataset.json says of it."""
        with closing(SplitWriter(path)) as file, closing(ArrowWriter(examples_path(path))) as examples:
            told = self._write(file, examples, rows, path.stem)
            if told["rows"] == 0:
                raise UserError(f"{path.stem}: no text has a token; look at columns.text and the tokenizer")
            if self.windows:
                examples.finish()
            return {**told, "fingerprint": file.finish()}

    def _write(self, file: SplitWriter, examples: ArrowWriter, rows: Rows, split: str) -> dict[str, Any]:
        told = dict.fromkeys(("rows", "transfer_rows", "tokens", "truncated_rows", "truncated_tokens"), 0)
        counts, by_label = Counter[str](), Counter[str]()
        with bar(total=len(rows), title=f"tokenize {split}", unit="row") as progress:
            for start, part, encoded in self._encoded(rows, split):
                if "example" in encoded.columns:
                    encoded.columns["example"] = [start + number for number in encoded.columns["example"]]
                if part.examples is not None:
                    encoded.columns["example"] = part.examples.tolist()
                labels: Any = part.labels if encoded.labels is None else encoded.labels
                transfer = (labels[:, 0] == UNLABELLED).sum() if self.windows else (~part.labelled).sum()
                numbers = len(encoded.lengths), transfer, encoded.lengths.sum(), encoded.truncated_rows, encoded.truncated_tokens
                told = {name: count + int(more) for (name, count), more in zip(told.items(), numbers, strict=True)}
                counts.update(encoded.counts)
                by_label.update(rows_a_label(self.settings.task, labels, self.labels))
                file.add(encoded.columns, labels, self._kept(part), encoded.ids)
                if self.windows:
                    examples.add(_examples(part))
                progress.update(len(part))
        if rows.groups is not None:
            counts["queries"] = len(np.unique(rows.groups))
        return {**told, "rows_a_label": dict(by_label), "counts": dict(counts)}

    def _encoded(self, rows: Rows, split: str) -> Iterator[tuple[int, Rows, Encoded]]:
        """Some rows at a time: where they begin, they themselves, and what became of them."""
        packer = self.preparer.packer(self.tokenizer, self.settings)
        for places in rows.parts():
            part = rows.part(places)
            yield places.start, part, self._encode(part, split) if packer is None else packer.add(part)
        if packer is not None:
            yield len(rows), rows.part(slice(len(rows), len(rows))), packer.finish()

    def _encode(self, rows: Rows, split: str) -> Encoded:
        encoded = self.preparer.encode(self.tokenizer, rows, self.settings, split)
        if len(encoded.lengths) and not encoded.lengths.all():
            row = encoded.columns.get("example", range(len(rows)))[int(encoded.lengths.argmin())]
            raise UserError(
                f"{split}: row {rows.numbers[row]}: its text becomes no token; drop it, or take a tokenizer with special tokens"
            )
        if self.teacher is not None:
            seen = encode(self.teacher, rows.texts, rows.texts_pair, self.seen_length)
            encoded = replace(encoded, ids=example_ids(seen.columns))
        return encoded

    def _kept(self, rows: Rows) -> dict[str, list[Any]]:
        kept = self.preparer.kept(rows)
        if rows.ids is not None and not self.windows:
            kept = {OWN_ID: rows.ids, **kept}
        return {name: column.tolist() for name, column in kept.items()}


def _examples(rows: Rows) -> pa.Table:
    """The questions of some rows."""
    answers = [[] if label is None else list(label.texts) for label in rows.labels]
    columns = {"id": rows.ids, "question": rows.texts, "context": rows.texts_pair}
    return pa.table({**{name: column.tolist() for name, column in columns.items()}, "answers": answers}, schema=EXAMPLES)
