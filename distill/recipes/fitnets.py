"""Romero et al. 2015, "FitNets: Hints for Thin Deep Nets" (arXiv 1412.6550), eq. 3: the hint stage.

MSE(h_s,guided·W ; h_t,hint)

h are hidden states at real tokens, W a linear map with bias (the paper's regressor), made anew for each run, trained with the
student, and no part of it. What lies above the guided layer learns nothing here: the second stage is a student of its own, of
recipe `hinton`, born `from: data/students/` this one.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from distill.errors import UserError
from distill.params.students import Needs, Shapes, StudentSettings

if TYPE_CHECKING:
    from distill.recipes.base import Term

Layer = Annotated[int, Field(ge=1)]


class FitNets(StudentSettings):
    """Romero et al. 2015, the hint stage: the student's lower half learns to foretell the teacher's middle state.

    No head is trained, so the last epoch is kept and `patience` does nothing. The student that follows takes the recipe `hinton`.
    """

    recipe: Literal["fitnets"]
    guided: Layer | None = None
    """The student's layer that learns, counted from 1; by default its middle one."""
    hint: Layer | None = None
    """The teacher's layer that it learns from, counted from 1; by default its middle one."""

    @property
    def trains_head(self) -> bool:
        """No head is trained."""
        return False

    @property
    def reads_hidden(self) -> bool:
        """The hint is a hidden state."""
        return True

    def layer_pair(self, student_layers: int, teacher_layers: int) -> tuple[int, int]:
        """The guided layer and its hint, counted from 1.

        Raises:
            UserError: there is no such layer.
        """
        pair = (self.guided or (student_layers + 1) // 2, self.hint or (teacher_layers + 1) // 2)
        for key, layer, owner, depth in (
            ("guided", pair[0], "student", student_layers),
            ("hint", pair[1], "teacher", teacher_layers),
        ):
            if layer > depth:
                raise UserError(f"fitnets: {key}: got {layer}, expected 1 to {depth}, the layers of the {owner}")
        return pair

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """The hint."""
        return Needs(hidden=(self.layer_pair(student_layers, teacher_layers)[1],))

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The hint's squared error.

        Raises:
            UserError: there is no such layer.
        """
        from distill.losses.hidden import hidden_mse
        from distill.recipes.base import Term, linear_map
        from distill.targets.schema import hidden_output

        guided, hint = self.layer_pair(shapes.student_layers, shapes.teacher_layers)
        regressor = linear_map(shapes.student_width, shapes.teacher_width or shapes.student_width)
        return (
            Term(
                "hint",
                1.0,
                lambda step: hidden_mse(regressor(step.real(guided).float()), step.teacher_hidden(hint)),
                reads=(hidden_output(hint),),
                reads_student_hidden=True,
                trains=regressor,
            ),
        )
