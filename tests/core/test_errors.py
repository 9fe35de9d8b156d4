"""What an error of a library says is told in a line, whatever it says."""

import pytest

from distill.core.errors import first_line, one_line


@pytest.mark.parametrize(
    ("error", "first", "whole"),
    [
        (ValueError("  one\n two "), "one", "one two"),
        (ValueError("x" * 300), "x" * 200, "x" * 200),
        (ValueError(), "ValueError", "ValueError"),
        (KeyError(), "KeyError", "KeyError"),
        (KeyError("geluu"), "there is no 'geluu'", "there is no 'geluu'"),
    ],
)
def test_the_message_is_told_or_the_kind_of_an_error_without_one(error: Exception, first: str, whole: str) -> None:
    assert (first_line(error), one_line(error)) == (first, whole)
