"""`annotators`: language models behind an endpoint that label rows, and `selections`: which rows they are asked about."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from distill.core.settings import Positive, Seed, Split
from distill.core.validation import Strict

ANNOTATED = ("sequence-classification", "multi-label")
"""The tasks whose rows a language model labels."""
Price = Annotated[float, Field(ge=0)]


class Budget(Strict):
    """The most that an annotator may use, what it has used in earlier runs included. Not given: no limit."""

    requests: Positive | None = None
    tokens: Positive | None = None
    """Of prompts and answers, as the server counts them."""


class Prices(Strict):
    """Of a million tokens, in any currency: `python -m distill plan` multiplies."""

    prompt: Price
    answer: Price


class AnnotatorSettings(Strict):
    """A language model behind an OpenAI-compatible endpoint (vLLM, Ollama, llama.cpp, hosted ones) labels rows.

    Every answer is kept in data/responses.sqlite as it arrives, by the whole request: none is paid for twice. What is
    written, data/annotations/NAME, is a table for `given`.
    """

    rows: Annotated[str, Field(pattern=r"^data/(prepared|selections)/[A-Za-z0-9_-]+$")]
    """data/prepared/NAME, an entry of `datasets` or `augmentations`, or data/selections/NAME, an entry of `selections`."""
    splits: Annotated[tuple[Split, ...], Field(min_length=1)] = ("train",)
    """Of data/prepared/NAME, whose rows are labelled. Test rows with answers are what students' retention is measured against."""
    limit: Positive | None = None
    """The most rows of each split, a seeded sample. Not given: all."""
    endpoint: str = "http://localhost:8000/v1"
    """The address to which `/chat/completions` is added."""
    model: str
    """As the server calls it."""
    key: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; unset for servers that ask for none. The key itself is written nowhere."""
    instruction: str | None = None
    """What the labels mean to you: the first paragraph of the prompt. Other words are other requests. Not given: "Choose
    the label that fits the text best."; of multi-label, "Choose all labels that apply to the text."."""
    descriptions: dict[str, str] = Field(default={})
    """Of labels, by their names, for the prompt."""
    examples: Annotated[int, Field(ge=0)] = 0
    """Labelled training rows that stand in each prompt, a seeded, stratified sample (few-shot)."""
    votes: Positive = 1
    """Samples a row, at temperature 1 if there are several: where the server gives no log-probabilities, their shares are the
    soft label. A row whose first answer has log-probabilities is not asked again."""
    log_probabilities: bool = True
    """Ask for the log-probabilities of the answer's tokens, from which those of the labels follow. Multi-label: not asked for."""
    max_tokens: Positive = 64
    """The longest answer. Models that reason first need more, and so do multi-label rows of many labels."""
    body: dict[str, Any] = Field(default={})
    """Further fields of each request, as the server takes them, such as `{reasoning_effort: low}`."""
    parallel: Positive = 8
    """Requests in flight."""
    requests_a_minute: Positive | None = None
    """The most that are begun."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that an answer may take; then the request is sent again."""
    budget: Budget = Budget()
    """Once it is used up, the rows that are answered are written, and the others counted."""
    prices: Prices | None = None
    seed: Seed = 1
    """Of `limit` and `examples`; votes are sampled with the seeds from 0 on."""

    @model_validator(mode="after")
    def _body_is_further(self) -> "AnnotatorSettings":
        own = {
            "model",
            "messages",
            "temperature",
            "seed",
            "max_tokens",
            "response_format",
            "logprobs",
            "top_logprobs",
            "n",
            "stream",
        }
        if given := sorted(own & set(self.body)):
            raise ValueError(f"body: {', '.join(given)} follows from the other settings; remove it from body")
        return self


class SelectionSettings(Strict):
    """The rows that a student is least sure of, to be labelled next, by an annotator or by people (uncertainty sampling).

    Written to data/selections/NAME: the rows that `rows` has annotated already, and `count` more.
    """

    rows: Annotated[str, Field(pattern=r"^data/(prepared|annotations)/[A-Za-z0-9_-]+$")]
    """data/prepared/NAME: its training rows without a label; data/annotations/NAME: those that it lacks."""
    student: str
    """An entry of `students`, trained on what there is."""
    count: Positive
    by: Literal["entropy", "margin"] = "entropy"
    """The highest entropy of the student's probabilities, or the smallest difference of the two highest. Multi-label: the sum of
    the labels' entropies, or the label whose yes and no are nearest."""
