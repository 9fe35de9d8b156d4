"""Shapes are checked while tests run; tiny random models and data stand in for real ones.

Libraries are imported in the fixtures: pytest-xdist's own process, which runs no test, reads this file too.
"""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from jaxtyping import install_import_hook

install_import_hook("distill", "beartype.beartype")

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from distill.data.dataset import Dataset


def pytest_configure(config: pytest.Config) -> None:
    """Bytes are a device's own: tests compare the CPU's, but for those that `pytest -m gpu` asks for."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Imports make millions of objects that stay: to look for garbage among them, as a training run does, takes half a second."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes, each of which takes file by file, none is left alone at the end with a long one: these come first."""
    if hasattr(config, "workerinput"):
        slow, tests = (
            Counter(item.path for item in items if item.get_closest_marker("slow")),
            Counter(item.path for item in items),
        )
        items.sort(key=lambda item: (-slow[item.path], -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, among what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Of several, most wait for each other: tests have a process a core."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test draws the same random numbers, and commands that it runs in this process leave its warnings alone."""
    import torch

    from distill.core import console

    torch.manual_seed(0)
    monkeypatch.setattr(console, "quiet_libraries", lambda: None)


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    from tests import tiny

    return tiny.tokenizer()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tokenizer: "PreTrainedTokenizerFast") -> Path:
    """A prepared data set: read only."""
    from tests import tiny

    return tiny.prepare(tmp_path_factory.mktemp("data") / "prepared" / "tiny", tokenizer)


@pytest.fixture(scope="session")
def dataset(prepared: Path) -> "Dataset":
    """The same, opened."""
    from distill.data.dataset import Dataset

    return Dataset.open(prepared)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, tokenizer: "PreTrainedTokenizerFast") -> Path:
    """A random 4-layer teacher on disk: read only."""
    from tests import tiny

    return tiny.save(tiny.bert(layers=4), tmp_path_factory.mktemp("teachers") / "tiny", tokenizer)


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Call with a params.yaml: an empty project of it, which becomes the working folder."""

    def make(params: str) -> Path:
        (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make
