"""What a table of answers calls the labels of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.core.errors import UserError
from distill.core.settings import nearest
from distill.preparation.labels import Reader, quoted, shown


@dataclass(frozen=True)
class Names:
    """The labels of a data set, by the names of the table."""

    labels: tuple[str, ...]
    """The data set's, in the order of its logits."""
    index: Mapping[str, int]
    """By name of the table."""
    order: tuple[int, ...] | None
    """Which labels the items of the table's lists are of; None if nobody says."""
    reader: Reader

    @classmethod
    def of(
        cls,
        labels: tuple[str, ...],
        given: Sequence[str] | Mapping[str, str] | None,
        told: Sequence[str] | None,
        carried: Sequence[str] | None = None,
    ) -> "Names":
        """`given` is what params.yaml says; `told`, what the table says of the order of its lists; `carried`, of its classes."""
        own = {label: number for number, label in enumerate(labels)}
        renames = dict(given) if isinstance(given, Mapping) else {}
        listed = tuple(told if given is None and told is not None else () if given is None or renames else given)
        for name in (*renames.values(), *listed):
            if name not in own:
                raise UserError(f"labels: '{name}' is no label of the data set{nearest(name, labels)}")
        if listed and len(listed) < len(labels):
            left = next(label for label in labels if label not in listed)
            raise UserError(
                f"labels: has {len(listed)} of the data set's {len(labels)} labels, '{left}' is not there; give them all"
            )
        index = own | {name: own[label] for name, label in renames.items()}
        order = tuple(own[label] for label in listed) if listed else None
        return cls(labels, index, (0,) if len(labels) == 1 else order, Reader(carried))

    def find(self, value: Any) -> int:
        """The number of a label; a ValueError if it is none."""
        text = self.reader.read(value)
        if isinstance(text, str) and text in self.index:
            return self.index[text]
        hint = nearest(str(value), self.labels) if len(self.labels) < 1000 else f"; expected one of {shown(self.labels)}"
        raise ValueError(
            f"names the label {value!r:.60}, which the data set has not{hint}; name it: labels: {{{quoted(value)}: NAME}}"
        )
