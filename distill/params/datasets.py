"""`datasets`: rows made ready for a tokenizer and a task."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from distill.core.settings import Checkpoint, OpenFraction, Positive, Seed
from distill.core.validation import Strict
from distill.params.task_specs import TASK_SPECS, TaskName

LEARNT = ("label", "labels", "tags", "spans", "answers", "response")
"""Parts of `columns` that are learnt, not read."""

Value = str | int | bool
"""A label as params.yaml may write it."""


def _as_text(value: Any) -> str:
    """A label as rows have it once they are read: text, without blanks around it."""
    if isinstance(value, (bool, int)):
        return str(value).lower()
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError(
        f"got {value!r:.60}, expected a label: text (in quotes if YAML reads it otherwise), a whole number, true, false"
    )


def _labels_as_text(given: Any) -> Any:
    if isinstance(given, dict):
        named = [(_as_text(value), _as_text(name)) for value, name in given.items()]
        if twice := next((value for i, (value, _) in enumerate(named) if value in dict(named[:i])), None):
            raise ValueError(f"{twice!r:.60} is there twice, with blanks around it and without; write it once")
        return dict(named)
    if isinstance(given, (list, tuple)):
        return tuple(_labels_as_text(item) if isinstance(item, dict) else _as_text(item) for item in given)
    raise ValueError(f"got {given!r:.60}, expected a list of names or of VALUE: NAME, or a mapping of values to names")


Labels = Annotated[
    tuple[str | dict[str, str], ...] | dict[str, str],
    BeforeValidator(_labels_as_text, json_schema_input_type=list[Value | dict[str, Value]] | dict[str, Value]),
]

Unlabelled = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda given: tuple(map(_as_text, given if isinstance(given, (list, tuple)) else [given])),
        json_schema_input_type=Value | list[Value],
    ),
]


class Columns(Strict):
    """Which raw column plays which part; each task has its own parts."""

    text: str = "text"
    """Token classification: goes with `spans`. Causal LM: documents, unless `messages`, `prompt` and `response`, or `input_ids`
    are given."""
    prompt: str | None = None
    """Causal LM: what is asked; goes with `response`, which alone is learnt."""
    response: str | None = None
    messages: str | None = None
    """Causal LM: conversations, a list of `{role: …, content: …}` a row; what the role `assistant` says is learnt."""
    input_ids: str | None = None
    """Causal LM: rows that are tokenized already, a list of ids a row; all tokens but the first are learnt."""
    text_pair: str | None = None
    """The second text of a pair. Sentence embedding: null where a row is a single text; without scores, what the first asks for.
    """
    label: str | None = "label"
    """A class, or for regression and ranking a number. Empty (null) labels make transfer rows: the teacher's soft targets are
    all that is learnt from them; so with `tags` and `answers`. Sentence embedding: how alike a pair is, which is measured and
    not learnt; null where a column of that name says something else."""
    labels: tuple[str, ...] | None = None
    """Multi-label: one column of 0 and 1 a label, named as the label; instead of `label`, a column of lists of labels."""
    tokens: str = "tokens"
    """Token classification: a list of words a row."""
    tags: str = "tags"
    """Token classification: a list of tags (O, B-type, I-type) a row, one a word."""
    spans: str | None = None
    """Token classification, in place of `tokens` and `tags`: entities as spans of characters of `text`, a list of [start, end,
    type] or of {start: …, end: …, label: …} a row, as doccano, Label Studio, Prodigy and spaCy have them. docs/tasks.md"""
    question: str = "question"
    context: str = "context"
    answers: str = "answers"
    """Question answering: `{text: [...], answer_start: [...]}` as in SQuAD; empty lists if the context has no answer."""
    query: str = "query"
    passage: str = "passage"
    """Ranking: a query and one of its passages a row; `label` says how relevant that is: 0, 1, or more of a longer scale."""
    group: str | None = None
    """Ranking: a column of what tells which rows are ranked together; not given: those of the same query."""
    id: str | None = None
    """A column of unique ids, checked for duplicates."""


class Splits(Strict):
    """Each split is a split of the source, by name, or a fraction cut from the training rows.

    Fractions are stratified by label where labels are classes, keep questions on the same context and the
    passages of a query together, and else random.
    """

    train: str = "train"
    validation: str | OpenFraction | None = None
    """Not given: the source's `validation` if it has one, else 0.1, and at least a row of each class."""
    test: str | OpenFraction | None = None
    """Not given: the source's `test` if it has one, else 0.1, and at least a row of each class."""


