"""An augmenter of the tiny words."""

from pathlib import Path

import pytest

from distill.augmentation.augmenter import Augmenter, open_augmenter
from distill.params.augmentations import AugmentationSettings
from tests import tiny
from tests.words import masked_lm

SETTINGS = AugmentationSettings(of="news", teacher="corpus", copies=4, candidates=5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model of the tiny words."""
    tokenizer = tiny.masking_tokenizer()
    return tiny.save(masked_lm(vocabulary=len(tokenizer)), tmp_path_factory.mktemp("teachers") / "bert", tokenizer)


@pytest.fixture(scope="module")
def augmenter(teacher: Path) -> Augmenter:
    return open_augmenter(teacher, 10, SETTINGS)
