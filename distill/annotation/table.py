"""data/annotations/NAME/: what a language model has answered, as a table that `given` reads.

rows/SPLIT.parquet   text, text_pair (pairs), and `log_probabilities` or `votes`
unanswered.jsonl     rows without a label, and why
responses.parquet    the answers that this was made from (distill/annotation/responses.py)
annotations.json     the data set, its labels, the model, counts, tokens
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from distill.annotation.annotator import Annotation, Annotator, Usage
from distill.annotation.forms import Form, Vote
from distill.annotation.prompts import Texts
from distill.annotation.responses import FILE
from distill.core.files import read_json, to_json, write_text

DESCRIPTION = "annotations.json"
ROWS = "rows"
"""A folder of its own, so that what reads the table reads nothing else."""
PARTS = ("text", "text_pair")


def write_annotations(folder: Path, annotator: Annotator, rows: Mapping[str, Sequence[Texts]], dataset: str) -> dict[str, Any]:
    """Write what is known of the rows of each split; returns what annotations.json says."""
    keys, usage = list[str](), Usage()
    found: dict[str, list[tuple[Texts, Annotation]]] = {split: [] for split in rows}
    unanswered = list[dict[str, Any]]()
    for split, texts in rows.items():
        for row, each in enumerate(texts):
            annotation = annotator.annotation(annotator.requests(each))
            keys += annotation.read
            usage.include(annotation.usage)
            if annotation.votes:
                found[split].append((each, annotation))
            else:
                unanswered.append({"split": split, "row": row, "reason": annotation.why, "text": each[0]})
    soft = any(annotation.distribution for part in found.values() for _, annotation in part)
    (folder / ROWS).mkdir()
    for split, part in found.items():
        pa.parquet.write_table(_table(part, annotator.form, soft), folder / ROWS / f"{split}.parquet")
    annotator.responses.write(folder / FILE, keys)
    lines = [json.dumps(one, ensure_ascii=False, sort_keys=True) for one in unanswered]
    write_text(folder / "unanswered.jsonl", "".join(f"{line}\n" for line in lines))
    made = {
        "dataset": dataset,
        "labels": list(annotator.form.labels),
        "model": annotator.settings.model,
        "splits": {
            split: {
                "rows": len(texts),
                "answered": len(found[split]),
                "unanswered": dict(Counter(one["reason"] for one in unanswered if one["split"] == split)),
            }
            for split, texts in rows.items()
        },
        **vars(usage),
    }
    write_text(folder / DESCRIPTION, to_json(made))
    return made


def _table(rows: Sequence[tuple[Texts, Annotation]], form: Form, soft: bool) -> pa.Table:
    """The texts of answered rows, and their labels: all as log-probabilities if some have them, else all as votes."""
    columns = text_columns([texts for texts, _ in rows], len(rows[0][0]) if rows else 1)
    if soft:
        values = [annotation.distribution or _smoothed(annotation.votes, form.labels) for _, annotation in rows]
        columns["log_probabilities"] = pa.array(values, pa.struct([(label, pa.float64()) for label in form.labels]))
    else:
        vote = pa.list_(pa.string()) if form.several else pa.string()
        columns["votes"] = pa.array([list(annotation.votes) for _, annotation in rows], pa.list_(vote))
    return pa.table(columns)


def _smoothed(votes: Sequence[Vote], labels: Sequence[str]) -> dict[str, float]:
    """Log-probabilities from votes, each label with one more (a uniform Dirichlet prior)."""
    counts = Counter(votes)
    return {label: float(np.log((counts[label] + 1) / (len(votes) + len(labels)))) for label in labels}


def text_columns(texts: Sequence[Texts], parts: int) -> dict[str, pa.Array]:
    """Texts as `read_texts` finds them: a column, or two of pairs."""
    return {name: pa.array([each[place] for each in texts], pa.string()) for place, name in enumerate(PARTS[:parts])}


def read_texts(folder: Path, split: str) -> list[Texts]:
    """The texts of the rows that a folder of annotations, or a selection, has of a split."""
    path = folder / ROWS / f"{split}.parquet"
    if not path.exists():
        return []
    table = pa.parquet.read_table(path)
    return list(zip(*(table[name].to_pylist() for name in PARTS if name in table.column_names), strict=True))


def dataset_of(place: str, description: str) -> str:
    """The data set whose rows lie in a folder: data/prepared/NAME itself, or what the folder's description names."""
    folder = Path(place)
    if folder.parent.name == "prepared":
        return folder.name
    return str(read_json(folder / description, f"what `dvc repro` writes to {folder.parent}")["dataset"])
