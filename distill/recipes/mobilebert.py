"""Sun et al. 2020, "MobileBERT" (arXiv 2004.02984), section 3.3 and 3.4, with the weights of its training code; for any task.

transfer: for layers l = 1 … student layers, one after the other
          100·MSE(N(H_s,l·W) ; N(H_t,g(l))) + 5000·MSE(μ) + 5·|σ²_s − σ²_t| + 1·KL(A_t,g(l) ‖ A_s,l)
distill:  α·CE(z_s, y) + (1 − α)·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T))

H are hidden states; N makes their mean μ 0 and their variance σ² 1 over channels (eq. 1, decomposed); A the attention
distributions of each head (eq. 2); on masked-lm data, `distill` is eq. 3 without the next sentence. W is there if the teacher
is not as wide as the student: a linear map with bias, trained along, no part of the student. Each layer has its turn of equally
many steps, over which `schedule` and `warmup` run anew. The student's embeddings are the teacher's: `init: {from: the teacher,
architecture: mobilebert, copy_embeddings: true}`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from distill.layers import pair_layers
from distill.params.students import Needs, Shapes, StudentSettings, Temperature, Weight

if TYPE_CHECKING:
    from torch import Tensor, nn

    from distill.recipes.base import Step, Term

Pairs = Sequence[tuple[int, int]]
"""The student's layers and the teacher's that each learns from."""
STATES = ("feature_weight", "mean_weight", "variance_weight")
TRANSFER_KEYS = (*STATES, "attention_weight", "layer_map", "order", "earlier_rate")
DISTILL_KEYS = ("alpha", "temperature")


class MobileBert(StudentSettings):
    """Sun et al. 2020, in two stages, each a student of its own: the second is born `from: data/students/` the first.

    `transfer` fits the student's layers one by one; embeddings and head do not move, the last epoch is kept and `patience` does
    nothing. `distill` fits the logits. Published, on the masked-lm task: transfer with 10,000 steps a layer,
    `learning_rate: 4.5e-3`, `schedule: constant`, batches of 4,096 and LAMB; an Adam's learning rate is some 1e-4 to 1e-3.
    """

    recipe: Literal["mobilebert"]
    stage: Literal["transfer", "distill"]
    layer_map: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1)
    """Transfer: the teacher's layer for each of the student's, counted from 1; by default evenly, g(l) = l·N/M."""
    order: Literal["progressive", "joint"] = "progressive"
    """Transfer: one layer after the other, or all at once: then nothing is frozen."""
    earlier_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Transfer: the learning rate of layers that have had their turn, as a share of that of the layer that has it: 0 freezes
    them. The training code's is 0.1 (0.3 against 3 times a background rate)."""
    feature_weight: Weight = 100.0
    """Transfer: of the normalized feature maps."""
    mean_weight: Weight = 5000.0
    variance_weight: Weight = 5.0
    attention_weight: Weight = 1.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Distill: the weight of the hard labels."""
    temperature: Temperature = 1.0

    @property
    def trains_head(self) -> bool:
        """Transfer trains no head."""
        return self.stage == "distill"

    @property
    def label_weight(self) -> float:
        """Transfer knows no labels."""
        return self.alpha if self.stage == "distill" else 0.0

    @property
    def reads_hidden(self) -> bool:
        """Transfer reads hidden states and attention."""
        return self.stage == "transfer"

    @property
    def earlier_share(self) -> float | None:
        """Transfer goes layer by layer, unless the order is joint."""
        return self.earlier_rate if self.stage == "transfer" and self.order == "progressive" else None

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Hidden states and scores of the mapped layers; or logits."""
        if self.stage == "distill":
            return Needs(logits=self.alpha < 1)
        pairs = pair_layers("mobilebert", self.layer_map, student_layers, teacher_layers)
        mapped = tuple(sorted({teacher for _, teacher in pairs}))
        states = any(getattr(self, key) for key in STATES)
        return Needs(hidden=mapped if states else (), attention=mapped if self.attention_weight else ())

    def require_comparable(self, shapes: Shapes) -> None:
        """Transfer compares attention distributions head by head."""
        if self.stage == "transfer" and self.attention_weight:
            shapes.require_equal_heads("mobilebert: the attention term compares distributions", "attention_weight: 0")

    @model_validator(mode="after")
    def _one_stage(self) -> "MobileBert":
        own, other = (TRANSFER_KEYS, DISTILL_KEYS)[:: 1 if self.stage == "transfer" else -1]
        self.require_own(f"stage {self.stage}", own, other)
        if self.order == "joint" and "earlier_rate" in self.model_fields_set:
            raise ValueError("earlier_rate is of the progressive order; remove it, or order: joint")
        return self

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The terms of the chosen stage.

        Raises:
            UserError: the layers cannot be paired.
        """
        from distill.losses.feature_maps import feature_map_mse, mean_mse, variance_gap
        from distill.recipes.base import hard_labels, linear_map, soft_targets

        if self.stage == "distill":
            return hard_labels(self.alpha), soft_targets(1 - self.alpha, self.temperature)
        pairs = pair_layers("mobilebert", self.layer_map, shapes.student_layers, shapes.teacher_layers)
        own, theirs = shapes.student_width, shapes.teacher_width or shapes.student_width
        projection = linear_map(own, theirs) if own != theirs else None
        return (
            _states("feature_maps", self.feature_weight, pairs, projection, feature_map_mse),
            _states("means", self.mean_weight, pairs, projection, mean_mse),
            _states("variances", self.variance_weight, pairs, projection, variance_gap),
            _attention(self.attention_weight, pairs),
        )


def _attention(weight: float, pairs: Pairs) -> "Term":
    from distill.losses.attention import attention_kl
    from distill.recipes.base import Term
    from distill.targets.schema import attention_output

    return Term(
        "attention",
        weight,
        _in_turn(pairs, lambda step, s, t: attention_kl(step.attention[s], step.teacher_attention(t), step.attention_mask)),
        reads=tuple(attention_output(teacher) for _, teacher in pairs),
        reads_student_attention=tuple(student for student, _ in pairs),
    )


def _states(
    name: str, weight: float, pairs: Pairs, projection: "nn.Module | None", loss: "Callable[[Tensor, Tensor], Tensor]"
) -> "Term":
    from distill.recipes.base import Term
    from distill.targets.schema import hidden_output

    def compared(step: "Step", student: int, teacher: int) -> "Tensor":
        states = step.real(student).float()
        return loss(states if projection is None else projection(states), step.teacher_hidden(teacher))

    return Term(
        name,
        weight,
        _in_turn(pairs, compared),
        reads=tuple(hidden_output(teacher) for _, teacher in pairs),
        reads_student_hidden=True,
        trains=projection,
    )


def _in_turn(pairs: Pairs, loss: "Callable[[Step, int, int], Tensor]") -> "Callable[[Step], Tensor]":
    """The loss of the pair whose turn it is; of all pairs, where all layers learn at once."""
    from distill.recipes.base import summed

    return lambda step: summed(pairs if step.turn is None else [pairs[step.turn]], loss)(step)
