"""No row's soft target comes from a teacher that has seen it: proved from example ids, with teachers that record what they saw."""

import torch

from distill.training.trainer import Trained
from tests import tiny

LABELLED = tuple(task for task in tiny.TASKS if task != "masked-lm")
FOLDS = 3


class Recorder:
    """In place of training: notes the example ids that a run learns from, and writes its number into the model's answers."""

    def __init__(self) -> None:
        self.seen: list[set[bytes]] = []

    def __call__(self, model, rows, *_, seed, **__) -> Trained:
        self.seen.append({rows.rows.ids[row].tobytes() for row in rows.chosen})
        with torch.no_grad():
            head = getattr(model, "classifier", None) or model.qa_outputs
            head.weight.zero_()
            head.bias.fill_(float(10 ** (len(self.seen) - 1)))
        return Trained([], 1.0, 0.5, 1.0)
