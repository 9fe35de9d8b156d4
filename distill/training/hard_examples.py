"""The rows that a student is worst at, of those that a step looks at (Kamalloo et al. 2022, "Glitter", arXiv 2203.09391).

Of each k1 rows a step learns from the k2 whose answers are farthest from the teacher's, which are cached: looking costs one
forward pass of the student, without dropout and gradients, and none of the teacher.
"""

import math
from collections.abc import Mapping
from typing import Any

from distill.models.evaluating import evaluating
from distill.training.objective import DistillationModel


def hardest(model: DistillationModel, batch: Mapping[str, Any], one_of: int) -> list[int]:
    """The `places` in a collator's batch of the hardest 1/`one_of` of its rows (rounded up), in the batch's order.

    Hard are those of large divergences; rows without targets come last.
    """
    divergences = model.objective.row_divergences
    assert divergences is not None
    with evaluating(model):
        found = divergences(model.model(**{name: batch[name] for name in model.inputs if name in batch}), batch)
    order = found.nan_to_num(nan=-1.0).argsort(descending=True, stable=True)[: math.ceil(len(found) / one_of)]
    chosen: list[int] = batch["places"][order.sort().values.to(batch["places"].device)].tolist()
    return chosen
