"""`datasets`: rows made ready for a tokenizer and a task."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.params.base import Strict
from distill.params.checkpoints import Checkpoint

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Columns(Strict):
    """Which raw column plays which part."""

    text: str = "text"
    text_pair: str | None = None
    """The second text of a pair."""
    label: str = "label"
    """Empty (null) labels make transfer rows: the teacher's soft targets are all that is learnt from them."""
    id: str | None = None
    """A column of unique ids, checked for duplicates."""


class Splits(Strict):
    """Each split is a split of the source, by name, or a fraction cut from the training rows, stratified by label."""

    train: str = "train"
    validation: str | Fraction | None = None
    """Not given: the source's `validation` if it has one, else 0.1."""
    test: str | Fraction | None = None
    """Not given: the source's `test` if it has one, else 0.1."""


class Limits(Strict):
    """The most rows to keep of a split: a seeded, stratified sample."""

    train: Annotated[int, Field(gt=0)] | None = None
    validation: Annotated[int, Field(gt=0)] | None = None
    test: Annotated[int, Field(gt=0)] | None = None


class DatasetSettings(Strict):
    """One prepared data set."""

    source: str
    """The folder data/raw/SOURCE: an entry of `sources`, or data put there with `dvc add`."""
    task: Literal["sequence-classification"] = "sequence-classification"
    tokenizer: Checkpoint
    columns: Columns = Columns()
    labels: tuple[str, ...] | None = None
    """The label names in the model's order. Not given: those of the source, or the sorted names of the training rows."""
    splits: Splits = Splits()
    limit: Limits = Limits()
    max_length: Annotated[int, Field(ge=4)] = 128
    """Tokens, special tokens included; longer rows are truncated, and counted."""
    metric: Literal["accuracy", "macro_f1", "mcc"] = "accuracy"
    """The score that picks the best epoch and that retention is measured in."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Rows of different splits are near-duplicates from this Jaccard similarity of word trigrams on."""
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _labels_differ(self) -> "DatasetSettings":
        if self.labels is not None and (len(set(self.labels)) < len(self.labels) or len(self.labels) < 2):
            raise ValueError("labels: expected at least two names, each once")
        return self
