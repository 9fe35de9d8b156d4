"""Answers that are read as they are written and may be meant otherwise: what is said of them."""

from collections.abc import Iterator, Mapping

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import Dataset
from distill.params.given import GivenSettings
from distill.params.task_specs import names_entities
from distill.targets.given.join import AnsweredSplit
from distill.targets.given.numbers import OFF


def doubts(dataset: Dataset, splits: Mapping[str, AnsweredSplit], settings: GivenSettings) -> Iterator[str]:
    """A line for each doubt: probabilities in place of logits, and scores that are of another range than the labels.

    Neither a correlation nor an order tells: both are the same on every scale.
    """
    logits = np.concatenate([part.logits[np.isfinite(part.logits).all(axis=1)] for part in splits.values()])
    shares = bool(len(logits)) and bool(((logits >= 0) & (logits <= 1)).all())
    if settings.columns.form == "logits" and shares and (dataset.task == "multi-label" or _sum_to_one(logits)):
        yield "its logits are all from 0 to 1, as probabilities are; if they are some: columns.probabilities"
    tags = dataset.spec.names_labels and dataset.spec.labels_per_token
    if tags and names_entities(dataset.labels) and _begins_by_i(dataset, splits):
        yield "its entities begin with I-, as in IOB1, the data set's with B-; students would learn both: give answers in BIO"
    if settings.columns.form != "score":
        return
    if dataset.spec.groups and shares:
        yield "its scores are all from 0 to 1, as probabilities are; scores of rankings are log-odds: give log(p / (1 - p))"
    labels = np.concatenate([dataset.rows(split).labels for split in splits])
    labels = labels[np.isfinite(labels)]
    if not dataset.spec.groups and len(labels):
        ranges = [f"{part.min():.4g} to {part.max():.4g}" for part in (logits, labels)]
        yield f"its scores are from {ranges[0]}, the labels from {ranges[1]}; students learn both as one scale"


def _begins_by_i(dataset: Dataset, splits: Mapping[str, AnsweredSplit]) -> bool:
    """Whether more entities begin with an I- than with a B-, though in the data set's own tags none or few do."""
    begun = {"B": 0, "I": 0}
    for part in splits.values():
        answered = part.logits[np.isfinite(part.logits).all(axis=1)]
        last = "O"
        for tag in (dataset.labels[number] for number in answered.argmax(axis=1)):
            if tag[0] == "B" or (tag[0] == "I" and tag[2:] != last[2:]):
                begun[tag[0]] += 1
            last = tag
    return begun["I"] > begun["B"]


def _sum_to_one(logits: Array) -> bool:
    return logits.shape[1] > 1 and bool((np.abs(logits.sum(axis=1) - 1) <= OFF).all())
