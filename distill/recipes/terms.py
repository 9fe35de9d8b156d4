"""What a recipe is: a sum of weighted terms, and what they read from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional

from distill.data.averaging import Kind
from distill.losses.divergences import drawn_cross_entropy, likeliest_kl
from distill.losses.embeddings import VectorLoss, nested, principal_axes
from distill.losses.hidden_states import cosine_distance
from distill.losses.in_chunks import means_in_chunks
from distill.losses.logits import logit_mse, soft_target_kl
from distill.models.attention import CapturedAttention, Projection, attention_relation
from distill.params.students import Shapes, StudentSettings
from distill.store.output_names import (
    DRAWS,
    LIKELIEST,
    LOGITS,
    PROJECTIONS,
    TRANSFORM,
    attention_output,
    cls_output,
    hidden_output,
    projection_outputs,
)
from distill.tasks.base import Task
from distill.tasks.question_answering import NOWHERE
from distill.tasks.token_classification import real

HARD_LABELS = "hard_labels"
"""The name of the term that sample weights apply to."""
Pairs = Sequence[tuple[int, int]]
"""The student's layers and the teacher's that each learns from."""
LogitsLoss = Callable[[Tensor, Tensor, float], Tensor]
"""(student's logits, teacher's logits, temperature) → the loss"""
RankingLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(student's scores, teacher's scores, labels, groups), (rows,) each → the loss"""
AttentionLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(student's scores, teacher's scores, attention mask) → the loss"""


@dataclass(frozen=True)
class LastStates:
    """The student's last hidden states where tokens are to be predicted; what makes logits of them, and of the teacher's."""

    states: Float[Tensor, "vectors hidden"]
    embedding: Float[Tensor, "classes hidden"]
    bias: Float[Tensor, " classes"] | None
    softcap: float | None
    teacher_logits: Callable[[Tensor], Tensor]
    """Of the teacher's states of some of these tokens."""


@dataclass(frozen=True)
class Step:
    """What a term may look at: the student's outputs and the teacher's targets of one batch."""

    task: Task
    logits: Float[Tensor, "vectors classes"]
    """The student's, aligned with the teacher's: of rows, real tokens, masked positions, or starts and ends of answers; of no
    classes where terms make them of `last` themselves."""
    labels: Num[Tensor, " vectors"]
    targets: Mapping[str, Tensor]
    """By output, as the store gathers it: `hidden-NN` (real tokens, hidden), `attention-NN` (batch, heads, seq, seq) …"""
    mask: Int[Tensor, "batch seq"]
    """1 at real tokens."""
    padded: bool = True
    """Whether any token is padding."""
    hidden: Sequence[Float[Tensor, "batch seq width"]] = ()
    """The student's hidden states, 0 = embedding output; empty if no term asks for them."""
    attention: Mapping[int, Float[Tensor, "batch heads seq seq"]] = field(default_factory=dict)
    """The student's scores before mask and softmax, by layer, counted from 1; those that terms ask for."""
    current_layer: int | None = None
    """The layer, from 0, that is being trained; None if all are."""
    progress: float = 0.0
    """The share of all optimizer steps that is done, 0 ≤ p < 1."""
    groups: Int[Tensor, " vectors"] | None = None
    """Ranking: which group each row is of, whose rows are all here; None of other tasks."""
    weights: Float[Tensor, " vectors"] | None = None
    """Of the labels; None if all weigh the same."""
    gaps: bool = False
    """Whether the teacher's logits may have lines of NaN, where nobody gave any."""
    answered: Bool[Tensor, " lines"] | None = None
    """The lines of the whole batch that this step is of; None if of all."""
    last: LastStates | None = None
    """If terms read the states that an output embedding multiplies, in place of logits."""
    shares: Mapping[Kind, Float[Tensor, ""]] = field(default_factory=dict)
    """What a mean over the batch is multiplied by (distill/data/averaging.py); empty where the batch is all there is."""

    @property
    def attention_mask(self) -> Int[Tensor, "batch seq"] | None:
        """1 at real tokens; None if nothing is padded."""
        return self.mask if self.padded else None

    @property
    def teacher_logits(self) -> Float[Tensor, "vectors classes"]:
        """The teacher's logits, aligned as the student's."""
        lines = self.task.comparable(self.targets[LOGITS], self.mask)
        return lines if self.answered is None else lines[self.answered]

    def with_answers(self) -> "Step":
        """The same of the lines alone that have logits of the teacher."""
        there = self.teacher_logits.isfinite().all(dim=1)
        groups, weights = (None if part is None else part[there] for part in (self.groups, self.weights))
        logits, labels = self.logits[there], self.labels[there]
        return replace(self, logits=logits, labels=labels, groups=groups, weights=weights, answered=there)


