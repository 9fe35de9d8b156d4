"""What recipes of one kind share: settings, what they read of the teacher, and what they refuse. Imports no torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distill.core.errors import UserError
from distill.core.settings import EachOnce
from distill.params.layers import pair_layers
from distill.params.students import LayerMap, Needs, Shapes, StudentSettings, Temperature, Weight

VectorSize = Annotated[int, Field(ge=1)]


class TripleLossSettings(StudentSettings):
    """Those that sum, as DistilBERT does, soft targets, hard labels and the cosine of the last hidden states."""

    temperature: Temperature = 2.0
    soft_weight: Weight = 5.0
    """Of the divergence from the teacher's answers."""
    hard_weight: Weight = 2.0
    """Of the cross-entropy with the labels."""
    cosine_weight: Weight = 1.0
    """Of the cosine distance of the last hidden states, which must be equally wide."""

    def require_one_width(self, student: int, teacher: int | None) -> None:
        """Refuse last hidden states that the cosine term cannot compare."""
        if self.cosine_weight and teacher not in (None, student):
            raise UserError(
                f"{self.recipe}: the cosine term compares hidden states, the student's are {student} wide, the teacher's "
                f"{teacher}; set cosine_weight: 0, or take the student from the teacher's layers"
            )

    @property
    def trains_head(self) -> bool:
        """The cosine term alone trains no head."""
        return self.soft_weight > 0 or self.hard_weight > 0


class TwoStageSettings(StudentSettings):
    """Those of two stages, each a student of its own: the first teaches states and attention alone, the second the logits."""

    stage: str
    layer_map: LayerMap = None
    """The first stage: the teacher's layer for each of the student's, counted from 1; by default evenly, g(i) = i·N/M."""
    attention_weight: Weight = 1.0
    temperature: Temperature = 1.0

    @property
    def only_intermediate(self) -> bool:
        """The first stage."""
        return bool(self.stage == next(iter(self.settings_of["stage"])))

    def layer_pairs(self, student_layers: int, teacher_layers: int) -> tuple[tuple[int, int], ...]:
        """The student's layers and the teacher's that each learns from, counted from 1."""
        return pair_layers(self.recipe, self.layer_map, student_layers, teacher_layers)


class LogitStudentSettings(StudentSettings):
    """Those that read the teacher's logits whatever is set."""

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits, as a target set calls a teacher's vectors too."""
        return Needs(logits=True)


class VectorStudentSettings(LogitStudentSettings):
    """What recipes of sentence embedding share: they read the teacher's vectors, and no labels."""

    sizes: Annotated[tuple[VectorSize, ...], EachOnce] = ()
    """Matryoshka (Kusupati et al. 2022): how many of a vector's first numbers are to do as vectors of their own."""

    of_vectors: ClassVar[bool] = True

    @property
    def label_weight(self) -> float:
        """There are no labels."""
        return 0.0

    def require_comparable(self, shapes: Shapes) -> None:
        """Refuse sizes that are no part of the student's vectors."""
        if shapes.student_size and self.sizes and max(self.sizes) >= shapes.student_size:
            raise UserError(
                f"{self.recipe}: sizes: got {max(self.sizes)}, the student's vectors have {shapes.student_size} numbers, all of "
                "which are compared anyway; expected smaller ones"
            )


class AlignedStudentSettings(VectorStudentSettings):
    """Those that compare vectors number by number."""

    projection: Literal["pca"] | None = None
    """`pca` compares with the teacher's vectors along as many of their principal axes as the student's vectors have numbers. By
    default both are of one width: a narrower student ends in a linear layer (`vector_size` of its architecture)."""

    def require_comparable(self, shapes: Shapes) -> None:
        """Refuse vectors of different sizes, unless the teacher's are to be projected on fewer numbers."""
        super().require_comparable(shapes)
        student, teacher = shapes.student_size, shapes.teacher_size
        if student and teacher and student > teacher:
            raise UserError(
                f"{self.recipe}: the student's vectors have {student} numbers, the teacher's {teacher}; give the student's "
                f"architecture vector_size: {teacher}"
            )
        if student != teacher and self.projection is None:
            raise UserError(
                f"{self.recipe}: compares vectors number by number, the student's have {student}, the teacher's {teacher}; give "
                f"the student's architecture vector_size: {teacher}, or set projection: pca, or recipe: similarity_kl"
            )


class RankingStudentSettings(LogitStudentSettings):
    """What recipes of rankings share: they compare the passages of a query, by the teacher's logits."""

    hard_weight: Weight = 0.0

    of_groups: ClassVar[bool] = True
