"""The one exception that a user is meant to read, and what the errors of libraries say in a line of it."""


class UserError(Exception):
    """Something the user can put right: the text says what was got, what was expected and what to do.

    Stages print it as one line and exit with 1; nothing else is shown.
    """


def first_line(error: BaseException) -> str:
    """What an error of a library says, by its first line."""
    return (_said(error).strip().splitlines() or [type(error).__name__])[0][:200]


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error of a library says, all of it in one line of at most so many characters."""
    return " ".join(_said(error).split())[:most] or type(error).__name__


def _said(error: BaseException) -> str:
    """Its message; of a key that is not there, which is all that a KeyError says, that."""
    return f"there is no {error}" if type(error) is KeyError and error.args else str(error)
