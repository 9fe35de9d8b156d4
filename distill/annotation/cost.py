"""What is left to be asked, and what that costs: from the answers that are there, without asking."""

from collections.abc import Sequence
from typing import Any

from distill.annotation.annotator import Annotator, Usage
from distill.annotation.prompts import Texts, user_prompt

CHARACTERS_A_TOKEN, ANSWER_TOKENS = 4.0, 12.0
"""Before the first answer."""


def estimate(annotator: Annotator, rows: Sequence[Texts]) -> dict[str, Any]:
    """Requests and tokens that were used and are left, and their price. What is left is a guess until some rows are answered.

    Tokens a character of a prompt, and tokens an answer, are those of the answers that are there. Where these have
    log-probabilities, a row is one request, else as many as it has votes.
    """
    settings = annotator.settings
    opening = sum(len(message["content"]) for message in annotator.opening)
    used, characters_used, characters_left, left, soft = Usage(), 0, 0, 0, False
    for texts in rows:
        characters = opening + len(user_prompt(texts))
        annotation = annotator.annotation(annotator.requests(texts))
        used.include(annotation.usage)
        soft = soft or annotation.distribution is not None
        waiting = len(annotation.missing)
        characters_used += characters * (settings.votes - waiting if not annotation.distribution else 1)
        if waiting:
            asked = 1 if soft and waiting == settings.votes else waiting
            left += asked
            characters_left += characters * asked
    each = used.prompt_tokens / characters_used if used.prompt_tokens else 1 / CHARACTERS_A_TOKEN
    answer = used.answer_tokens / used.requests if used.answer_tokens else ANSWER_TOKENS
    result: dict[str, Any] = {
        "rows": len(rows),
        "used": vars(used),
        "left": {"requests": left, "prompt_tokens": round(each * characters_left), "answer_tokens": round(answer * left)},
        "measured": used.prompt_tokens > 0,
    }
    if settings.prices is not None:
        prices = settings.prices
        for part in ("used", "left"):
            tokens = result[part]
            price = tokens["prompt_tokens"] * prices.prompt + tokens["answer_tokens"] * prices.answer
            result[part]["price"] = round(price / 1e6, 6)
    return result
