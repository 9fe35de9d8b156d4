"""What the terms of a loss are means over, so that an optimizer step is the same however its rows are split into batches.

A step is `gradient_accumulation` batches of each process. A term is computed as a mean over what its own batch holds, and has
the share in the step's mean that `shares` tells. So gradients are those of one large batch, though the parts have unequally many
rows, tokens or labels.

Labels are divided not by how many labels the step holds, but by how many it is expected to hold: the weight of a row's label
does not depend on which other rows happen to be beside it, and a step without labels is one that learns from the teacher alone.
Expected are, of each row, the share of labelled lines in the training split; a row's lines are one (row or window), or the
tags that it has, or would have at the labelled rows' number of tags a token. A label weighs as its row does (`sample_weight`),
and the share is that of the labels' weight. Where all rows are labelled and weigh the same, it is the mean over the labels.

Targets that were given may lack rows, or tokens of rows: these are then what is expected of rows or tokens, as of labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED, PreparedRows

Kind = Literal["rows", "tokens", "pairs", "labels", "groups"]
"""Rows; real tokens; pairs of two real tokens of a row; labels of rows, windows or tokens, by weight; groups of rows."""
KINDS: tuple[Kind, ...] = ("rows", "tokens", "pairs", "labels", "groups")


def labels_a_row(rows: PreparedRows) -> Array:
    """How many labels each row has, (rows,) int64: of a row or a window one or none, of tokens as many as are labelled."""
    known = np.isfinite(rows.labels) if rows.labels.dtype.kind == "f" else rows.labels != UNLABELLED
    if len(known) == len(rows):
        return np.asarray(known if known.ndim == 1 else known.any(axis=1), np.int64)
    running = np.concatenate([[0], np.cumsum(known)])
    return np.asarray(running[rows.offsets[1:]] - running[rows.offsets[:-1]])


def expected_labels(rows: PreparedRows, labels: Array, held: Array, chosen: Array) -> Array:
    """What the labels of a row are expected to weigh, (rows,) float64, so that it is true of all that are chosen together.

    `labels` are how many each row has, `held` what they weigh, (rows,); `chosen` are the rows that are trained on.
    """
    labelled = labels > 0
    if not held[chosen].any():
        return np.zeros(len(rows))
    per_token = rows.labels_per_token
    without = rows.lengths * (labels.sum() / rows.lengths[labelled].sum()) if per_token else np.ones(len(rows))
    lines = np.where(labelled, labels, without)
    return np.asarray(lines * (held[chosen].sum() / lines[chosen].sum()))


def expected_targets(lines: Array, lengths: Array, chosen: Array) -> Array:
    """How many lines of targets a row is expected to have, (rows,) float64, where some are lacking; `lines` are what it has.

    `lengths` are how many lines each would have; `chosen` are the rows that are trained on.
    """
    return np.asarray(lengths * (lines[chosen].sum() / max(1, lengths[chosen].sum())))


def counts(lengths: Array, held: Array, expected: Array, groups: int) -> tuple[Float[Tensor, " kinds"], Float[Tensor, " kinds"]]:
    """Of a batch, by KINDS: what it holds, and what a term of the step is divided by; `lengths` are its rows' tokens."""
    alike = [len(lengths), lengths.sum(), np.square(lengths).sum()]
    held_and_expected = (torch.tensor([*alike, labels.sum(), groups], dtype=torch.float32) for labels in (held, expected))
    return next(held_and_expected), next(held_and_expected)


def mean_divisors(batches: Sequence[Mapping[str, Any]]) -> Float[Tensor, " kinds"]:
    """What the terms of each of a step's batches are divided by: the mean, for the losses of the batches are averaged."""
    return torch.stack([batch["divisors"] for batch in batches]).mean(dim=0)


def shares(batch: Mapping[str, Any]) -> dict[Kind, Float[Tensor, ""]]:
    """What a mean over the batch is to be multiplied by; a batch whose `divisors` are its own is a step of its own."""
    divisors: Tensor = batch["divisors"]
    found = batch["counts"] / divisors.clamp(min=torch.finfo(divisors.dtype).tiny)
    return dict(zip(KINDS, found.unbind(), strict=True))
