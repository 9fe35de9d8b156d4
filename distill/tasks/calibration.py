"""One temperature that calibrates a model's confidence (Guo et al. 2017, "On Calibration of Modern Neural Networks", §4.2)."""

import numpy as np

from distill.core.arrays import Array
from distill.core.numeric import log_softmax

BINS = 15
"""Of confidence, as in Guo 2017."""
MIN_LINES = 10
"""Lines that a temperature can be told from: of fewer it is 1."""
MAX_TEMPERATURE = 20.0
"""A temperature is between this and its inverse."""
PADDING = -1e5
"""Below it a logit stands for a class that a line has not."""


def fit_temperature(logits: Array, labels: Array) -> float:
    """The temperature of the least log-loss: softmax(logits / T) against labels; (lines, classes), (lines,) int64.

    One more line counts, of average logits, whose label may be any (the rule of succession): so lines that are all right make no
    model sure beyond what so many lines can tell. It is 1 where that is no worse than the least by more than its standard error:
    what so few lines cannot tell from chance makes new rows' confidence worse as often as better.
    """
    if len(logits) < MIN_LINES:
        return 1.0
    from scipy.optimize import minimize_scalar

    exact, real = logits.astype(np.float64), logits > PADDING

    def losses(power: float) -> tuple[Array, float]:
        logs = log_softmax(exact * np.exp(-power))
        any_label = -(np.where(real, logs, 0.0).sum(axis=1) / real.sum(axis=1)).mean()
        return -logs[np.arange(len(labels)), labels], float(any_label / len(labels))

    def loss(power: float) -> float:
        lines, one_more = losses(power)
        return float(lines.mean()) + one_more

    found = minimize_scalar(
        loss, bounds=(-np.log(MAX_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded", options={"xatol": 1e-5}
    )
    gains = losses(0.0)[0] - losses(found.x)[0]
    told = loss(0.0) - loss(found.x) > gains.std(ddof=1) / np.sqrt(len(gains))
    return float(np.exp(found.x)) if told else 1.0


def calibration_error(confidence: Array, right: Array) -> float:
    """Expected calibration error: how far confidence is from the share that is right, 15 bins, L1; (lines,) float and bool."""
    if len(confidence) == 0:
        return 0.0
    gaps = np.bincount(bins_of(confidence), weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def bins_of(confidence: Array) -> Array:
    """Of each confidence the bin, of BINS of one width, (lines,) int64."""
    return np.minimum((confidence.clip(0, 1) * BINS).astype(np.int64), BINS - 1)
