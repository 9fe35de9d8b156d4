"""What several files of tests of target sets read."""

import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from distill.data.dataset import Dataset
from tests import tiny
from tests.stores import MANY, materialize


@pytest.fixture(scope="session")
def model() -> PreTrainedModel:
    """A random 4-layer teacher."""
    return tiny.bert(layers=4)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory, model: PreTrainedModel, dataset: Dataset) -> Path:
    """Its target set, of many shards: read only."""
    return materialize(model, dataset, tmp_path_factory.mktemp("many") / "targets" / "many", MANY)


@pytest.fixture
def copy(tmp_path: Path, many: Path) -> Path:
    """A copy of the set, to be damaged."""
    return Path(shutil.copytree(many, tmp_path / "targets" / "copy"))


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """A data set of each task: read only."""
    folder = tmp_path_factory.mktemp("tasks")
    return {
        task: Dataset.open(tiny.prepare_task(folder / task, task, sizes=(24, 8, 8))) for task in (*tiny.TASKS, tiny.EMBEDDING)
    }