@dataclass(frozen=True)
class Term:
    """A weighted summand of a recipe's loss."""

    name: str
    weight: float
    loss: Callable[[Step], Float[Tensor, ""]]
    over: Kind | None = None
    """What the loss is a mean over; None if over lines of logits, whatever these are of the task."""
    reads: tuple[str, ...] = ()
    """The store's outputs that it needs."""
    reads_student_hidden: bool = False
    reads_last_states: bool = False
    """Whether it makes logits itself, of `Step.last`; then the student's head does not run, and all other terms do so too."""
    reads_student_attention: tuple[int, ...] = ()
    """The student's layers, counted from 1, whose scores or relations it needs."""
    trains: nn.Module | None = None
    """A module of its own, such as a projection, that is trained with the student and not saved in it; terms may share one."""


def hard_labels(weight: float) -> Term:
    """The task's loss against the labels: cross-entropy, or squared error, the mean by weight; what has no label is skipped."""
    return Term(HARD_LABELS, weight, lambda step: step.task.hard(step.logits, step.labels, step.weights), over="labels")


def soft_targets(weight: float, temperature: float, loss: LogitsLoss = soft_target_kl, name: str = "soft_targets") -> Term:
    """A loss against the teacher's logits; where these are numbers the squared error, a KL between normals of one width."""

    def compare(step: Step) -> Tensor:
        if step.task.continuous:
            return functional.mse_loss(step.logits.float(), step.teacher_logits.float())
        return loss(step.logits, step.teacher_logits, temperature)

    return Term(name, weight, compare, reads=(LOGITS,))


def logit_term(share: Callable[[Step], float] = lambda _: 1.0) -> Term:
    """The squared error of the student's logits from a share of the teacher's; padding is no class of a window."""

    def compare(step: Step) -> Tensor:
        teacher = step.teacher_logits
        return logit_mse(step.logits, share(step) * teacher, teacher > NOWHERE)

    return Term("logits", 1.0, compare, reads=(LOGITS,))


def vector_term(name: str, loss: VectorLoss, axes: Tensor | None = None) -> Term:
    """A loss between vectors of texts, the teacher's along `axes`, (teacher's size, student's size), if there are any."""

    def compare(step: Step) -> Tensor:
        vectors = step.teacher_logits
        return loss(step.logits, vectors if axes is None else vectors @ axes.to(vectors.device))

    return Term(name, 1.0, compare, "rows", reads=(LOGITS,))


def aligned_vectors(name: str, loss: VectorLoss, shapes: Shapes, sizes: Sequence[int], *, pca: bool) -> Term:
    """A loss between vectors number by number, by `sizes` too; with `pca`, the teacher's are along their principal axes."""
    axes = principal_axes(shapes.teacher_vectors(), shapes.student_size or 0) if pca and shapes.teacher_vectors else None
    return vector_term(name, nested(loss, sizes), axes)


def ranking_term(name: str, weight: float, loss: RankingLoss) -> Term:
    """A loss between the scores of the passages of each query, the mean over queries."""

    def compare(step: Step) -> Tensor:
        if step.groups is None:
            raise ValueError(f"{name}: compares passages of a query; rows of {step.task.name} are in no groups")
        return loss(step.logits[:, 0], step.teacher_logits[:, 0], step.labels, step.groups)

    return Term(name, weight, compare, over="groups", reads=(LOGITS,))


