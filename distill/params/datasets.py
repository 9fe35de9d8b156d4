"""`datasets`: rows made ready for a tokenizer and a task."""

from typing import Annotated

from pydantic import Field, model_validator

from distill.core.settings import Checkpoint, Strict
from distill.params.task_specs import TASK_SPECS, TaskName

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Columns(Strict):
    """Which raw column plays which part; each task has its own parts."""

    text: str = "text"
    text_pair: str | None = None
    """The second text of a pair."""
    label: str = "label"
    """A class, or for regression a number. Empty (null) labels make transfer rows: the teacher's soft targets are all that is
    learnt from them; so with `tags` and `answers`."""
    tokens: str = "tokens"
    """Token classification: a list of words a row."""
    tags: str = "tags"
    """Token classification: a list of tags (O, B-type, I-type) a row, one a word."""
    question: str = "question"
    context: str = "context"
    answers: str = "answers"
    """Question answering: `{text: [...], answer_start: [...]}` as in SQuAD; empty lists if the context has no answer."""
    id: str | None = None
    """A column of unique ids, checked for duplicates."""


class Splits(Strict):
    """Each split is a split of the source, by name, or a fraction cut from the training rows.

    Fractions are stratified by label where labels are classes, keep questions on the same context together, and else random.
    """

    train: str = "train"
    validation: str | Fraction | None = None
    """Not given: the source's `validation` if it has one, else 0.1."""
    test: str | Fraction | None = None
    """Not given: the source's `test` if it has one, else 0.1."""


class Limits(Strict):
    """The most rows to keep of a split: a seeded, stratified sample. Questions and texts count before they are cut to windows."""

    train: Annotated[int, Field(gt=0)] | None = None
    validation: Annotated[int, Field(gt=0)] | None = None
    test: Annotated[int, Field(gt=0)] | None = None


class DatasetSettings(Strict):
    """One prepared data set."""

    source: str
    """The folder data/raw/SOURCE: an entry of `sources`, or data put there with `dvc add`."""
    task: TaskName = "sequence-classification"
    """What is learnt: the models' head, the columns that are read, the scores. docs/tasks.md"""
    tokenizer: Checkpoint
    """Of the teacher, and of all students that compare tokens with it."""
    columns: Columns = Columns()
    labels: tuple[str, ...] | None = None
    """The label (or tag) names in the model's order. Not given: those of the source, or the sorted ones of the training rows."""
    drop_empty: bool = False
    """Drop rows with an empty text instead of refusing them: GLUE's QQP has two. Masked LM always does."""
    splits: Splits = Splits()
    limit: Limits = Limits()
    max_length: Annotated[int, Field(ge=4)] = 128
    """Tokens, special tokens included; longer rows are truncated, and counted. Long contexts and corpora are cut to windows."""
    stride: Annotated[int, Field(ge=0)] | None = None
    """Question answering: tokens that neighbouring windows of a context share. Not given: a third of max_length, 128 of 384."""
    maskings: Annotated[int, Field(gt=0)] = 1
    """Masked LM: how many fixed maskings the training split has of each chunk of text; the other splits have one."""
    mask_probability: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Masked LM: the share of tokens that are to be predicted. 0 masks nothing, for students of hidden states alone: one token of
    each row is asked for as it stands."""
    teacher_tokenizer: Checkpoint | None = None
    """The tokenizer of a teacher with another vocabulary. Rows then join the targets of the data set which that teacher saw
    (same texts, this tokenizer, `teacher_max_length`); only logits of whole rows can be joined so."""
    teacher_max_length: Annotated[int, Field(ge=4)] | None = None
    """Not given: max_length."""
    metric: str | None = None
    """The score that picks the best epoch and that retention is measured in. Not given: the task's first of accuracy macro_f1
    f1 mcc (classes), pearson spearman (regression), entity_f1 (tags), f1 exact_match (answers), accuracy (masked LM)."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Rows of different splits are near-duplicates from this Jaccard similarity of word trigrams on."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of fractions, limits and masks."""

    @property
    def chosen_metric(self) -> str:
        """The metric, or the task's default."""
        return self.metric or TASK_SPECS[self.task].metrics[0]

    @model_validator(mode="after")
    def _labels_differ(self) -> "DatasetSettings":
        if self.labels is not None and (len(set(self.labels)) < len(self.labels) or len(self.labels) < 2):
            raise ValueError("labels: expected at least two names, each once")
        return self

    @model_validator(mode="after")
    def _fits_the_task(self) -> "DatasetSettings":
        """Refuse what another task alone reads, given here or inherited."""
        spec = TASK_SPECS[self.task]
        for key in dict.fromkeys(key for each in TASK_SPECS.values() for key in each.keys):
            if key in self.model_fields_set and getattr(self, key) is not None and key not in spec.keys:
                tasks = " and ".join(name for name, each in TASK_SPECS.items() if key in each.keys)
                raise ValueError(f"{key}: belongs to {tasks}, the task is {self.task}; remove it")
        for part in sorted(self.columns.model_fields_set - set(spec.columns)):
            if getattr(self.columns, part) is not None:
                raise ValueError(f"columns.{part}: {self.task} reads {', '.join(spec.columns)}; remove it")
        if self.metric is not None and self.metric not in spec.metrics:
            raise ValueError(f"metric: {self.task} has {', '.join(spec.metrics)}, got {self.metric!r:.60}")
        if self.teacher_max_length is not None and self.teacher_tokenizer is None:
            raise ValueError("teacher_max_length: goes with teacher_tokenizer; give that, or remove this")
        return self
