"""`given`: answers that were made elsewhere, as a target set: by an API, a language model, people, a model without weights here.

A section of its own, as `ensembles` has one: DVC interpolates the teacher of each entry of `targets`, and a given set has none.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from distill.core.settings import Positive
from distill.core.validation import Strict

COMPRESSED = "compressed_logprobs"
FORMS = ("probabilities", "logits", "log_probabilities", "votes", "label", "score", "embedding", "logprobs", COMPRESSED)
"""The ways to write an answer down."""
OF_TOKENS = ("logprobs", COMPRESSED)
"""Those of decoders: the likeliest tokens in place of each that is predicted."""
KEYS = ("id", "text", "tokens", "input_ids")
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
    input_ids: str | None = None
    """Of `compressed_logprobs`: a column of lists of token ids, those of the data set's `columns.input_ids`."""
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
    compressed_logprobs: str | None = None
    """Rows of causal-lm that are tokenized already: log-probabilities as DistillKit compresses them, a list of lists of bytes; of
    training rows. Goes with `input_ids`, `bytepacked_indices` and `compression`."""
    bytepacked_indices: str | None = None
    """Beside `compressed_logprobs`: the ids that they are of."""

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
        named = getattr(self, self.form)
        if isinstance(named, dict) and (twice := [name for name in named.values() if list(named.values()).count(name) > 1]):
            raise ValueError(f"{self.form}: '{twice[0]}' is the column of two labels; name one for each")
        if self.text_pair is not None and self.text is None:
            raise ValueError("text_pair: goes with text; give that too, or remove it")
        parts = {name: getattr(self, name) is not None for name in ("input_ids", COMPRESSED, "bytepacked_indices")}
        if len(set(parts.values())) > 1:
            lacking = " and ".join(name for name, there in parts.items() if not there)
            raise ValueError(f"{', '.join(parts)} go together; give {lacking} too, or remove the others")
        return self


FloatType = Literal["float16", "bfloat16", "float32", "float64"]


def _polynomial_term(value: Any) -> Any:
    if value in ("sqrt", "exp") or (type(value) is int and value >= 0):
        return value
    raise ValueError(f"expected a power from 0 on, sqrt or exp, got {value!r:.60}")


Term = Annotated[
    int | Literal["sqrt", "exp"],
    BeforeValidator(_polynomial_term, json_schema_input_type=Annotated[int, Field(ge=0)] | Literal["sqrt", "exp"]),
]


class ResidualBin(Strict):
    """Consecutive values, quantized by a scale that they share."""

    scale_dtype: FloatType
    element_bits: Annotated[int, Field(gt=0, le=64)]
    num_elements: Positive


class Compression(Strict):
    """How DistillKit has compressed log-probabilities, in its words: what compression_config.yaml has, beside its files."""

    d: Annotated[int, Field(gt=1)]
    """Words of the vocabulary; an id takes ceil(log2(d)) bits."""
    k: Positive
    """Tokens that are kept in each place, the likeliest first."""
    exact_k: Annotated[int, Field(ge=0)]
    """How many of them have their log-probability as a number of its own."""
    exact_dtype: FloatType = "float32"
    polynomial_terms: tuple[Term, ...] | None = None
    """The others are a sum of these functions of their place (powers, `sqrt`, `exp`), and a residual."""
    term_dtype: FloatType = "float32"
    residual_bins: tuple[ResidualBin, ...]
    """The residuals, the first ones first; those in no bin are 0."""
    delta_encoding: bool = True
    """Whether each number is the difference from the one before it."""
    error_diffusion: bool = False
    """Whether what rounding took from a number was added to the next. DistillKit's files say it; it changes nothing here."""
    normalize_t: bool = False
    """Whether places are from 0 to 1, not 0, 1, 2, …"""

    @model_validator(mode="after")
    def _adds_up(self) -> "Compression":
        rest = self.k - self.exact_k
        if not self.exact_k <= self.k <= self.d:
            raise ValueError(f"expected exact_k <= k <= d, got {self.exact_k}, {self.k}, {self.d}")
        if rest and not self.polynomial_terms and not self.residual_bins:
            raise ValueError(
                f"says nothing of {rest} of {self.k} values; give polynomial_terms or residual_bins, or raise exact_k"
            )
        if (held := sum(each.num_elements for each in self.residual_bins)) > rest:
            raise ValueError(f"residual_bins: hold {held} values, expected at most k - exact_k, {rest}")
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
    `annotators` has answered. All its splits are one table, but where ids recur in the
    data's splits: then each answers its own."""
    dataset: str
    """Whose rows are answered: an entry of `datasets`, or of `augmentations`."""
    columns: GivenColumns
    labels: tuple[str, ...] | dict[str, str] | None = None
    """What the table calls the data set's labels. A list: their order in the table's lists, which cannot be told from them.
    A mapping, NAME IN THE TABLE: NAME IN THE DATA SET, renames."""
    votes: Votes | None = None
    """Not given: a prior of 1 for `votes`, of 0 for `label`."""
    compression: Compression | None = None
    """Of `compressed_logprobs`: DistillKit's settings. docs/decoders.md"""
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
        if form in OF_TOKENS and self.missing != "error":
            raise ValueError(f"missing: of {form} every training row needs its answer; remove it, and drop the rows without")
        if form == COMPRESSED and self.compression is None:
            raise ValueError(
                "compression: is missing; copy it from the compression_config.yaml that DistillKit wrote beside its files"
            )
        if form != COMPRESSED and self.compression is not None:
            raise ValueError(f"compression: is of {COMPRESSED}, the answers are {form}; remove it")
        if form in ("score", "embedding", *OF_TOKENS):
            answers = {"score": "scores", "embedding": "vectors"}.get(form, "logprobs of tokens")
            for key, value, default in (("temperature", self.temperature, 1.0), ("labels", self.labels, None)):
                if value != default:
                    raise ValueError(f"{key}: is of labels, the answers are {answers}; remove it")
        if isinstance(self.labels, tuple) and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: expected names in order, each once")
        if isinstance(self.labels, dict) and len(set(self.labels.values())) < len(self.labels):
            raise ValueError("labels: two names of the table are one label of the data set; answers of both cannot be added up")
        return self