class Limits(Strict):
    """The most rows to keep of a split: a seeded, stratified sample, of ranking whole groups.

    Questions and texts count before they are cut to windows.
    """

    train: Positive | None = None
    validation: Positive | None = None
    test: Positive | None = None


class DatasetSettings(Strict):
    """One prepared data set."""

    REPLACED: ClassVar = {
        "drop_empty": "is gone; write `bad_rows: drop`, which leaves out rows with empty texts and other bad rows"
    }

    source: str
    """The folder data/raw/SOURCE: an entry of `sources`, or data put there with `dvc add`."""
    task: TaskName = "sequence-classification"
    """What is learnt: the models' head, the columns that are read, the scores. docs/tasks.md"""
    tokenizer: Checkpoint
    """Of the teacher, and of all students that compare tokens with it."""
    columns: Columns = Columns()
    labels: Labels | None = None
    """The classes, or tags. A list: their names in the model's order; an item may be VALUE: NAME, which renames; names alone of a
    column of numbers are those of the sorted numbers. A mapping VALUE: NAME renames some and leaves the order. Values with one
    name are one class. Not given: the source's names, or the training rows' values, sorted. docs/tasks.md"""
    unlabelled: Unlabelled | None = None
    """The value, or values, that stand for no label: such as -1, which is a class unless the hub's schema has it otherwise."""
    labelled: Positive | None = None
    """The most training rows that keep their labels, a seeded, stratified sample, of ranking whole groups: the rest become
    transfer rows."""
    transfer: tuple[str, ...] = ()
    """Sources whose rows are added to the training split without their labels: SOURCE is its split `train`, or SOURCE/SPLIT."""
    bad_rows: Literal["error", "drop"] = "error"
    """Of rows with an empty text or word, an unknown label, tags of another length or a broken answer, and of ranking the rows of
    a query that has one passage or no relevant one: refuse the first, or leave them out, counted and listed in
    data/prepared/NAME/dropped.jsonl. Masked LM always leaves out empty texts."""
    deduplicate: bool = False
    """Take training rows out whose text (ranking: query) stands in validation or test. Splits that are cut here never share one.
    """
    splits: Splits = Splits()
    limit: Limits = Limits()
    max_length: Annotated[int, Field(ge=4)] = 128
    """Tokens, special tokens included; longer rows are truncated, and counted. Long contexts and corpora are cut to windows.
    Causal LM: documents are packed into blocks of so many; longer conversations lose their beginning, longer
    `input_ids` their end (docs/decoders.md)."""
    stride: Annotated[int, Field(ge=0)] | None = None
    """Question answering: tokens that neighbouring windows of a context share. Not given: a third of max_length, 128 of 384."""
    maskings: Positive = 1
    """Masked LM: how many fixed maskings the training split has of each chunk of text; the other splits have one."""
    sentences: Literal[True] | None = None
    """Sentence embedding: cut single texts into sentences, each a row: at line ends, and behind `.`, `!` or `?` where no small
    letter follows. Those of fewer than four words are left out."""
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
    f1 mcc (classes), micro_f1 macro_f1 map (multi-label), pearson spearman (regression), entity_f1 token_accuracy (tags of
    entities) token_accuracy macro_f1 (other tags), f1 exact_match (answers), accuracy (masked LM), spearman (sentence
    embedding; of pairs without scores ndcg_at_10 recall_at_1 recall_at_10 spearman), ndcg_at_10 mrr (ranking), likelihood
    accuracy (causal LM)."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Rows of different splits are near-duplicates from this Jaccard similarity of character 5-grams on."""
    seed: Seed = 1
    """Of fractions, limits, `labelled` and masks."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Of `columns` what is read: of token classification either words with tags, or texts with spans."""
        unread = () if self.task != "token-classification" else ("text",) if self.columns.spans is None else ("tokens", "tags")
        return tuple(part for part in TASK_SPECS[self.task].columns if part not in unread)

    @property
    def renames(self) -> dict[str, str]:
        """Values of rows, and the names of their classes."""
        given = self.labels or ()
        items = [given] if isinstance(given, dict) else [item for item in given if isinstance(item, dict)]
        return {value: name for item in items for value, name in item.items()}

    @property
    def order(self) -> tuple[str, ...] | None:
        """The names in the model's order, if `labels` is a list."""
        if self.labels is None or isinstance(self.labels, dict):
            return None
        return tuple(dict.fromkeys(name for item in self.labels for name in ([item] if isinstance(item, str) else item.values())))

    @property
    def transfer_sources(self) -> tuple[str, ...]:
        """The sources of `transfer`, each once."""
        return tuple(sorted({named.partition("/")[0] for named in self.transfer}))

    @model_validator(mode="after")
    def _labels_differ(self) -> "DatasetSettings":
        given = self.labels if isinstance(self.labels, tuple) else ()
        plain = [item for item in given if isinstance(item, str)]
        renamed = [value for item in given if isinstance(item, dict) for value in item]
        if len(set(plain)) < len(plain) or len(set(renamed)) < len(renamed) or len(self.order or "ab") < 2:
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
        if self.columns.label is None and not spec.embeds:
            raise ValueError(f"columns.label: {self.task} has labels; name their column")
        if {"label", "labels"} <= self.columns.model_fields_set and self.columns.labels is not None:
            raise ValueError("columns.labels: stands in place of columns.label; remove one of them")
        if (self.columns.prompt is None) != (self.columns.response is None):
            raise ValueError("columns.prompt and columns.response go together; give both")
        if sum(each is not None for each in (self.columns.messages, self.columns.prompt, self.columns.input_ids)) > 1:
            raise ValueError("columns: expected one of: messages, prompt and response, input_ids")
        if self.task == "token-classification" and (odd := sorted(self.columns.model_fields_set - {*self.parts})):
            together = "tokens and tags, or text and spans"
            raise ValueError(f"columns.{odd[0]}: expected columns of {together}; remove it, or give what goes with it")
        if self.columns.input_ids is not None and "text" in self.columns.model_fields_set:
            raise ValueError("columns: expected one of: text, input_ids; remove the other")
        if self.metric is not None and self.metric not in spec.metrics:
            raise ValueError(f"metric: {self.task} has {', '.join(spec.metrics)}, got {self.metric!r:.60}")
        if self.teacher_max_length is not None and self.teacher_tokenizer is None:
            raise ValueError("teacher_max_length: goes with teacher_tokenizer; give that, or remove this")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> "DatasetSettings":
        """Refuse a column that a model would read and learn at once, and rows that would be added twice."""
        columns, learnt, read = self.columns, dict[str, str](), dict[str, str]()
        for part in self.parts:
            names = getattr(columns, part)
            of = learnt if part in LEARNT else read
            of.update(dict.fromkeys([names] if isinstance(names, str) else names or (), part))
        if columns.labels is not None:
            learnt = {name: part for name, part in learnt.items() if part != "label"}
        for name in sorted(learnt.keys() & read.keys()):
            if read[name] not in ("id", "group") and (read[name] != "text" or columns.response is None):
                raise ValueError(
                    f"columns.{learnt[name]}: '{name}' is columns.{read[name]} too, which is read; name another column"
                )
        places = [(source, split or "train") for source, _, split in (named.partition("/") for named in self.transfer)]
        if twice := [f"{source}/{split}" for source, split in places if places.count((source, split)) > 1]:
            raise ValueError(f"transfer: {twice[0]} is named twice, its rows would count twice; name it once")
        return self

    @model_validator(mode="after")
    def _labels_are_labels(self) -> "DatasetSettings":
        """Refuse classes whose rows would all lose their label."""
        values = {*self.renames, *(item for item in self.labels or () if isinstance(item, str))}
        if both := sorted(values & {*(self.unlabelled or ())}):
            raise ValueError(
                f"unlabelled: '{both[0]}' is one of labels, and stands for no label here; remove it from one of them"
            )
        return self
