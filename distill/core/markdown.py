"""Markdown made of what others have written, such as the names of labels."""

import re

MARKS = re.compile(r"([\\|<>*`~\[\]]|(?<![^\W_])_|_(?![^\W_]))")
"""What Markdown may take for its own; `_` within a word it does not."""


def escape(text: str) -> str:
    """Text that Markdown takes for text, on one line."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))
