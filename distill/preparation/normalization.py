"""What makes two texts the same text."""

import functools
import sys
import unicodedata


@functools.cache
def _blanked() -> dict[int, str | None]:
    """Punctuation and control characters to blanks, what is not printed to nothing."""
    kinds = ((code, unicodedata.category(chr(code))) for code in range(sys.maxunicode + 1))
    return {code: None if kind == "Cf" else " " for code, kind in kinds if kind[0] == "P" or kind in ("Cc", "Cf")}


def normalized(text: str) -> str:
    """A text without case, punctuation, spacing and Unicode form; one of punctuation alone as it stands, without spacing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_blanked()).split()) or "".join(folded.split())
