"""Students of vectors are chosen by what the teacher says of validation texts, so it has to say something."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.params.task_specs import TASK_SPECS
from distill.store.expected import require_expected
from distill.store.target_set import TargetStore
from tests.evaluation_splits import split_of

ALONE = split_of([2] * 6, np.full(6, np.nan, np.float32))
PAIRS = split_of([2] * 6, np.full(6, np.nan, np.float32), examples=np.array([0, 0, 1, 1, 2, 2]))
SCORED = split_of([2] * 6, np.linspace(0, 1, 6, dtype=np.float32), examples=np.array([0, 0, 1, 1, 2, 2]))


def require(split, task="sentence-embedding"):
    dataset, store = Mock(Dataset), Mock(TargetStore, folder="data/targets/api")
    dataset.spec = TASK_SPECS[task]
    require_expected(dataset, store, split)


@pytest.mark.parametrize("expected", [None, [np.nan] * 6, [np.nan] * 5 + [0.3]])
def test_vectors_of_too_few_validation_texts_are_refused(expected):
    unsaid = replace(ALONE, expected=None if expected is None else np.array(expected))
    with pytest.raises(UserError, match="data/targets/api: has vectors of too few validation texts to tell the best epoch by"):
        require(unsaid)
    require(unsaid, "sequence-classification")


def test_scores_searches_and_some_vectors_do():
    require(replace(ALONE, expected=np.array([np.nan] * 4 + [0.3, 0.4])))
    require(PAIRS)
    require(SCORED)
