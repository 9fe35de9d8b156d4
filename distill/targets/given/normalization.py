"""Log-probabilities of which some are approximated, as a distribution.

A polynomial that does not follow a sudden fall of the probabilities gives more than there is: so it is where a few words share
nearly all of the mass. Numbers that are exact stand as they are, and what is approximated is scaled to what they leave of 1.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from distill.core.errors import UserError
from distill.store.codecs.vocabulary import LOWEST

EXACT_TOLERANCE = 0.03
"""How far above 1 exact probabilities of a token may add up: 128 numbers in bfloat16 come to 0.02."""

RISING = 0.01
"""How much more an exact log-probability may be than the one before it: rounding keeps their order."""

TOLERANCE, SHARE, ENOUGH = 0.1, 0.5, 4096
"""Where more than this share of tokens have probabilities that add up to more than 1 + TOLERANCE, the settings are others; it is
looked at from so many tokens on, and at the end. Of the settings that DistillKit recommends, the terser come to 0.34 at most of
random distributions of any sharpness, the others to none."""


class Normalizer:
    """Normalizes, and counts where there was too much."""

    def __init__(self, exact: int, advice: str) -> None:
        """So many of the log-probabilities are exact."""
        self.exact, self.advice = exact, advice
        self.tokens, self.over, self.first = 0, 0, ""

    def normalized(self, logs: Float[Tensor, "n k"], place: str) -> Float64[np.ndarray, "n k"]:
        """Log-probabilities of a row's tokens, whose sum is at most 1.

        Raises:
            UserError: there are numbers that are none, or exact ones that rise, or add up to more than rounding explains.
        """
        logs = logs.double()
        if (broken := (logs.isnan() | logs.isposinf()).any(dim=1)).any():
            raise self._refused(place, int(broken.nonzero()[0, 0]), "has log-probabilities that are no numbers")
        if (rising := (logs[:, : self.exact].diff(dim=1) > RISING).any(dim=1)).any():
            raise self._refused(
                place, int(rising.nonzero()[0, 0]), "has log-probabilities in another order than the likeliest first"
            )
        exact, others = logs[:, : self.exact].clamp_min(LOWEST), logs[:, self.exact :].clamp_min(LOWEST)
        known, guessed = (_log_sum(part) for part in (exact, others))
        if (over := known > np.log1p(EXACT_TOLERANCE)).any():
            token = int(over.nonzero()[0, 0])
            raise self._refused(place, token, f"has {_too_much(known[token])}")
        self._count(torch.logaddexp(known, guessed), place)
        exact = exact - known.clamp_min(0)[:, None]
        room = torch.log1p(-known.clamp_max(0).exp()).clamp_min(LOWEST)
        others = (others - (guessed - room).clamp_min(0)[:, None]).clamp_min(LOWEST)
        return torch.cat([exact, others], dim=1).numpy()

    def finish(self) -> None:
        """Raises: UserError: in more than half of all tokens there was too much."""
        if self.over > SHARE * self.tokens:
            raise UserError(f"{self.first}, and so have {self.over} of {self.tokens} tokens; {self.advice}")

    def _count(self, sums: Float64[Tensor, " n"], place: str) -> None:
        over = (sums > np.log1p(TOLERANCE)).nonzero()[:, 0].tolist()
        self.tokens, self.over = self.tokens + len(sums), self.over + len(over)
        if over and not self.first:
            self.first = f"{place}: token {over[0]} has {_too_much(sums[over[0]])}"
        if self.tokens >= ENOUGH:
            self.finish()

    def _refused(self, place: str, token: int, why: str) -> UserError:
        return UserError(f"{place}: token {token} {why}; {self.advice}")


def _too_much(log_sum: Tensor) -> str:
    return f"probabilities that add up to {float(log_sum.exp()):.3g}, expected at most 1"


def _log_sum(logs: Float64[Tensor, "n some"]) -> Float64[Tensor, " n"]:
    return torch.logsumexp(logs, dim=1) if logs.shape[1] else torch.full((len(logs),), -torch.inf, dtype=torch.float64)
