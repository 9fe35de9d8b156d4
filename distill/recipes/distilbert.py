"""Sanh et al. 2019, "DistilBERT" (arXiv 1910.01108), section 3, with its training code's weights; for a task.

5·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + 2·CE(z_s, y) + 1·(1 − cos(h_s,last, h_t,last))
"""

from distill.errors import UserError
from distill.losses.hidden import cosine_distance
from distill.losses.logits import soft_target_kl
from distill.params.students import DistilBert
from distill.recipes.base import Shapes, Term, hard_labels
from distill.targets.schema import LOGITS, hidden_output


def terms(settings: DistilBert, shapes: Shapes) -> tuple[Term, ...]:
    """The triple loss.

    Raises:
        UserError: the cosine term compares states of different widths.
    """
    temperature, last, teacher_last = settings.temperature, shapes.student_layers, shapes.teacher_layers
    if settings.cosine_weight and shapes.teacher_width not in (None, shapes.student_width):
        raise UserError(
            f"distilbert: the cosine term compares hidden states, the student's are {shapes.student_width} wide, the teacher's "
            f"{shapes.teacher_width}; set cosine_weight: 0, or take the student from the teacher's layers"
        )
    return (
        Term(
            "soft_targets",
            settings.soft_weight,
            lambda step: soft_target_kl(step.logits, step.teacher_logits, temperature),
            reads=(LOGITS,),
        ),
        hard_labels(settings.hard_weight),
        Term(
            "cosine",
            settings.cosine_weight,
            lambda step: cosine_distance(step.real(last), step.teacher_hidden(teacher_last)),
            reads=(hidden_output(teacher_last),),
            reads_student_hidden=True,
        ),
    )
