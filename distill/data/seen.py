"""Rows that are scored here, and that a model has learnt from as training rows of another data set, cut in another way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.settings import with_defaults
from distill.data.averaging import labels_a_row
from distill.data.dataset import Dataset

MORE = 0.1
"""The share of rows, beyond what stands twice in the other data set itself, from which the two were cut in two ways."""


def require_unseen(sections: dict[str, Any], place: str, dataset: Dataset, where: str) -> None:
    """Refuse the model in data/KIND/NAME if it, or one that it began with, has learnt the labels of the data set's test rows.

    What is not on this machine, where others have trained the model, is not looked at, nor a model without an entry.
    """
    for name in dict.fromkeys(_learnt_from(sections, place)):
        folder = Path("data/prepared", name)
        if folder == dataset.folder or not (folder / "dataset.json").exists():
            continue
        other = Dataset.open(folder)
        if other.spec.embeds or (other.spec.vocabulary and not dataset.spec.vocabulary):
            continue  # it has read texts, and learnt no labels
        share = _learnt(dataset, other)
        if share > _learnt(other, other) + MORE:
            raise UserError(
                f"{where}: {place} has learnt from '{name}', among whose training rows are {share:.0%} of the test rows of "
                f"'{dataset.folder.name}': scores there would mean nothing; give both data sets the same `splits` and `seed` "
                "(`labelled` and `limit` may differ)"
            )


def _learnt_from(sections: dict[str, Any], place: str) -> Iterator[str]:
    """The data sets that a model, and what it began with, were trained on."""
    _, kind, name = place.split("/")
    section = "teachers" if kind == "teachers" else "students"
    if kind == "prepared" or name not in sections[section]:
        return
    entry = with_defaults(sections, section, name)
    if kind != "inits" and entry.get("epochs") != 0:
        yield entry["dataset"]
    if kind != "teachers" and entry["init"].get("architecture") is None:
        yield from _learnt_from(sections, entry["init"]["from"])


def _learnt(dataset: Dataset, trained: Dataset) -> float:
    """The share of a data set's test rows that are labelled training rows of another; memory grows with the test rows alone."""
    wanted, rows = {each.tobytes() for each in dataset.rows("test").ids}, trained.rows("train")
    found = {key for each in rows.ids[labels_a_row(rows) > 0] if (key := each.tobytes()) in wanted}
    return sum(each.tobytes() in found for each in dataset.rows("test").ids) / len(dataset.rows("test").ids)
