"""How the windows of a long context overlap, as `prepare` cuts them and `predict` after it."""


def question_share(max_length: int) -> int:
    """The most tokens of a window that a question may have; it is cut there."""
    return max_length // 3


def usual_stride(max_length: int, special: int) -> int:
    """By how many tokens windows overlap where no `stride` is given: as many as a question may have, if there is room for more.

    `special` tokens stand around question and context. Negative where there is no room for both.
    """
    share = question_share(max_length)
    return min(share, max_length - share - special - 1)
