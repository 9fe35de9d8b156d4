"""What a table of answers calls the labels of a data set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.core.errors import UserError
from distill.core.validation import nearest
from distill.preparation.labels import PARTED, Reader, quoted, shown
from distill.preparation.nested import nested


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
        index = own | {name.strip(): own[label] for name, label in renames.items()}
        order = tuple(own[label] for label in listed) if listed else None
        return cls(labels, index, (0,) if len(labels) == 1 else order, Reader(carried))

    def find(self, value: Any) -> int:
        """The number of a label; a ValueError if it is none."""
        text = None if isinstance(value, (dict, list)) else self.reader.read(value)
        if isinstance(text, str) and text in self.index:
            return self.index[text]
        if self._several(value):
            raise ValueError(
                f"holds {value!r:.60}, several labels in one; write a list, {self._list()} (in CSV it is read as JSON), or a row "
                "a vote, of columns.votes"
            )
        if text is None:
            raise ValueError(f"holds {value!r:.60} among its labels; write a label there, or null in place of the whole list")
        if not isinstance(text, str):
            carried = shown(self.reader.carried or ())
            raise ValueError(f"holds {value!r:.60}, no place among the names that the table carries, {carried}; mend the row")
        hint = nearest(text, self.labels) if len(self.labels) < 1000 else f"; expected one of {shown(self.labels)}"
        raise ValueError(
            f"names the label {value!r:.60}, which the data set does not have{hint}; name it: labels: {{{quoted(text)}: NAME}}"
        )

    def _several(self, value: Any) -> bool:
        """Whether what stands for a label is a list in another form: a mapping, brackets that are no JSON, labels and commas."""
        parts = [part.strip(" '\"[](){}") for part in PARTED.split(value)] if isinstance(value, str) else []
        return nested(value) or (len(parts) > 1 and all(part in self.index for part in parts if part))

    def _list(self) -> str:
        return json.dumps(self.labels[:2], ensure_ascii=False)
