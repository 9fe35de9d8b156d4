"""Large counts as people read them."""


def millions(count: int) -> str:
    """Parameters in millions, or bytes in megabytes: one decimal, or two digits of what is below one."""
    value = count / 1e6
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"
