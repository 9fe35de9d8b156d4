"""What config.json says of a model beside what transformers reads: `predict` and exports go by it, without torch."""

from collections.abc import Iterable
from typing import Any

SENTENCE_EMBEDDING = "sentence_embedding"
"""What makes vectors of the encoder's states: pooling, normalization, size."""
READS_APART = "reads_apart"
"""Whether a model of rankings is a bi-encoder, which reads query and passage one by one."""
READS_PAIRS = "reads_pairs"
"""Whether each row that the model has learnt from is a text and a `text_pair`."""
READS_TURNS = "reads_turns"
"""Whether a decoder has learnt from conversations, as the tokenizer's chat template writes them."""
WINDOW_STRIDE = "window_stride"
"""By how many tokens the windows of a context overlapped."""
WORD_SPLITTER = "word_splitter"
"""How raw text becomes the words that have tags, one of SPLITTERS."""
THRESHOLDS = "thresholds"
"""Multi-label: the probability from which on each label applies."""
CALIBRATION_TEMPERATURE = "calibration_temperature"
"""By what the last layer's weights have been divided."""

OF_ROWS = (WORD_SPLITTER, READS_PAIRS, WINDOW_STRIDE, READS_TURNS)
"""What rows a model has learnt from."""
FITTED = (THRESHOLDS, CALIBRATION_TEMPERATURE)
"""What was fitted to its head."""


def forget(config: Any, keys: Iterable[str]) -> None:
    """Take what a config says of another task: a model that another one was made of passes it on."""
    for key in keys:
        if hasattr(config, key):
            delattr(config, key)
