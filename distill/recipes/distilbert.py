"""Sanh et al. 2019, "DistilBERT" (arXiv 1910.01108), section 3, with its training code's weights; for any task.

5·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + 2·CE(z_s, y) + 1·(1 − cos(h_s,last, h_t,last))

On masked-lm data this is the paper's triple loss: KL and CE run over masked positions (KL over all tokens where the target set
says `positions: all`), the cosine over all real tokens.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from distill.params.students import Needs, Shapes
from distill.recipes.terms.shared import TripleLossSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class DistilBert(TripleLossSettings):
    """Sanh et al. 2019, for a task: soft_weight·T²·KL + hard_weight·CE + cosine_weight·(1−cos of the last hidden states)."""

    recipe: Literal["distilbert"]

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits and the last hidden state."""
        return Needs(logits=self.soft_weight > 0, hidden=(teacher_layers,) if self.cosine_weight else ())

    @property
    def reads_hidden(self) -> bool:
        """The cosine term reads the last hidden state."""
        return self.cosine_weight > 0

    @model_validator(mode="after")
    def _some_term(self) -> "DistilBert":
        if self.soft_weight == self.hard_weight == self.cosine_weight == 0:
            raise ValueError("soft_weight, hard_weight, cosine_weight: all are 0, nothing would be learnt")
        return self

    def require_comparable(self, shapes: Shapes) -> None:
        """The cosine term compares states of one width."""
        self.require_one_width(shapes.student_width, shapes.teacher_width)

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The triple loss."""
        from distill.losses.hidden_states import cosine_distance
        from distill.recipes.terms.layers import hidden_term
        from distill.recipes.terms.logits import hard_labels, soft_targets

        last = [(shapes.student_layers, shapes.teacher_layers)]
        return (
            soft_targets(self.soft_weight, self.temperature),
            hard_labels(self.hard_weight),
            hidden_term("cosine", self.cosine_weight, last, cosine_distance),
        )
