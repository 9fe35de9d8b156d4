"""Requests to an OpenAI-compatible server, several at once: at a steady rate, again after what passes, and no key in any text."""

import asyncio
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from distill.annotation.prompts import Request
from distill.core.errors import UserError
from distill.params.annotators import AnnotatorSettings

ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds between attempts: random up to the first, doubled each time, up to the second; or what the server asks for."""
KEPT_KEYS = ("choices", "usage")
"""What is kept of a response: no times and no ids of requests."""
AGAIN, NOT_TAKEN = (408, 409, 425, 429), (400, 422)
"""Statuses besides 5xx after which the same request is sent again, and by which servers say that they know a field not."""


class PassingError(Exception):
    """A failure that may pass."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        """`wait` is what the server asks for, in seconds."""
        super().__init__(why)
        self.wait = wait


class NoChoiceError(PassingError):
    """An answer that answers nothing: of a busy server, or for the text of the request if it does not pass."""


class RefusedError(UserError):
    """A request that the server does not take, whatever is left out of it: its text is too long, or not allowed."""

    def __init__(self, text: str, why: str) -> None:
        """`why` is what the server says."""
        super().__init__(text)
        self.why = why


class Client:
    """The server, and what it turned out not to take."""

    def __init__(
        self, settings: AnnotatorSettings, where: str, extras: Mapping[str, Request], say: Callable[[str], None]
    ) -> None:
        """`where` names the entry in errors; `say` tells what the server does not take."""
        self.where, self.settings, self.extras, self.say = where, settings, dict(extras), say
        self.key = os.environ.get(settings.key, "")
        self.sent = 0
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self._http = httpx2.AsyncClient(headers=headers, timeout=settings.timeout)
        self._next = 0.0

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def complete(self, request: Request) -> dict[str, Any]:
        """The server's answer; raises UserError where sending it again is of no use, RefusedError if that is for its text."""
        wait = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

        def seconds(state: RetryCallState) -> float:
            failure = state.outcome.exception() if state.outcome else None
            asked = failure.wait if isinstance(failure, PassingError) else None
            return wait(state) if asked is None else asked

        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(PassingError), stop=stop_after_attempt(ATTEMPTS), wait=seconds, reraise=True
            ):
                with attempt:
                    return await self._send(request)
        except PassingError as failure:
            text = (
                f"{self.where}: {self._place}: {failure}, {ATTEMPTS} times; see that the server runs and how much it takes "
                "(`parallel`, `requests_a_minute`, `timeout`), then run again: the answers that came are kept"
            )
            raise RefusedError(text, str(failure)) if isinstance(failure, NoChoiceError) else UserError(text) from None
        raise AssertionError

    async def _send(self, request: Request, refusals: Mapping[str, httpx2.Response] = MappingProxyType({})) -> dict[str, Any]:
        """Without the fields that were refused before; these are left out from now on if the server takes the rest."""
        tried = {name: extra for name, extra in self.extras.items() if name not in refusals}
        await self._turn()
        self.sent += 1
        try:
            body = {**request, **{name: value for extra in tried.values() for name, value in extra.items()}}
            response = await self._http.post(self._place, json=body)
        except httpx2.TimeoutException:
            raise PassingError(f"no answer within {self.settings.timeout:g} s") from None
        except httpx2.TransportError as error:
            raise PassingError(f"no connection ({self._safe(str(error) or type(error).__name__)})") from None
        except (httpx2.InvalidURL, ValueError) as error:
            raise UserError(
                f"{self.where}.endpoint: {self._safe(str(error))}; expected an address such as http://host:8000/v1"
            ) from None
        if response.status_code in NOT_TAKEN and tried:
            return await self._send(request, {**refusals, next(iter(tried)): response})
        self._require_success(response)
        for extra, refusal in refusals.items():
            self._leave_out(extra, refusal)
        try:
            content = response.json()
            answered = bool(content["choices"])
            kept = {key: content[key] for key in KEPT_KEYS if content.get(key)}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PassingError(f"got {self._safe(response.text)!r:.80}, expected JSON with `choices`") from None
        if not answered:
            raise NoChoiceError(f"no choices in the answer: {self._told(response)}")
        return kept

    async def _turn(self) -> None:
        """Wait until the next request may begin."""
        if self.settings.requests_a_minute is not None:
            now = asyncio.get_running_loop().time()
            begin = max(now, self._next)
            self._next = begin + 60 / self.settings.requests_a_minute
            await asyncio.sleep(begin - now)

    def _leave_out(self, extra: str, response: httpx2.Response) -> None:
        """Do without a field from now on, as the server does not take it."""
        if self.extras.pop(extra, None) is not None:
            self.say(f"the server does not take {extra} ({self._told(response)}); goes on without")

    def _require_success(self, response: httpx2.Response) -> None:
        status, told = response.status_code, self._told(response)
        if status in AGAIN or status >= 500:
            raise PassingError(f"status {status} ({told})", _retry_after(response))
        if status in (401, 403):
            state = "is refused" if self.key else "is not set"
            raise UserError(f"{self.where}.key: status {status} ({told}): ${self.settings.key} {state}; put a valid key there")
        if status != 200:
            text = (
                f"{self.where}: {self._place} answers with status {status} ({told}); expected 200: see `endpoint`, `model` "
                f"('{self.settings.model}') and `body`"
            )
            raise RefusedError(text, f"refused by the server: {told}") if status in NOT_TAKEN else UserError(text)

    @property
    def _place(self) -> str:
        return f"{self.settings.endpoint.rstrip('/')}/chat/completions"

    def _told(self, response: httpx2.Response) -> str:
        return " ".join(self._safe(response.text).split())[:200] or "no reason given"

    def _safe(self, text: str) -> str:
        """Text of the server's, which may repeat the key."""
        return text.replace(self.key, "…") if self.key else text


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait, if it says so in seconds."""
    try:
        return min(float(response.headers.get("retry-after", "")), LONGEST_WAIT)
    except ValueError:
        return None