def hidden_term(
    name: str,
    weight: float,
    pairs: Pairs,
    loss: Callable[[Tensor, Tensor], Tensor],
    projection: nn.Module | None = None,
    *,
    first_token: bool = False,
) -> Term:
    """A loss between hidden states, the student's mapped by the projection if any; layer 0 is the embeddings.

    They are those at real tokens, (tokens, width), or at the first token, (batch, width).
    """
    output = cls_output if first_token else hidden_output

    def compare(step: Step, student: int, teacher: int) -> Tensor:
        hidden = step.hidden[student]
        states = (hidden[:, 0] if first_token else real(hidden, step.attention_mask)).float()
        return loss(states if projection is None else projection(states), step.targets[output(teacher)])

    reads = tuple(output(teacher) for _, teacher in pairs)
    over: Kind = "rows" if first_token else "tokens"
    return Term(name, weight, summed(pairs, compare), over, reads, reads_student_hidden=True, trains=projection)


def attention_term(weight: float, pairs: Pairs, loss: AttentionLoss, over: Kind = "tokens") -> Term:
    """A loss between attention scores before mask and softmax, head by head: a mean over queries, or over pairs of tokens."""
    return Term(
        "attention",
        weight,
        summed(pairs, lambda step, s, t: loss(step.attention[s], step.targets[attention_output(t)], step.attention_mask)),
        over,
        reads=tuple(attention_output(teacher) for _, teacher in pairs),
        reads_student_attention=tuple(student for student, _ in pairs),
    )


def relation_term(projection: Projection, weight: float, pair: tuple[int, int], heads: int, loss: AttentionLoss) -> Term:
    """A loss between scores XXᵀ/√d of queries, keys or values with themselves, cut into so many heads."""
    layer, teacher_layer = pair
    output = dict(zip(PROJECTIONS.values(), projection_outputs(teacher_layer), strict=True))[projection]

    def compare(step: Step) -> Tensor:
        assert isinstance(step.attention, CapturedAttention)
        states, teacher_states = step.attention.outputs[layer, projection], step.targets[output]
        padded = teacher_states.new_zeros((*step.mask.shape, teacher_states.shape[1]))
        padded[step.mask.bool()] = teacher_states
        return loss(attention_relation(states, heads), attention_relation(padded, heads), step.attention_mask)

    return Term(f"{projection}_relation", weight, compare, "tokens", (output,), reads_student_attention=(layer,))


LineLoss = Callable[[Step, Tensor, slice], Tensor]
"""(step, the student's logits of some lines, which lines these are) → their losses, (lines,)"""


def line_of_teacher(divergence: Callable[[Tensor, Tensor], Tensor]) -> LineLoss:
    """A divergence from the teacher's logits, which are made of its last states, as they are read."""

    def compare(step: Step, logits: Tensor, part: slice) -> Tensor:
        assert step.last is not None
        return divergence(logits, step.last.teacher_logits(step.targets[TRANSFORM][part]))

    return compare


