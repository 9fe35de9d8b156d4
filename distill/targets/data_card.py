"""The card of a published target set: what it holds, how it is read, and what made it. The same set has the same card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill.core.files import to_json
from distill.core.markdown import escape
from distill.data.dataset import Dataset
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore

CARD = """---
{header}---

# {name}

Soft labels for the data set `{data}` ({task}): what {teacher} answers, to train students from.

| split | rows with answers | rows without |
|---|---:|---:|
{splits}

{labels}{reading}

## What made it

```yaml
{made}```

Fingerprints, SHA-256: of the teacher's weights, or of the answers that were given, `{teacher_print}`; of the tokenizer
`{tokenizer_print}`; at most {max_length} tokens a row. Made with {libraries}.
"""
TABLE = """```python
from datasets import load_dataset

soft = load_dataset({place!r})          # columns: {columns}
```

{answers}: null where there is no answer."""
LABELS = "The labels, in the order of the logits: {labels}.\n\n"
NATIVE = """```python
from distill.store.target_set import TargetStore

logits = TargetStore.open({place!r}).output("logits", "train")
```"""


@dataclass(frozen=True)
class About:
    """What a set does not say of itself."""

    name: str
    teacher: str
    """Who answers, in words."""
    made: str
    """The entries of params.yaml that made it, as YAML."""
    place: str
    """Where it is published, for the code that reads it."""
    columns: tuple[str, ...] = ()
    """Of tables; none if the set's own files are published."""


def card(store: TargetStore, dataset: Dataset, about: About) -> str:
    """The text of README.md; `dataset` is whose rows the set answers."""
    manifest = store.manifest(LOGITS)
    prints = manifest.fingerprints
    held = {split: sum(shard.rows for shard in part.shards) for split, part in manifest.splits.items()}
    all_rows = {split: len({identity.tobytes() for identity in dataset.rows(split).ids}) for split in held}
    lines = [f"| {split} | {held[split]:,} | {max(0, all_rows[split] - held[split]):,} |" for split in sorted(held)]
    return CARD.format(
        header="".join(
            f"{key}: {to_json(value).strip()}\n" for key, value in _header(store, dataset, bool(about.columns)).items()
        ),
        name=about.name,
        data=dataset.folder.name,
        task=dataset.task,
        teacher=about.teacher,
        splits="\n".join(lines),
        labels=LABELS.format(labels=", ".join(map(escape, prints.labels))) if dataset.spec.names_labels else "",
        reading=(TABLE if about.columns else NATIVE).format(
            place=about.place, columns=", ".join(about.columns), answers=_answers(dataset)
        ),
        made=about.made,
        teacher_print=prints.teacher[:16],
        tokenizer_print=prints.tokenizer[:16],
        max_length=prints.max_length,
        libraries=", ".join(f"{library} {version}" for library, version in sorted(manifest.libraries.items())),
    )


def _answers(dataset: Dataset) -> str:
    """What the columns of answers hold."""
    if dataset.spec.embeds:
        return "`embedding` is the vector of a text"
    return (
        "`score` and `logits` are the number" if dataset.spec.numbers else "`probabilities` and `logits` follow the labels’ order"
    )


def _header(store: TargetStore, dataset: Dataset, tables: bool) -> Mapping[str, Any]:
    """What the hub reads of a card; values in JSON are YAML."""
    header: dict[str, Any] = {
        "tags": ["distillation", "soft-labels"],
        "task_categories": [dataset.spec.pipeline],
    }
    if tables:
        held = [split for split in dataset.splits if split in store.manifest(LOGITS).splits]
        files = [{"split": split, "path": f"{split}.parquet"} for split in held]
        header["configs"] = [{"config_name": "default", "data_files": files}]
    return header
