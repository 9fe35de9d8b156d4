"""Ways of doing one thing timed against each other: interleaved, ratios of the same round, medians; on random models and rows."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from distill.data.dataset import ID_BYTES, PreparedRows

VOCABULARY = 30_522


@dataclass(frozen=True)
class Figure:
    """A measured ratio or time, and the goal that it is held against."""

    value: float
    goal: str
    """`<= 1.05` or `>= 2.5`."""
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        relation, bound = self.goal.split()
        return self.value <= float(bound) if relation == "<=" else self.value >= float(bound)


def interleave(arms: Mapping[str, Callable[[], None]], rounds: int, title: str) -> dict[str, list[float]]:
    """Seconds of each arm in each round. Every round runs all arms, each round in another order; a first round is thrown away."""
    names = list(arms)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in tqdm(range(rounds + 1), desc=title, unit="round", disable=None):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            arms[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], numerator: str, denominator: str, goal: str, unit: str, divisor: int = 1) -> Figure:
    """The median over rounds of the ratio of two arms within a round, over `divisor`."""
    ratios = (a / b for a, b in zip(seconds[numerator], seconds[denominator], strict=True))
    return Figure(statistics.median(ratios) / divisor, goal, unit)


def classifier(layers: int, width: int) -> PreTrainedModel:
    """A BERT with random weights and 5 classes, in eval mode: speed does not depend on what weights say."""
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 12, "intermediate_size": 4 * width}
    config = AutoConfig.for_model("bert", vocab_size=VOCABULARY, num_labels=5, **sizes)
    return AutoModelForSequenceClassification.from_config(config).eval()


def random_rows(count: int, longest: int) -> PreparedRows:
    """Rows of 4 to `longest` random tokens, short ones more often, as in SST-2: the mean is about 0.4 of the longest."""
    rng = np.random.default_rng(0)
    lengths = 4 + np.round((longest - 4) * rng.beta(1.5, 2.5, count)).astype(np.int64)
    return PreparedRows(
        ids=rng.integers(0, 256, (count, ID_BYTES), np.uint8),
        tokens=rng.integers(1000, VOCABULARY, lengths.sum(), np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        token_types=None,
        labels=torch.randint(0, 5, (count,)).numpy(),
    )