def line_of_likeliest(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The KL from the teacher's likeliest words, and the mass of all others; 0 where nobody gave any."""
    kept = step.targets[LIKELIEST][part]
    there, k = kept.isfinite().all(dim=1), kept.shape[1] // 2
    losses = logits.new_zeros(len(logits), dtype=torch.promote_types(logits.dtype, torch.float32))
    losses[there] = likeliest_kl(logits[there], kept[there, :k].long(), kept[there, k:])
    return losses


def line_of_draws(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The cross-entropy with what was drawn from the teacher."""
    return drawn_cross_entropy(logits, step.targets[DRAWS][part])


def line_of_label(step: Step, logits: Tensor, part: slice) -> Float[Tensor, " lines"]:
    """The cross-entropy with the label."""
    return functional.cross_entropy(logits, step.labels[part], reduction="none")


def terms_in_chunks(*parts: tuple[str, float, LineLoss], reads: str) -> tuple[Term, ...]:
    """Losses between logits, by name and weight, computed together a few lines at a time: distill/losses/in_chunks.py.

    `reads` is what those against the teacher need of the store.
    """
    kept = [part for part in parts if part[1] > 0]
    done: dict[str, Any] = {}

    def computed(step: Step) -> Tensor:
        """The means of all losses, once a step."""
        if done.get("step") is not step:
            last = step.last
            assert last is not None
            weights = last.states.new_tensor([weight for _, weight, _ in kept])
            lines = lambda logits, part: torch.stack([loss(step, logits, part) for *_, loss in kept], dim=1)  # noqa: E731
            done["step"] = step
            done["means"] = means_in_chunks(lines, weights, last.states, last.embedding, last.bias, last.softcap)
        means: Tensor = done["means"]
        return means

    def mean_of(place: int, step: Step) -> Tensor:
        means = computed(step)
        if place == len(kept) - 1:
            done.clear()
        return means[place]

    def term(place: int, name: str, weight: float) -> Term:
        needed = () if name == HARD_LABELS else (reads,)
        return Term(name, weight, partial(mean_of, place), reads=needed, reads_last_states=True)

    return tuple(term(place, name, weight) for place, (name, weight, _) in enumerate(kept))


def last_states_term(weight: float) -> Term:
    """The cosine distance of the last hidden states, where tokens are to be predicted."""

    def compare(step: Step) -> Tensor:
        assert step.last is not None
        return cosine_distance(step.last.states, step.targets[TRANSFORM])

    return Term("cosine", weight, compare, reads=(TRANSFORM,), reads_last_states=True)


def summed(pairs: Pairs, loss: Callable[[Step, int, int], Float[Tensor, ""]]) -> Callable[[Step], Float[Tensor, ""]]:
    """A loss over pairs of layers; where one layer is trained after the other, over the pair of the current one."""

    def total(step: Step) -> Tensor:
        current = pairs if step.current_layer is None else [pairs[step.current_layer]]
        return torch.stack([loss(step, student, teacher) for student, teacher in current]).sum()

    return total


def width_map(shapes: Shapes) -> nn.Linear | None:
    """A linear map from the student's width to the teacher's; None if they are equal, or the teacher's is not known."""
    width = shapes.teacher_width
    return None if width is None or width == shapes.student_width else linear_map(shapes.student_width, width)


def linear_map(student_width: int, teacher_width: int) -> nn.Linear:
    """A linear map with bias from the student's states to the teacher's.

    Between equal widths it begins as the identity, which leaves a student of copied layers where it is; else with normal entries
    of deviation 0.02, from torch's current random state.
    """
    projection = nn.Linear(student_width, teacher_width)
    if student_width == teacher_width:
        nn.init.eye_(projection.weight)
    else:
        nn.init.normal_(projection.weight, std=0.02)
    nn.init.zeros_(projection.bias)
    return projection


def terms_of(settings: StudentSettings, shapes: Shapes) -> tuple[Term, ...]:
    """The terms of a student's recipe, those of weight 0 left out."""
    settings.require_comparable(shapes)
    return tuple(term for term in settings.terms(shapes) if term.weight > 0)


def total(terms: Sequence[Term], step: Step) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum, and each term unweighted, as the batch's part of its step. A recipe keeps no term of weight 0."""
    answered = step.with_answers() if step.gaps else step
    values = {
        term.name: _value(term, answered if LOGITS in term.reads else step)
        * step.shares.get(term.over or step.task.averaged_over, 1.0)
        for term in terms
    }
    loss = sum((term.weight * values[term.name] for term in terms), step.logits.new_zeros(()))
    return loss, values


def _value(term: Term, step: Step) -> Float[Tensor, ""]:
    """A term's mean; 0 of no lines."""
    return term.loss(step) if len(step.logits) else step.logits.sum() * 0.0
