"""The rows of a prepared split into its file, part by part. What the file has: distill/data/dataset.py"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.data.arrow_files import ArrowWriter
from distill.data.dataset import ID_BYTES, TEXTS, example_ids


class SplitWriter:
    """Writes a split's rows part by part; to be closed."""

    def __init__(self, path: Path) -> None:
        """Parts wait beside `path`."""
        self.file, self.hash = ArrowWriter(path), hashlib.sha256()

    def add(
        self,
        encoded: Mapping[str, Sequence[Any]],
        labels: Array | Sequence[Any],
        texts: Mapping[str, Sequence[Any]],
        ids: Sequence[bytes] | None = None,
    ) -> None:
        """The next rows.

        `encoded` has a value a row of `input_ids`; `token_type_ids` for pairs; `example`, `spans` for windows; `group`. `labels`
        are (rows,) int64 or float32, (rows, labels) integers, or for each row a label a token; `texts` columns of TEXTS, and
        OWN_ID. `ids` are example ids, if the tokens alone do not give them.
        """
        types = encoded.get("token_type_ids")
        ids = ids or example_ids(encoded)
        columns: dict[str, pa.Array] = {
            "example_id": pa.array(ids, pa.binary(ID_BYTES)),
            "input_ids": _ragged(encoded["input_ids"], np.int32),
        }
        if types:
            columns["token_type_ids"] = _ragged(types, np.int8)
        if "example" in encoded:
            columns["example"] = pa.array(encoded["example"], pa.int64())
        if "spans" in encoded:
            columns["spans"] = _ragged(encoded["spans"], np.int32, width=2)
        if "group" in encoded:
            columns["group"] = pa.array(encoded["group"], pa.int64())
        if not isinstance(labels, np.ndarray):
            columns["labels"] = _ragged(labels, np.int32)
        elif labels.ndim == 2:
            columns["label"] = pa.FixedSizeListArray.from_arrays(pa.array(labels.ravel(), pa.int64()), labels.shape[1])
        else:
            columns["label"] = pa.array(labels, pa.float32() if labels.dtype.kind == "f" else pa.int64())
        columns |= {name: pa.array(values, TEXTS.get(name, pa.string())) for name, values in texts.items()}
        self.file.add(pa.table(columns))
        self.hash.update(b"".join(ids))

    def finish(self) -> str:
        """Write the file; returns its fingerprint, SHA-256 over its example ids in order."""
        self.file.finish()
        return self.hash.hexdigest()

    def close(self) -> None:
        """Let go of what was waiting."""
        self.file.close()


def _ragged(rows: Sequence[Any], dtype: type[np.generic], width: int = 1) -> pa.ListArray:
    """Lists of numbers, or of tuples of `width` numbers, by way of one flat array: lists of Python numbers take long."""
    parts = [np.asarray(row, dtype).reshape(-1, width) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    values = pa.array(np.concatenate([np.empty((0, width), dtype), *parts]).ravel())
    items = values if width == 1 else pa.FixedSizeListArray.from_arrays(values, width)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)
