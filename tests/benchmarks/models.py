"""Models with random weights and rows with random tokens: speed does not depend on what they say."""

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from distill.prepared import ID_BYTES, PreparedRows

VOCABULARY = 30_522


def classifier(layers: int, width: int) -> PreTrainedModel:
    """A BERT with 5 classes, in eval mode."""
    config = AutoConfig.for_model(
        "bert",
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=4 * width,
        num_labels=5,
    )
    return AutoModelForSequenceClassification.from_config(config).eval()


def random_rows(count: int, longest: int) -> PreparedRows:
    """Rows of 4 to `longest` tokens, short ones more often, as in SST-2: the mean is about 0.4 of the longest."""
    dice = np.random.default_rng(0)
    lengths = 4 + np.round((longest - 4) * dice.beta(1.5, 2.5, count)).astype(np.int64)
    return PreparedRows(
        ids=dice.integers(0, 256, (count, ID_BYTES), np.uint8),
        tokens=dice.integers(1000, VOCABULARY, lengths.sum(), np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        token_types=None,
        labels=torch.randint(0, 5, (count,)).numpy(),
    )
