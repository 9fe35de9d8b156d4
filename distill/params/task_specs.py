"""What differs between tasks, in one table without torch: to add a task, begin here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

TaskName = Literal[
    "sequence-classification",
    "multi-label",
    "regression",
    "token-classification",
    "question-answering",
    "masked-lm",
    "sentence-embedding",
    "ranking",
    "causal-lm",
]

Per = Literal["row", "token", "position"]
"""What an output has one vector of: a row, a real token, or a token at which something is to be predicted (a masked one, or one
whose next token is)."""


@dataclass(frozen=True)
class TaskSpec:
    """One task, as params.yaml, the stages and transformers see it. Its computations are a class of distill/tasks/."""

    auto_model: str
    """The class of transformers that loads a model with the task's head."""
    pipeline: str
    """What the hub and transformers call the task."""
    purpose: str
    """What a model is for, in its card; may name `{data}` and `{labels}`."""
    logits_per: Per
    """What the teacher's logits are one vector of."""
    metrics: tuple[str, ...]
    """The default first; all are the higher the better."""
    columns: tuple[str, ...]
    """What is read of `columns` in params.yaml."""
    keys: tuple[str, ...] = ()
    """The keys of `datasets` that only some tasks have, of which this is one."""
    inputs: tuple[str, ...] = ("text",)
    """What a row must have for `predict`."""
    names_labels: bool = False
    """Whether labels are classes or tags with names: those of a model have to be those of the data."""
    labels_per_token: bool = False
    problem_type: str | None = None
    """What transformers tells tasks with the same head apart by, in a model's config, and so whether its pipelines give
    probabilities or numbers; None if the head tells the task."""
    windows: bool = False
    """Whether rows are windows of examples, which are kept beside them."""
    vocabulary: bool = False
    """Whether logits are over the whole vocabulary."""
    embeds: bool = False
    """Whether a model's answer is a vector of whatever width, not logits, and the texts of a pair are rows of their own."""
    groups: bool = False
    """Whether rows come in groups (the passages of a query), which are cut, batched and scored whole."""
    numbers: bool = False
    """Whether the logits of a row are one number and labels are numbers: soft targets are learnt by squared error."""
    causal: bool = False
    """Whether a token's label is the token after it, and a model sees nothing of what comes later."""
    not_audited: str | None = None
    """Why a teacher cannot contradict the labels."""
    not_given: str | None = None
    """Why a table of answers cannot be its targets."""

    @property
    def not_compared_by_row(self) -> str | None:
        """Why a row of the task has no one divergence from what the teacher says of it."""
        if self.vocabulary:
            return "the targets of language models are replayed, a few tokens at a time"
        if self.embeds:
            return "vectors are compared by their recipes, each in its way"
        return "passages of a query are learnt together" if self.groups else None

    @property
    def pairs(self) -> bool:
        """Whether a model reads a row's two texts together."""
        return "text_pair" in self.columns and not self.embeds

    @property
    def texts(self) -> bool:
        """Whether a row is a text, or a pair of texts."""
        return ("text" in self.columns and "spans" not in self.columns) or self.groups

    @property
    def head(self) -> str:
        """What the names of transformers' classes with the task's head have behind `For`."""
        return self.auto_model.removeprefix("AutoModelFor")

    @property
    def correlated(self) -> bool:
        """Whether models agree by how far their answers, numbers or vectors, go together."""
        return self.embeds or (self.numbers and not self.groups)

    @property
    def units(self) -> str:
        """What scores are means over."""
        return "questions" if self.windows else "queries" if self.groups else "rows"


LABELLED = ("unlabelled", "labelled", "transfer", "bad_rows")
"""The keys of tasks whose labels are values of a column."""

