"""Wang et al. 2020, "MiniLM" (arXiv 2002.10957), eq. 5–8, and Wang et al. 2021, "MiniLMv2" (arXiv 2012.15828), eq. 1–3.

version 1: KL(A_t ‖ A_s) + KL(R_t(V) ‖ R_s(V))                          A = softmax(QKᵀ/√d), R(X) = softmax(XXᵀ/√d) a head
version 2: KL(R_t(Q) ‖ R_s(Q)) + KL(R_t(K) ‖ R_s(K)) + KL(R_t(V) ‖ R_s(V))   X cut anew into `relation_heads` heads

of the student's last layer and one of the teacher's, averaged over heads and real queries. A relation is a matrix of tokens by
tokens, so that widths may differ and nothing has to be projected; in version 2, heads may differ too.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from distill.core.errors import UserError
from distill.params.students import HeadCount, LayerNumber, Needs, Shapes, StudentSettings, Weight

if TYPE_CHECKING:
    from distill.models.attention import Projection
    from distill.recipes.terms.terms import Term

KEYS = {
    1: ("attention_weight", "value_weight"),
    2: ("query_weight", "key_weight", "value_weight", "relation_heads"),
}
"""The settings of each version."""


class MiniLm(StudentSettings):
    """Wang et al. 2020 and 2021: the last layer's attention, and relations among its values (queries, keys and values).

    No head is trained, so the last epoch is kept and `patience` does nothing; a student of another recipe starts from this one.
    """

    settings_of: ClassVar = {"version": KEYS}
    recipe: Literal["minilm"]
    version: Literal[1, 2] = 2
    """1 needs a student with as many heads as the teacher, 2 takes any."""
    teacher_layer: LayerNumber | None = None
    """Counted from 1; by default the last. Published for version 2: 21 of BERT-large's 24, the last of BERT-base."""
    relation_heads: HeadCount | None = None
    """Version 2: a divisor of both widths; by default the student's heads. Published: 48 of a width of 768, 64 of 1024."""
    attention_weight: Weight = 1.0
    """Version 1."""
    query_weight: Weight = 1.0
    """Version 2."""
    key_weight: Weight = 1.0
    """Version 2."""
    value_weight: Weight = 1.0

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Attention scores, and projections, of one layer."""
        layer = (self._layer(teacher_layers),)
        reads_attention = self.version == 1 and self.attention_weight > 0
        return Needs(attention=layer if reads_attention else (), relations=layer if self._relations() else ())

    @property
    def only_intermediate(self) -> bool:
        """Attention and relations, which are replayed from hidden states."""
        return True

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The terms of the chosen version."""
        from distill.losses.attention import attention_kl
        from distill.recipes.terms.layers import attention_term, relation_term

        pair, heads = (shapes.student_layers, self._layer(shapes.teacher_layers)), self._heads(shapes)
        relations = tuple(relation_term(each, weight, pair, heads, attention_kl) for each, weight in self._relations().items())
        return (attention_term(self.attention_weight, [pair], attention_kl), *relations) if self.version == 1 else relations

    def _layer(self, teacher_layers: int) -> int:
        if (self.teacher_layer or 1) > teacher_layers:
            raise UserError(
                f"minilm: teacher_layer: got {self.teacher_layer}, expected 1 to {teacher_layers}, the layers of the teacher"
            )
        return self.teacher_layer or teacher_layers

    def _relations(self) -> "dict[Projection, float]":
        """The projections whose relations are compared, with their weights; those of weight 0 left out."""
        weights: dict[Any, float] = {"query": self.query_weight, "key": self.key_weight, "value": self.value_weight}
        return {each: weight for each, weight in weights.items() if weight and f"{each}_weight" in KEYS[self.version]}

    def require_comparable(self, shapes: Shapes) -> None:
        """Version 1 compares heads, and version 2 cuts both widths into as many."""
        if self.version == 1:
            shapes.require_equal_heads("minilm: version 1 compares attention", "version: 2")
        heads = self._heads(shapes)
        for owner, width in (("student", shapes.student_width), ("teacher", shapes.teacher_width)):
            if width is not None and width % heads:
                raise UserError(
                    f"minilm: relation_heads: {heads} do not divide the {owner}'s width of {width}; give a divisor of both widths"
                )

    def _heads(self, shapes: Shapes) -> int:
        """Into how many heads projections are cut."""
        return self.relation_heads or shapes.student_heads or 1
