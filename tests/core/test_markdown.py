"""What others have written stays what it is in Markdown."""

import pytest
from markdown_it import MarkdownIt

from distill.core.markdown import escape


@pytest.mark.parametrize(
    "text",
    [
        "entity_f1",
        "__bold__ and _not_",
        "a*b*c",
        "<5 years",
        "a|b",
        "[x](y)",
        "`code`",
        "~~gone~~",
        "\\*",
        "snake_case_ _x",
        "<img src=x>",
    ],
)
def test_text_is_shown_as_it_is(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parseInline(escape(text))[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "".join(token.content for token in tokens) == text


def test_lines_are_one() -> None:
    assert escape("# a\n\n# b") == "# a # b"
    assert escape("entity_f1") == "entity_f1"
