"""Some raw rows, column by column, as columns are told from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.profiling.likeness import is_nan, is_prose, most

NEARLY_ALL = 0.9
"""The share of values that say what a column is; the others are broken ones, which `prepare` names."""


@dataclass(frozen=True)
class RawRows:
    """Values by column, without columns of nulls alone."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def named(self, names: Sequence[str], test: Callable[[list[Any]], bool] = bool) -> str | None:
        """The first column with one of these names, whatever the case, that passes a test of its values that are not null."""
        found = {name.lower(): name for name in reversed(self.values)}
        return next((found[name] for name in names if name in found and test(self.present(found[name]))), None)

    def present(self, name: str) -> list[Any]:
        """The values that are not null, NaN or empty."""
        return [value for value in self.values[name] if value not in (None, "") and not is_nan(value)]

    def are(self, kind: type, name: str) -> bool:
        """Whether all values that are not null are of a type."""
        return all(isinstance(value, kind) for value in self.present(name))


def nearly_all(test: Callable[[Any], bool], values: Sequence[Any]) -> bool:
    """Whether a test holds for nearly all values, and there are some."""
    return bool(values) and sum(map(test, values)) >= NEARLY_ALL * len(values)


def are_text(values: Sequence[Any]) -> bool:
    """Whether all are text, and there are some."""
    return bool(values) and all(isinstance(value, str) for value in values)


def are_prose(values: Sequence[Any]) -> bool:
    """Whether all are text, and most are prose."""
    return are_text(values) and most(is_prose, values, len(values))
