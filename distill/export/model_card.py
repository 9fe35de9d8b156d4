"""The model card of an export: what it is, how good, what for, and how it came about. The same run writes the same bytes."""

import hashlib
from collections.abc import Mapping
from typing import Any

from distill.core.markdown import escape
from distill.core.quantities import millions
from distill.core.settings import to_yaml
from distill.data.dataset import Dataset
from distill.export.session import FP32, INT8

FITTED = {
    "thresholds": (
        "A label applies from its probability in `thresholds` of config.json on: there its F1 on the validation split is highest."
    ),
    "temperature": (
        "Probabilities are calibrated: `calibration_temperature` of config.json, fitted on validation, is in the last layer."
    ),
}
UNTOLD = "Probabilities are as they were learnt: validation rows do not tell a temperature from 1."
"""By what was fitted, what it means."""
TAGS = ["distillation", "int8", "onnx"]
CARD = """---
{header}---

# {name}

A model for {task}, {origin} on the data set `{data}`: {size}.

| file | what | MB | {metric} |
|---|---|---|---|
{files}

Scores are those of the test split, {rows} {units}.{kept}{mended}

## Intended use

It {purpose}, of up to {max_length} tokens. The scores hold for such texts alone: measure it on your own before you rely
on it. What the data and the teacher have wrong, it has too.

```sh
python -m distill predict data/exports/{kind}/{name}/{int8} {example}
```

`{fp32}` and `{int8}` run in ONNX Runtime. They take `input_ids`, `attention_mask` and, if the model has them, `token_type_ids`,
(batch, length) int64, of any batch and length. The tokenizer and the label names are in this
folder, as transformers reads them.{decided}

## How it was made

```yaml
{entry}```

In the repository that it comes from, this finds the commit, by what dvc.lock says of {found}, and makes it again:

```sh
git checkout $(git log --reverse --format=%H -S {md5} -- dvc.lock | head -1)
dvc repro --pull --allow-missing {stage}@{name}
```
"""


def card(
    kind: str,
    name: str,
    job: Mapping[str, Any],
    dataset: Dataset,
    scores: Mapping[str, Any],
    exports: Mapping[str, Any],
    written: str,
) -> str:
    """Markdown with the header that the hub reads.

    `job` is what `check` says of the entry: `entry`, its settings, and for a student `teachers`. `scores` and `exports` are the
    metrics files of the model and of its exports, `written` the latter as it is on disk. There is no commit in the card, which is
    itself an output that a commit pins: the MD5 of the scores' file stands in dvc.lock, and tells the commit.
    """
    labels = ", ".join(map(escape, dataset.labels))
    return CARD.format(
        **{"kind": kind, "name": name, "task": dataset.task, "metric": dataset.metric, "data": dataset.folder.name},
        **{"fp32": FP32, "int8": INT8, "rows": exports["rows"], "max_length": dataset.max_length},
        header=to_yaml({"library_name": _library(dataset, job), "pipeline_tag": dataset.spec.pipeline, "tags": TAGS}, sort=True),
        origin=_origin(job),
        size=f"{scores['layers']} layers × {scores['hidden_size']}, {millions(scores['parameters'])}M parameters",
        files=_files(f"data/{kind}/{name}", scores, exports, dataset.metric),
        units=dataset.spec.units,
        decided="".join(f"\n{UNTOLD if scores[key] == 1 else text}" for key, text in FITTED.items() if key in scores),
        kept=_kept(scores),
        mended=f"\n{mended[0].upper()}{mended[1:]}." if (mended := exports["quantization"]["told"]) else "",
        example="texts.txt" if dataset.spec.inputs == ("text",) and not dataset.pairs else f"rows.jsonl  # {_row(dataset)}",
        purpose=dataset.spec.purpose.format(data=dataset.folder.name, labels=labels),
        entry=to_yaml({kind: {name: job["entry"]}}, sort=True),
        found=f"data/metrics/exports/{kind}/{name}.json",
        md5=hashlib.md5(written.encode(), usedforsecurity=False).hexdigest(),
        stage="export" if kind == "students" else "export-teacher",
    )


def _row(dataset: Dataset) -> str:
    """A row of what is to be answered."""
    columns = (*dataset.spec.inputs, *(["text_pair"] if dataset.pairs else []))
    parts = ", ".join(f'"{column}": "…"' for column in columns)
    return f"{{{parts}}}"


def _library(dataset: Dataset, job: Mapping[str, Any]) -> str:
    apart = job["entry"].get("init", {}).get("bi_encoder", False)
    return "sentence-transformers" if dataset.spec.embeds or apart else "transformers"


def _files(model: str, scores: Mapping[str, Any], exports: Mapping[str, Any], metric: str) -> str:
    rows = (
        (model, "torch, fp32", {**scores, metric: scores.get("shipped", scores[metric])}),
        (FP32, f"ONNX, fp32{_beside(exports['fp32'])}", exports["fp32"]),
        (INT8, f"ONNX, INT8{_beside(exports['int8'])}", exports["int8"]),
    )
    return "\n".join(f"| {file} | {what} | {millions(scores['bytes'])} | {scores[metric]:.4f} |" for file, what, scores in rows)


def _beside(measured: Mapping[str, Any]) -> str:
    """Where the weights of a large model are."""
    return "".join(f", weights in `{file}` beside it" for file in measured["files"] if file not in (FP32, INT8))


def _kept(scores: Mapping[str, Any]) -> str:
    if "retention" not in scores:
        return ""
    low, high = scores["retention_low"], scores["retention_high"]
    who = "Its seeds keep, on average," if len(scores.get("seeds", ())) > 1 else "It keeps"
    some = f" on the {scores['retention_rows']:,} test rows that it has answered" if "retention_rows" in scores else ""
    whose = "the score of its teachers' mean" if "further" in scores else "its teacher's score"
    return f"\n{who} {scores['retention']:.1%} of {whose}{some} (95% interval {low:.1%} to {high:.1%})."


def _origin(job: Mapping[str, Any]) -> str:
    if "teachers" not in job:
        return "fine-tuned"
    if job["entry"]["recipe"] == "supervised":
        return "trained on the labels alone, without a teacher,"
    teachers = " and ".join(f"the teacher `{teacher}`" for teacher in job["teachers"])
    return f"distilled by the recipe `{job['entry']['recipe']}` from {teachers}"