_CLASSES = TaskSpec(
    auto_model="AutoModelForSequenceClassification",
    pipeline="text-classification",
    purpose="puts texts like those of `{data}` into one of the classes {labels}",
    logits_per="row",
    metrics=("accuracy", "macro_f1", "f1", "mcc"),
    columns=("text", "text_pair", "label", "id"),
    keys=("labels", *LABELLED, "teacher_tokenizer", "teacher_max_length"),
    names_labels=True,
    problem_type="single_label_classification",
)
TASK_SPECS: dict[str, TaskSpec] = {
    "sequence-classification": _CLASSES,
    "multi-label": replace(
        _CLASSES,
        purpose="tells which of the labels {labels} apply to texts like those of `{data}`",
        metrics=("micro_f1", "macro_f1", "map"),
        columns=("text", "text_pair", "label", "labels", "id"),
        problem_type="multi_label_classification",
    ),
    "regression": replace(
        _CLASSES,
        purpose="gives texts like those of `{data}` a number",
        metrics=("pearson", "spearman"),
        keys=(*LABELLED, "teacher_tokenizer", "teacher_max_length"),
        names_labels=False,
        numbers=True,
        problem_type="regression",
    ),
    "token-classification": TaskSpec(
        auto_model="AutoModelForTokenClassification",
        pipeline="token-classification",
        purpose="finds entities in texts like those of `{data}`; its tags are {labels}",
        logits_per="token",
        metrics=("entity_f1", "token_accuracy", "macro_f1"),
        columns=("tokens", "tags", "text", "spans", "id"),
        keys=("labels", *LABELLED),
        names_labels=True,
        labels_per_token=True,
    ),
    "question-answering": TaskSpec(
        auto_model="AutoModelForQuestionAnswering",
        pipeline="question-answering",
        purpose="finds the answers to questions in contexts like those of `{data}`",
        logits_per="token",
        metrics=("f1", "exact_match"),
        columns=("question", "context", "answers", "id"),
        keys=("stride", "labelled", "transfer", "bad_rows"),
        inputs=("question", "context"),
        windows=True,
        not_given="its targets are two logits for each token of a window, which no table of answers has",
    ),
    "masked-lm": TaskSpec(
        auto_model="AutoModelForMaskedLM",
        pipeline="fill-mask",
        purpose="tells the words behind masks in texts like those of `{data}`; a start for further distillation",
        logits_per="position",
        metrics=("accuracy",),
        columns=("text", "id"),
        keys=("maskings", "mask_probability"),
        labels_per_token=True,
        vocabulary=True,
        not_audited="the labels of masked-lm are the text itself, which no teacher can contradict",
        not_given="its targets are over all tokens of a tokenizer, which no table of answers has",
    ),
    "sentence-embedding": TaskSpec(
        auto_model="AutoModel",
        pipeline="sentence-similarity",
        purpose="makes vectors of texts like those of `{data}`, whose cosine says how alike two texts are",
        logits_per="row",
        metrics=("spearman", "ndcg_at_10", "recall_at_1", "recall_at_10"),
        columns=("text", "text_pair", "label", "id"),
        keys=("transfer", "bad_rows", "sentences", "teacher_tokenizer", "teacher_max_length"),
        embeds=True,
        not_audited="rows of sentence-embedding have no labels that a teacher could contradict",
    ),
    "ranking": TaskSpec(
        auto_model="AutoModelForSequenceClassification",
        pipeline="text-ranking",
        purpose="puts passages in the order in which they answer a query, for queries and passages like those of `{data}`",
        logits_per="row",
        metrics=("ndcg_at_10", "mrr"),
        columns=("query", "passage", "label", "group", "id"),
        keys=(*LABELLED, "teacher_tokenizer", "teacher_max_length"),
        inputs=("query", "passage"),
        groups=True,
        numbers=True,
    ),
    "causal-lm": TaskSpec(
        auto_model="AutoModelForCausalLM",
        pipeline="text-generation",
        purpose="continues texts like those of `{data}`, token by token",
        logits_per="position",
        metrics=("likelihood", "accuracy"),
        columns=("text", "prompt", "response", "messages", "input_ids", "id"),
        keys=("bad_rows",),
        labels_per_token=True,
        vocabulary=True,
        causal=True,
        not_audited="the labels of causal-lm are the text itself, which no teacher can contradict",
        not_given="its targets are over all tokens of a tokenizer; docs/decoders.md says which tables have such",
    ),
}

RELEVANCE = ("relevance",)
"""What a model that ranks calls its one number."""
ENTITY_TAG = re.compile(r"O|[BIESLUMW]-.+")
"""Of BIO, BIOES or BILOU: outside of all entities, or a place in one of a type."""


def names_entities(tags: Iterable[str]) -> bool:
    """Whether tags are those of entities, of which a whole one is found or not; others are classes of words."""
    return all(map(ENTITY_TAG.fullmatch, tags))


PER_ROW = tuple(name for name, spec in TASK_SPECS.items() if spec.logits_per == "row")
"""Tasks of one answer a row: another tokenizer's student can learn from its logits."""
NOT_REWORDED = {
    "ranking": "a query with other words is another query",
    "masked-lm": "the text is its own label: give more text",
    "causal-lm": "the text is its own label: give more text",
}
"""Tasks whose rows cannot be reworded, and why."""
REWORDED = tuple(name for name in TASK_SPECS if name not in NOT_REWORDED)
