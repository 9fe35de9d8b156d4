"""Labels that a teacher contradicts, and rows that it finds hard, from its cached logits: the teacher is not opened.

What counts as contradicted or hard, and what a teacher that has seen these rows cannot tell: distill/audit/confident_learning.py.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute
from tokenizers import Tokenizer

from distill.audit.confident_learning import KINDS, lines_of, train_logits, worst_lines
from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.files import atomic_file, to_json, write_text
from distill.data.dataset import Dataset, PreparedRows, row_texts
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore

COLUMNS = pa.schema(
    [(name, pa.string()) for name in ("example_id", "text", "word", "label", "teacher")]
    + [(name, pa.float64()) for name in ("confidence", "margin", "loss")]
    + [("kind", pa.string())]
)
"""Of an audit: hexadecimal id; what was read; the word that is tagged (token classification alone); its label, and the teacher's
(multi-label: the label that is most in doubt, `NAME` or `not NAME`);
the probability of the teacher's label (empty for regression); the probability of the label less that of the best other class
(regression: the error, in deviations from the mean error); −log p(label), nats (regression: the squared error); one of KINDS."""


def write_audit(dataset: Dataset, store: TargetStore | None, place: Path, certainty: Mapping[str, Any]) -> None:
    """Write the audit of a target set to `place`.parquet, and its summary to `place`.json; say what it found.

    It is empty without a store, and where the set has no answers for the training split. `certainty` goes to the summary:
    distill/audit/certainty.py.
    """
    name, table = place.name, COLUMNS.empty_table()
    if store is not None and "train" in store.manifest(LOGITS).splits:
        table = audit_store(dataset, store)
    counts = {**summary(dataset, table), "certainty": certainty}
    with atomic_file(place.with_name(f"{name}.parquet")) as path:
        pq.write_table(table, path)
    write_text(place.with_name(f"{name}.json"), to_json(counts))
    print_result(f"audit {name}: {counts['suspect']} of {counts['rows']} labels contradicted, {counts['hard']} rows hard")


def audit_store(dataset: Dataset, store: TargetStore) -> pa.Table:
    """The audit of the training split, of which the store has the logits."""
    rows = dataset.rows("train")
    logits = train_logits(dataset, store)
    columns = dataset.texts("train")
    texts, contexts = ["\n".join(row) for row in row_texts(columns)], columns.get("context", [])
    tokenizer = Tokenizer.from_file(str(dataset.folder / "tokenizer" / "tokenizer.json"))
    return audit(dataset, rows, logits, texts, contexts, tokenizer.decode)


def audit(
    dataset: Dataset,
    rows: PreparedRows,
    logits: Array,
    texts: Sequence[str],
    contexts: Sequence[str] = (),
    decode: Callable[[list[int]], str] = str,
) -> pa.Table:
    """Every labelled row of the training split, suspects first, then hard ones, each by falling loss: a table of COLUMNS.

    `logits` are the teacher's, (vectors, classes) float32: one a row, or a token, one row after the other. `texts` are shown of
    each row, parts of pairs on lines of their own. `contexts` are those of windows; `rows.spans` counts their characters.
    """
    lines = worst_lines(lines_of(dataset, rows, logits, contexts))
    order = np.lexsort((np.arange(len(lines.rows)), -lines.loss, -lines.kinds))
    chosen = lines.rows[order].tolist()
    confidence = [None] * len(order) if dataset.task == "regression" else lines.confidence[order]
    return pa.table(
        {
            "example_id": [rows.ids[row].tobytes().hex() for row in chosen],
            "text": [texts[row] for row in chosen],
            "word": [decode(rows.word(place)) if place >= 0 else None for place in lines.places[order].tolist()],
            "label": lines.labels[order],
            "teacher": lines.predicted[order],
            "confidence": confidence,
            "margin": lines.margin[order],
            "loss": lines.loss[order],
            "kind": [KINDS[kind] for kind in lines.kinds[order]],
        },
        schema=COLUMNS,
    )


def summary(dataset: Dataset, table: pa.Table) -> dict[str, Any]:
    """How many rows of each kind an audit has, their shares, and which labels the suspects have instead of which.

    `confused`: label → the teacher's label → how many suspects; of classes alone.
    """
    counts = {kind: sum(value == kind for value in table["kind"].to_pylist()) for kind in ("suspect", "hard")}
    confused: dict[str, Counter[str]] = {}
    if dataset.spec.names_labels:
        suspects = table.filter(compute.equal(table["kind"], "suspect"))
        for label, predicted in zip(suspects["label"].to_pylist(), suspects["teacher"].to_pylist(), strict=True):
            confused.setdefault(label, Counter())[predicted] += 1
    shares = {f"{kind}_share": count / len(table) if len(table) else 0.0 for kind, count in counts.items()}
    return {"task": dataset.task, "rows": len(table), **counts, **shares, "confused": confused}
