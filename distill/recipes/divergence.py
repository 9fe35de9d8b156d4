"""Distilling a decoder by a divergence of one's choice, DistilGPT2's triple loss among them; for causal-lm.

soft_weight·T²·D(p, q) + hard_weight·CE(z_s, y) + cosine_weight·(1 − cos(h_s, h_t)),   p = softmax(z_t/T), q = softmax(z_s/T)

D is KL(p ‖ q) (Hinton et al. 2015; with T 2 and weights 5, 2, 1 DistilGPT2's), KL(q ‖ p) (Gu et al. 2024, "MiniLLM", arXiv
2306.08543), the Jensen–Shannon divergence (Agarwal et al. 2024, arXiv 2306.13649), or a skewed KL (Ko et al. 2024, "DistiLLM",
arXiv 2402.03898). h are the last hidden states, which the output embedding multiplies: the store keeps the teacher's,
and no logits. Where it keeps a part of the distributions in place of states, KL(p ‖ q) at T = 1 is all that can be had: up to how
the others' mass is spread, or on average. Both logits, and the gradient of the student's, are made a few tokens at a time.
"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from distill.core.errors import UserError
from distill.core.settings import OpenFraction
from distill.params.students import Needs, Shapes, Temperature, Weight
from distill.recipes.terms.shared import TripleLossSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term

WEIGHTS = ("soft_weight", "hard_weight", "cosine_weight")
KEYS = {
    "forward-kl": WEIGHTS,
    "reverse-kl": WEIGHTS,
    "jensen-shannon": (*WEIGHTS, "mixture"),
    "skewed-kl": (*WEIGHTS, "skew"),
    "skewed-reverse-kl": (*WEIGHTS, "skew"),
}
"""The settings of each divergence."""


class Divergence(TripleLossSettings):
    """A decoder's divergence from its teacher: soft_weight·T²·D + hard_weight·CE + cosine_weight·(1−cos of the last states).

    DistilGPT2: temperature 2 and the weights 5, 2, 1.
    """

    settings_of: ClassVar = {"divergence": KEYS}
    tasks: ClassVar = ("causal-lm",)
    recipe: Literal["divergence"]
    temperature: Temperature = 1.0
    soft_weight: Weight = 1.0
    hard_weight: Weight = 0.0
    """Of the cross-entropy with the text itself."""
    cosine_weight: Weight = 0.0
    divergence: Literal["forward-kl", "reverse-kl", "jensen-shannon", "skewed-kl", "skewed-reverse-kl"] = "forward-kl"
    """`forward-kl` covers all that the teacher finds likely, `reverse-kl` keeps to what it is sure of, the others lie between."""
    mixture: OpenFraction = 0.5
    """jensen-shannon: the teacher's share in the mixture that both are compared with."""
    skew: OpenFraction = 0.1
    """The share that a distribution has in what it is compared with."""

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits: of these, the last states that they are replayed from."""
        return Needs(logits=self.soft_weight > 0 or self.cosine_weight > 0)

    def require_comparable(self, shapes: Shapes) -> None:
        """The cosine term compares states of one width; a part of the distributions does for the forward KL alone."""
        if shapes.logits_as != "replay" and (why := self.not_in_part()):
            raise UserError(f"{why}, or logits_as: replay of the target set")
        self.require_one_width(shapes.student_width, shapes.teacher_state_width)

    def not_in_part(self) -> str | None:
        """Every divergence but the forward KL, and every temperature but 1, asks for the whole distribution."""
        if self.cosine_weight:
            return "cosine_weight: compares last states, of which nothing is kept; set cosine_weight: 0"
        if self.soft_weight and self.divergence != "forward-kl":
            return f"divergence: {self.divergence} asks for the whole distribution of the teacher; set divergence: forward-kl"
        if self.soft_weight and self.temperature != 1:
            return f"temperature: what is kept is of the temperature 1, got {self.temperature:g}; set temperature: 1"
        return None

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The divergence, the hard labels' loss, and the cosine of last states."""
        from distill.losses import divergences
        from distill.recipes.terms import vocabulary
        from distill.store.output_names import DRAWS, LIKELIEST, TRANSFORM
        from distill.tasks.base import HARD_LABELS

        chosen = getattr(divergences, self.divergence.replace("-", "_"))
        own = {
            "jensen-shannon": {"mixture": self.mixture},
            "skewed-kl": {"skew": self.skew},
            "skewed-reverse-kl": {"skew": self.skew},
        }
        divergence = partial(chosen, temperature=self.temperature, **own.get(self.divergence, {}))
        compare, output = {
            "replay": (vocabulary.line_of_teacher(divergence), TRANSFORM),
            "top-k": (vocabulary.line_of_likeliest, LIKELIEST),
            "draws": (vocabulary.line_of_draws, DRAWS),
        }[shapes.logits_as]
        soft, hard = ("soft_targets", self.soft_weight, compare), (HARD_LABELS, self.hard_weight, vocabulary.line_of_label)
        return (*vocabulary.terms_in_chunks(soft, hard, reads=output), vocabulary.last_states_term(self.cosine_weight))
