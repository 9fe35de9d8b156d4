"""The Arrow type of a column of JSON values: one that holds each of them as it is, found by looking at all."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

EXACT = 2**53
"""The largest integer up to which a fraction's type holds all."""
FIELDS = 1000
"""The most different keys of the objects of a column: more are data, not fields."""


class Kind:
    """What stands at one place of all rows: scalars, lists, objects, or several of these, for which there is no type."""

    def __init__(self) -> None:
        """Of no value yet."""
        self.scalars: set[type] = set()
        self.item: Kind | None = None
        self.fields: dict[str, Kind] | None = None
        self.crowded = self.large = False

    def add(self, value: Any) -> None:
        """Take a value into account; null fits everything."""
        if value is None:
            return
        if isinstance(value, dict):
            self.fields = {} if self.fields is None else self.fields
            for key, part in value.items():
                if key not in self.fields and len(self.fields) >= FIELDS:
                    self.crowded = True
                else:
                    self.fields.setdefault(key, Kind()).add(part)
        elif isinstance(value, list):
            self.item = self.item or Kind()
            for part in value:
                self.item.add(part)
        else:
            self.scalars.add(type(value))
            if type(value) is int and abs(value) > EXACT:
                self.large = True
                if not -(2**63) <= value < 2**63:
                    self.scalars.add(str)

    @property
    def as_text(self) -> bool:
        """Whether scalars of several kinds are kept as text."""
        return len(self.scalars) > 1 and (self.large or self.scalars != {int, float})

    def left_out(self, path: str) -> Iterator[tuple[str, str]]:
        """The places below `path` that have no type, and why."""
        forms = [what for what, there in (("a list", self.item), ("an object", self.fields)) if there is not None]
        forms += ["a value"] if self.scalars else []
        if len(forms) > 1:
            yield path, f"is {' in some rows and '.join(forms)} in others"
        elif self.crowded:
            yield path, f"has objects of more than {FIELDS} different keys"
        elif self.fields == {}:
            yield path, "is an empty object in every row"
        elif self.item is not None:
            yield from self.item.left_out(f"{path}[]")
        for key, part in (self.fields or {}).items():
            if len(forms) == 1 and not self.crowded:
                yield from part.left_out(f"{path}.{key}")

    def mixed(self, path: str) -> Iterator[str]:
        """The places whose scalars are kept as text, though some are none."""
        if self.as_text:
            yield path
        for key, part in (self.fields or {}).items():
            yield from part.mixed(f"{path}.{key}")
        if self.item is not None:
            yield from self.item.mixed(f"{path}[]")

    def type(self) -> pa.DataType | None:
        """The type that holds all values; nothing if there is none."""
        if self.crowded or sum((bool(self.scalars), self.item is not None, self.fields is not None)) > 1:
            return None
        if self.item is not None:
            item = self.item.type()
            return None if item is None else pa.list_(item)
        if self.fields is not None:
            parts = [(key, kind) for key, part in self.fields.items() if (kind := part.type()) is not None]
            return pa.struct(parts) if parts else None
        if self.as_text or self.scalars <= {str}:
            return pa.string()
        if float in self.scalars:
            return pa.float64()
        return pa.int64() if int in self.scalars else pa.bool_()

    def value(self, value: Any) -> Any:
        """A value as the type takes it: what is no text among texts becomes text as JSON writes it."""
        if value is None:
            return None
        if isinstance(value, list):
            return [self.item.value(part) for part in value] if self.item is not None else value
        if isinstance(value, dict):
            return {key: self.fields[key].value(part) for key, part in value.items() if self.fields and key in self.fields}
        return json.dumps(value) if self.as_text and not isinstance(value, str) else value
