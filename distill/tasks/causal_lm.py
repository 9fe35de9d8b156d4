"""The token after each token."""

from dataclasses import dataclass

import numpy as np

from distill.core.arrays import Array
from distill.tasks.base import EvaluationSplit
from distill.tasks.masked_lm import MaskedLm


@dataclass(frozen=True)
class CausalLm(MaskedLm):
    """Language modelling from left to right: masked language modelling where a token's label is the one after it.

    A model's head runs at the tokens alone whose next one is to be predicted, so its raw logits are (positions, vocabulary).
    """

    name = "causal-lm"
    scores = ("likelihood", "accuracy")  # type: ignore[assignment]

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """Likelihood (1 / perplexity), accuracy, log-loss, perplexity, and the bits that a byte of the text takes.

        Of conversations `exact_match` too: the share of those whose responses, each after what was said before it, are the
        likeliest token after the other, their ends included, which is what greedy decoding writes.
        """
        found = super().measures(kept, split)
        if split.bytes:
            found["bits_per_byte"] = found["log_loss"] * len(kept) / np.log(2) / split.bytes
        if split.conversations:
            found["exact_match"] = self.score("exact_match", self.judge(kept, split))
        return found
