"""Conversations: what is wrong with one, and the text that a chat template makes of it."""

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from distill.core.errors import UserError, one_line
from distill.preparation.nested import as_text

USER, ASSISTANT = "user", "assistant"
ROLES = {"human": USER, "gpt": ASSISTANT, "chatgpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT}
"""What others call them: ShareGPT, whose turns have `from` and `value`, Gemini."""
OTHERS = ("system", "developer", "tool", "function")
"""Roles whose words are read and not learnt."""
Turns = Sequence[dict[str, str]]
"""`role` and `content` of each turn, in their order."""
Span = tuple[int, int]
"""Characters of a text, from, to."""
DATES = "strftime_now"
"""What templates call to write today's date."""
FIXED_DATE = (
    f"{{%- macro {DATES}(format) -%}}{{{{ format | replace('%d', '26') | replace('%b', 'Jul') | replace('%B', 'July')"
    " | replace('%m', '07') | replace('%Y', '2024') }}{%- endmacro -%}"
)
"""Takes its place, for rows of today have to be those of tomorrow: the date that Llama 3.2's template has where none is given."""


def turns_of(value: Any) -> Any:
    """A conversation by the usual `role` and `content` where it has others (ShareGPT's `from` and `value`); all else as it is."""
    return [_turn(turn) for turn in value] if isinstance(value, list) else value


def _turn(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    if isinstance(turn.get("from"), str) and turn.get("role") is None and turn.get("content") is None:
        more = {key: part for key, part in turn.items() if key not in ("from", "value", "role", "content")}
        turn = {**more, "role": turn["from"], "content": turn.get("value")}
    role = turn.get("role")
    return {**turn, "role": ROLES.get(role, role)} if isinstance(role, str) else turn


def problem(value: Any) -> str | None:
    """What is wrong with a conversation, None if nothing is."""
    if not isinstance(value, list) or not value:
        return f"holds {value!r:.60}, expected a list of {{role: …, content: …}}{as_text(value)}"
    for turn in value:
        if not isinstance(turn, dict) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
            return f"has the turn {turn!r:.60}, expected {{role: …, content: …}}, both text"
        if more := sorted(key for key, part in turn.items() if part is not None and key not in ("role", "content")):
            return f"has a turn with '{more[0]}', expected role and content alone"
        if turn["role"] not in (USER, ASSISTANT, *OTHERS):
            return f"has a turn of '{turn['role']:.20}', expected {USER}, {ASSISTANT}, {', '.join(OTHERS)}; rename the role"
        if not turn["content"].strip() and turn["role"] != "system":
            return f"has a turn of '{turn['role']:.20}' without words"
    if value[0]["role"] == ASSISTANT and len(value) > 1:
        return f"begins with a turn of '{ASSISTANT}', expected what it answers to; put a turn before it, or take it out"
    if value[-1]["role"] != ASSISTANT:
        return f"ends with a turn of '{value[-1]['role']:.20}', expected one of '{ASSISTANT}', whose words are learnt"
    return None if len(value) > 1 else f"has one turn alone, expected what '{ASSISTANT}' answers to"


def rendered(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> tuple[str, list[Span]]:
    """The text of a conversation, and the parts of it that the assistant says: with the template's marks behind each.

    Without a chat template a prompt and its response are one text, as they stand.

    Raises:
        UserError: there is no template for several turns, it refuses these, leaves one out, or what it writes of a turn changes
            with later ones.
    """
    if not tokenizer.chat_template:
        if [turn["role"] for turn in turns] != [USER, ASSISTANT]:
            raise UserError("its tokenizer has no chat template; give prompt and response, or a tokenizer that has one")
        prompt, response = (turn["content"] for turn in turns)
        return prompt + response, [(len(prompt), len(prompt) + len(response))]
    whole, spans = _render(tokenizer, turns), list[Span]()
    for number, turn in enumerate(turns):
        if turn["role"] in OTHERS and turn["content"].strip() not in whole and _without(tokenizer, turns, number) == whole:
            raise UserError(
                f"the chat template leaves out turn {number}, of '{turn['role']}'; put its words into one of '{USER}', take it "
                "out, or take a tokenizer whose template has such turns"
            )
        if turn["role"] == ASSISTANT:
            before = _render(tokenizer, turns[:number], add_generation_prompt=True)
            after = _render(tokenizer, turns[: number + 1])
            if not (whole.startswith(before) and whole.startswith(after) and len(before) < len(after)):
                raise UserError(
                    f"the chat template writes turn {number} in another way once later turns are there, so what is learnt cannot "
                    "be told; make a row of each response, the turns before it as they would be then"
                )
            spans.append((len(before), len(after)))
    return whole, spans


def _without(tokenizer: PreTrainedTokenizerBase, turns: Turns, number: int) -> str | None:
    """What the template makes of all other turns; None if it refuses these."""
    try:
        return _render(tokenizer, [*turns[:number], *turns[number + 1 :]])
    except UserError:
        return None


def _render(tokenizer: PreTrainedTokenizerBase, turns: Turns, *, add_generation_prompt: bool = False) -> str:
    given = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    template = tokenizer.get_chat_template()
    template = FIXED_DATE + template if DATES in template else template
    how: Any = {"chat_template": template, "tokenize": False, "add_generation_prompt": add_generation_prompt}
    try:
        return str(tokenizer.apply_chat_template(given, **how))
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"the chat template refuses it: {one_line(error)}") from None
