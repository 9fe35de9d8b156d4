"""Romero et al. 2015, "FitNets: Hints for Thin Deep Nets" (arXiv 1412.6550), eq. 3: the hint stage.

MSE(h_s,guided·W ; h_t,hint)

h are hidden states at real tokens, W a linear map with bias (the paper's regressor), made anew for each run, trained with the
student, and no part of it. What lies above the guided layer learns nothing here: the second stage is a student of its own, of
recipe `hinton`, initialized `from: data/students/` this one.
"""

from typing import TYPE_CHECKING, Literal

from distill.core.errors import UserError
from distill.params.students import LayerNumber, Needs, Shapes, StudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class FitNets(StudentSettings):
    """Romero et al. 2015, the hint stage: the student's lower half learns to predict the teacher's middle state.

    No head is trained, so the last epoch is kept and `patience` does nothing. The student that follows takes the recipe `hinton`.
    """

    recipe: Literal["fitnets"]
    guided: LayerNumber | None = None
    """The student's layer that learns, counted from 1; by default its middle one."""
    hint: LayerNumber | None = None
    """The teacher's layer that it learns from, counted from 1; by default its middle one."""

    @property
    def only_intermediate(self) -> bool:
        """The hint is a hidden state."""
        return True

    def layer_pair(self, student_layers: int, teacher_layers: int) -> tuple[int, int]:
        """The guided layer and its hint, counted from 1."""
        pair = (self.guided or (student_layers + 1) // 2, self.hint or (teacher_layers + 1) // 2)
        depths = (("guided", "student", student_layers), ("hint", "teacher", teacher_layers))
        for layer, (key, owner, depth) in zip(pair, depths, strict=True):
            if layer > depth:
                raise UserError(f"fitnets: {key}: got {layer}, expected 1 to {depth}, the layers of the {owner}")
        return pair

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """The hint."""
        return Needs(hidden=(self.layer_pair(student_layers, teacher_layers)[1],))

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The hint's squared error."""
        from distill.losses.hidden_states import hidden_mse
        from distill.recipes.terms.layers import hidden_term, linear_map

        pair = self.layer_pair(shapes.student_layers, shapes.teacher_layers)
        regressor = linear_map(shapes.student_width, shapes.teacher_width or shapes.student_width)
        return (hidden_term("hint", 1.0, [pair], hidden_mse, regressor),)
