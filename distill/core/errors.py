"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can put right: the text says what was got, what was expected and what to do.

    Stages print it as one line and exit with 1; nothing else is shown.
    """
