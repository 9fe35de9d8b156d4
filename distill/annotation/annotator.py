"""The way of a row: texts → requests → responses, kept one by one → votes, or a distribution over labels."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.annotation.answers import Distribution, distribution, vote_of
from distill.annotation.client import Client, RefusedError
from distill.annotation.forms import Form, Vote
from distill.annotation.prompts import Message, Request, Texts, build_request, extras, opening_of
from distill.annotation.responses import Responses, key_of
from distill.core import progress
from distill.core.errors import UserError
from distill.params.annotators import AnnotatorSettings

NOT_ASKED = "not asked: the budget is used up"
MOST_REFUSED = 10
"""So many requests refused one after the other are not for their texts."""


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

    def include(self, other: "Usage") -> None:
        """Count what another has counted."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.answer_tokens += other.answer_tokens

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.prompt_tokens + self.answer_tokens


@dataclass(frozen=True)
class Annotation:
    """What is known of a row: votes, or a distribution; or why there is neither."""

    votes: tuple[Vote, ...]
    distribution: Distribution | None
    why: str
    read: tuple[str, ...]
    """The keys of the answers that say so."""
    missing: tuple[tuple[str, Request], ...]
    """The requests that are still to be sent, by key."""
    usage: Usage
    """What all answers of the row have cost, in whatever run."""


@dataclass
class Annotator:
    """The requests of rows, and what has been answered."""

    settings: AnnotatorSettings
    form: Form
    examples: Sequence[tuple[Texts, Vote]]
    responses: Responses
    opening: Sequence[Message] = field(init=False)
    refused: dict[str, str] = field(init=False, default_factory=dict)
    """What the server said of requests that it did not take, by key; a later run sends them again."""

    def __post_init__(self) -> None:
        self.opening = opening_of(self.settings, self.form, self.examples)

    def requests(self, texts: Texts) -> list[tuple[str, Request]]:
        """The samples of a row's answer, by key: what was asked for with them is a part of it."""
        requests = [build_request(self.settings, self.opening, texts, vote) for vote in range(self.settings.votes)]
        return [(key_of({**request, "extras": extras(self.settings, self.form)}), request) for request in requests]

    def annotation(self, requests: Sequence[tuple[str, Request]]) -> Annotation:
        """What the answers that are there say of a row, by its requests. A distribution is all that is needed of it."""
        votes, reasons, read, missing = list[Vote](), list[str](), list[str](), list[tuple[str, Request]]()
        soft, usage = list[tuple[str, str, Distribution]](), Usage()
        for key, request in requests:
            response = self.responses.get(key)
            if response is None:
                missing += [(key, request)] if key not in self.refused else []
                reasons.append(self.refused.get(key, NOT_ASKED))
                continue
            usage.add(response)
            read.append(key)
            vote, why = vote_of(response, self.form)
            if vote is None:
                reasons.append(why)
            elif isinstance(vote, str) and (known := distribution(response, vote, self.form.labels)):
                soft.append((key, vote, known))
            else:
                votes.append(vote)
        if soft:
            key, label, known = soft[0]
            return Annotation((label,), known, "", (key,), (), usage)
        why = "" if votes else Counter(reasons).most_common(1)[0][0]
        return Annotation(tuple(votes), None, why, tuple(read), tuple(missing), usage)

    def used(self, rows: Sequence[Texts]) -> Usage:
        """What the answers to these rows have cost, in whatever run."""
        usage = Usage()
        for texts in rows:
            usage.include(self.annotation(self.requests(texts)).usage)
        return usage

    def within_budget(self, usage: Usage, flying: int) -> bool:
        """Whether one more request may be sent, if those in flight cost what the others did on average."""
        budget, each = self.settings.budget, usage.tokens / max(usage.requests, 1)
        spent = ((budget.requests, usage.requests + flying), (budget.tokens, usage.tokens + flying * each))
        return all(most is None or used < most for most, used in spent)

    async def ask(self, rows: Sequence[Texts], client: Client, title: str) -> None:
        """Ask what is not answered yet, within the budget. At an error no more is sent; what is in flight arrives first.

        A request that is refused is none, unless many are one after the other, or all.
        """
        usage, failures, refusals = self.used(rows), list[UserError](), list[RefusedError]()
        flying = 0
        unfinished = iter(rows)
        with progress.bar(total=len(rows), title=title, unit="row") as bar:

            async def work() -> None:
                nonlocal flying
                for texts in unfinished:
                    requests = self.requests(texts)
                    while missing := self.annotation(requests).missing:
                        if failures or not self.within_budget(usage, flying):
                            return
                        flying += 1
                        key, request = missing[0]
                        try:
                            response = await client.complete(request)
                            self.responses.add(key, response)
                            usage.add(response)
                            refusals.clear()
                        except RefusedError as refusal:
                            self.refused[key] = refusal.why
                            refusals.append(refusal)
                            failures.extend(refusals[MOST_REFUSED - 1 : MOST_REFUSED])
                        except UserError as failure:
                            failures.append(failure)
                        finally:
                            flying -= 1
                    bar.update()

            await asyncio.gather(*(work() for _ in range(self.settings.parallel)))
        if refusals and usage.requests == 0:
            failures += refusals
        if failures:
            raise failures[0]
