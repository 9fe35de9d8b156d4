"""Losses between the scores of passages that belong to one query. Means are over queries.

Scores are those of whole groups, one after the other; `groups` says which query each is of.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

PADDING = -1e6
"""The score of no passage: its probability is 0 in fp32, and its difference between two models is finite."""


def by_group(values: Float[Tensor, " n"], groups: Int[Tensor, " n"], padding: float = PADDING) -> Float[Tensor, "groups longest"]:
    """A line a group, in their order, padded to the largest; rows of a group are neighbours."""
    lines = torch.cat([groups.new_zeros(1), (groups[1:] != groups[:-1]).long().cumsum(0)])
    sizes = lines.bincount()
    columns = torch.arange(len(values), device=values.device) - (sizes.cumsum(0) - sizes)[lines]
    return values.new_full((len(sizes), int(sizes.max())), padding).index_put((lines, columns), values)


def listwise_kl(
    student: Float[Tensor, " n"], teacher: Float[Tensor, " n"], groups: Int[Tensor, " n"], temperature: float
) -> Float[Tensor, ""]:
    """T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)), the softmax being over the passages of a query.

    The probabilities are those that each passage stands first: Cao et al. 2007, "Learning to Rank: From Pairwise Approach to
    Listwise Approach"; as a distillation loss Ren et al. 2021, "RocketQAv2" (arXiv 2110.07367).
    """
    student_logs, teacher_logs = (
        functional.log_softmax(by_group(z.float(), groups) / temperature, dim=1) for z in (student, teacher)
    )
    return functional.kl_div(student_logs, teacher_logs, reduction="batchmean", log_target=True) * temperature**2


def margin_mse(
    student: Float[Tensor, " n"], teacher: Float[Tensor, " n"], labels: Float[Tensor, " n"], groups: Int[Tensor, " n"]
) -> Float[Tensor, ""]:
    """MSE of margins, ((s⁺ − s⁻) − (t⁺ − t⁻))², over the pairs of a more and a less relevant passage of a query.

    Hofstätter et al. 2020, "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation" (arXiv
    2010.02666): of a query, a relevant passage and another. Here a query's pairs are all that its group has, and their mean
    counts once. Where no label is known (NaN), any two passages are a pair; a query without pairs adds 0.
    """
    error = by_group(student.float() - teacher.float(), groups, 0.0)
    relevance, there = by_group(labels, groups, torch.nan), by_group(torch.ones_like(labels), groups, 0.0).bool()
    any_two = (there[:, :, None] & there[:, None, :]).triu(diagonal=1)
    unknown = relevance.isnan().all(dim=1)[:, None, None]
    pairs = torch.where(unknown, any_two, relevance[:, :, None] > relevance[:, None, :])
    squares = (error[:, :, None] - error[:, None, :]).square() * pairs
    return (squares.sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)).mean()
