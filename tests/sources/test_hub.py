"""Data sets of the hub: batches of what the library has cached, or one line that says why not."""

from typing import Any
from unittest.mock import Mock

import datasets
import pytest
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from distill.core.errors import UserError
from distill.sources.files import read_local
from distill.sources.hub import fetch_hub
from distill.sources.streams import class_names, write_splits


def hub_data(names: list[str]) -> datasets.DatasetDict:
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict({"sentence": [f"{split} a", f"{split} b"], "label": labels}, features=features)
            for split, labels in (("train", [0, 1]), ("test", [-1, -1]))
        }
    )


def test_the_class_names_of_a_hub_data_set_survive_in_parquet_and_filtered_rows_are_gone(tmp_path, monkeypatch):
    asked: list[Any] = []
    given = hub_data(["worse", "better"])
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, revision: asked.append((*names, revision)) or given)
    assert write_splits(fetch_hub("org/data", "small", "abc123"), tmp_path) == 4
    assert asked == [("org/data", "small", "abc123")]
    tables = {split: stream.table() for split, stream in read_local(tmp_path).items()}
    assert tables["train"].to_pydict() == {"sentence": ["train a", "train b"], "label": [0, 1]}
    assert class_names(tables["train"], "label") == ("worse", "better")
    assert class_names(tables["train"], "sentence") is None
    given["train"] = given["train"].select([1])
    assert fetch_hub("org/data", None, None)["train"].table().to_pydict() == {"sentence": ["train b"], "label": [1]}


def generation_error() -> DatasetGenerationError:
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = ValueError("row 3 is no JSON")
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatasetNotFoundError("Dataset 'org/none' doesn't exist on the Hub or cannot be accessed."), "doesn't exist on the Hub"),
        (ValueError("BuilderConfig 'tiny' not found. Available: ['big']\nmore"), r"BuilderConfig 'tiny' not found. Available"),
        (RuntimeError("Dataset scripts are no longer supported, but found none.py"), "scripts are no longer supported"),
        (generation_error(), "row 3 is no JSON"),
    ],
)
def test_a_hub_data_set_that_cannot_be_used_is_refused_in_one_line(monkeypatch, error, reason):
    monkeypatch.setattr(datasets, "load_dataset", Mock(side_effect=error))
    with pytest.raises(UserError, match=f"^hub: data set 'org/none', config 'tiny' cannot be used: .*{reason}.*\\Z"):
        fetch_hub("org/none", "tiny", None)
