"""The way of a row: texts → requests → responses, kept one by one → votes, or a distribution over labels."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.annotation.answers import Distribution, distribution, label_of
from distill.annotation.client import Client
from distill.annotation.prompts import Message, Request, Texts, build_request, extras, opening_of
from distill.annotation.responses import Responses, key_of
from distill.core import progress
from distill.core.errors import UserError
from distill.params.annotators import AnnotatorSettings

NOT_ASKED = "not asked: the budget is used up"


@dataclass
class Usage:
    """What requests have cost."""

    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def add(self, response: Mapping[str, Any]) -> None:
        """Count a response; a server may not say its tokens."""
        usage = response.get("usage") or {}
        self.requests += 1
        self.prompt_tokens += int(usage.get("prompt_tokens") or 0)
        self.answer_tokens += int(usage.get("completion_tokens") or 0)

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.prompt_tokens + self.answer_tokens


@dataclass(frozen=True)
class Annotation:
    """What is known of a row: votes, or a distribution; or why there is neither."""

    votes: tuple[str, ...] = ()
    distribution: Distribution | None = None
    why: str = ""


@dataclass
class Annotator:
    """The requests of rows, and what has been answered."""

    settings: AnnotatorSettings
    labels: Sequence[str]
    examples: Sequence[tuple[Texts, str]]
    responses: Responses
    opening: Sequence[Message] = field(init=False)

    def __post_init__(self) -> None:
        self.opening = opening_of(self.settings, self.labels, self.examples)

    def requests(self, texts: Texts) -> list[tuple[str, Request]]:
        """The samples of a row's answer, by key: what was asked for with them is a part of it."""
        requests = [build_request(self.settings, self.opening, texts, vote) for vote in range(self.settings.votes)]
        return [(key_of({**request, "extras": extras(self.settings, self.labels)}), request) for request in requests]

    def annotation(self, texts: Texts) -> tuple[Annotation, list[str]]:
        """What the answers that are there say of a row, and the keys of those that are read."""
        votes, reasons, read = list[str](), list[str](), list[str]()
        for key, _ in self.requests(texts):
            response = self.responses.get(key)
            if response is None:
                reasons.append(NOT_ASKED)
                continue
            read.append(key)
            label, why = label_of(response, self.labels)
            if label is None:
                reasons.append(why)
                continue
            if known := distribution(response, label, self.labels):
                return Annotation((label,), known), [key]
            votes.append(label)
        return Annotation(tuple(votes), None, "" if votes else Counter(reasons).most_common(1)[0][0]), read

    def following(self, texts: Texts) -> tuple[str, Request] | None:
        """The next request of a row; None if no further answer is needed."""
        for place, (key, request) in enumerate(self.requests(texts)):
            response = self.responses.get(key)
            if response is None:
                return key, request
            if place == 0 and (label := label_of(response, self.labels)[0]) and distribution(response, label, self.labels):
                return None
        return None

    def used(self, rows: Sequence[Texts]) -> Usage:
        """What the answers to these rows have cost, in whatever run."""
        usage = Usage()
        for texts in rows:
            for key, _ in self.requests(texts):
                if (response := self.responses.get(key)) is not None:
                    usage.add(response)
        return usage

    def within_budget(self, usage: Usage, flying: int) -> bool:
        """Whether one more request may be sent, if those in flight cost what the others did on average."""
        budget, each = self.settings.budget, usage.tokens / max(usage.requests, 1)
        spent = ((budget.requests, usage.requests + flying), (budget.tokens, usage.tokens + flying * each))
        return all(most is None or used < most for most, used in spent)

    async def ask(self, rows: Sequence[Texts], client: Client, title: str) -> None:
        """Ask what is not answered yet, within the budget. At an error no more is sent; what is in flight arrives first."""
        usage, failures = self.used(rows), list[UserError]()
        flying = 0
        unfinished = iter(rows)
        with progress.bar(total=len(rows), title=title, unit="row") as bar:

            async def work() -> None:
                nonlocal flying
                for texts in unfinished:
                    while (following := self.following(texts)) is not None:
                        if failures or not self.within_budget(usage, flying):
                            return
                        flying += 1
                        try:
                            response = await client.complete(following[1])
                            self.responses.add(following[0], response)
                            usage.add(response)
                        except UserError as failure:
                            failures.append(failure)
                        finally:
                            flying -= 1
                    bar.update()

            await asyncio.gather(*(work() for _ in range(self.settings.parallel)))
        if failures:
            raise failures[0]
