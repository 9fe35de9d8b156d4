"""`given`: answers that were made elsewhere, as a target set: by an API, a language model, people, a model without weights here.

A section of its own, as `ensembles` has one: DVC interpolates the teacher of each entry of `targets`, and a given set has none.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.core.settings import Strict

FORMS = ("probabilities", "logits", "log_probabilities", "votes", "label", "score", "embedding", "logprobs")
"""The ways to write an answer down."""
KEYS = ("id", "text", "tokens")
"""What tells whose answer a row of the table is."""

PerLabel = str | dict[str, str]


class GivenColumns(Strict):
    """Which columns of the table say whose answer a row is, and what it is: one key and one form."""

    id: str | None = None
    """A column of ids: those of the data set's `columns.id`, or where it has none, example ids in hexadecimal."""
    text: str | None = None
    """A column of texts, letter by letter those of the data set; of ranking, queries."""
    text_pair: str | None = None
    """Of pairs, beside `text`: the second text; of ranking, the passage."""
    tokens: str | None = None
    """Token classification: a column of lists of words."""
    probabilities: PerLabel | None = None
    """A column of lists, or of mappings of labels to probabilities; or LABEL: COLUMN, a column a label. Labels that a row does
    not name share what is left of 1. Multi-label: each label has its own, none may be missing. Tokens: a list of these."""
    logits: PerLabel | None = None
    """The same, of unnormalized numbers; none may be missing."""
    log_probabilities: PerLabel | None = None
    """The same, of natural logarithms: such as the few likeliest tokens of an API. What is missing shares the rest of 1."""
    votes: str | None = None
    """Labels that were drawn, or given by several people: a list a row, or one a row and as many rows as votes. Null is no vote.
    Multi-label and tokens: each vote is a list."""
    label: str | None = None
    """One label a row: multi-label and tokens, a list."""
    score: str | None = None
    """Regression: a number; ranking: a score, the higher the more relevant."""
    embedding: str | None = None
    """Sentence embedding: a list of numbers, as many in each row. Each text of a pair has a row of its own."""

    logprobs: str | None = None
    """Conversations of causal-lm: what OpenAI-compatible servers return with `logprobs: true`, `{content: […]}`, for tokens of
    a row's last response; of training rows."""

    @property
    def form(self) -> str:
        """Which of FORMS is given."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def key(self) -> str:
        """Which of KEYS is given."""
        return next(key for key in KEYS if getattr(self, key) is not None)

    @model_validator(mode="after")
    def _one_of_each(self) -> "GivenColumns":
        for what, names in (("whose answers these are", KEYS), ("the answers", FORMS)):
            there = [name for name in names if getattr(self, name) is not None]
            if len(there) != 1:
                raise ValueError(f"expected one column of {what}: {', '.join(names)}; got {' and '.join(there) or 'none'}")
        if self.text_pair is not None and self.text is None:
            raise ValueError("text_pair: goes with text; give that too, or remove it")
        return self


class Votes(Strict):
    """How votes become probabilities."""

    prior: Annotated[float, Field(ge=0)] = 1.0
    """α of a symmetric Dirichlet distribution: of n votes, of which n_c are for label c among C, p_c = (n_c + α) / (n + αC), the
    posterior mean. Multi-label: (n_c + α) / (n + 2α). 0 takes the shares as they are."""


class GivenSettings(Strict):
    """A target set of logits from a table of answers."""

    table: Annotated[str, Field(pattern=r"^data/(raw/[A-Za-z0-9_-]+|annotations/[A-Za-z0-9_-]+/rows)$")]
    """data/raw/SOURCE, an entry of `sources` or data put there with `dvc add`; or data/annotations/NAME/rows, what an entry of
    `annotators` has answered. All its splits are one table."""
    dataset: str
    """Whose rows are answered: an entry of `datasets`, or of `augmentations`."""
    columns: GivenColumns
    labels: tuple[str, ...] | dict[str, str] | None = None
    """What the table calls the data set's labels. A list: their order in the table's lists, which cannot be told from them.
    A mapping, NAME IN THE TABLE: NAME IN THE DATA SET, renames."""
    votes: Votes | None = None
    """Not given: a prior of 1 for `votes`, of 0 for `label`."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Answers are softened by it, softmax(log p / T): above 1 for a source that is surer than it is right."""
    missing: Literal["error", "skip"] = "error"
    """Of rows of the data set without an answer, where others of their split have one: refuse, or leave them out of what is
    learnt from answers. A split without any answer is left out either way."""

    @property
    def prior(self) -> float:
        """Of votes, or of single labels."""
        return self.votes.prior if self.votes is not None else float(self.columns.form == "votes")

    @model_validator(mode="after")
    def _fits_the_form(self) -> "GivenSettings":
        form = self.columns.form
        if self.votes is not None and form not in ("votes", "label"):
            raise ValueError(f"votes: smooths votes and labels, the answers are {form}; remove it")
        if form == "logprobs" and self.missing != "error":
            raise ValueError("missing: of logprobs every training row needs its answer; remove it, and drop the rows without")
        if form in ("score", "embedding", "logprobs"):
            answers = {"score": "scores", "embedding": "vectors"}.get(form, "logprobs of tokens")
            for key, value, default in (("temperature", self.temperature, 1.0), ("labels", self.labels, None)):
                if value != default:
                    raise ValueError(f"{key}: is of labels, the answers are {answers}; remove it")
        if isinstance(self.labels, tuple) and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: expected names in order, each once")
        if isinstance(self.labels, dict) and len(set(self.labels.values())) < len(self.labels):
            raise ValueError("labels: two names of the table are one label of the data set; answers of both cannot be added up")
        return self
