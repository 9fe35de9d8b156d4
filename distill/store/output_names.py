"""What the outputs of a target set are called: `logits`, `tokens`, `hidden-06`, `attention-06`, …"""

import re
from typing import Literal

LOGITS = "logits"
TOKENS = "tokens"
TRANSFORM = "transform"
LIKELIEST = "likeliest"
DRAWS = "draws"
IN_PART = (LIKELIEST, DRAWS)
"""What is kept of distributions over a vocabulary where they are not replayed."""

PROJECTIONS: dict[str, Literal["query", "key", "value"]] = {"queries": "query", "keys": "key", "values": "value"}
"""Kinds of outputs that are projections of a layer."""

REPLAY = "replay"
"""The codec of an output that is computed again from another one."""

HEADS = "heads.safetensors"


def hidden_output(layer: int) -> str:
    """The name of a hidden state's output: `hidden-03`."""
    return f"hidden-{layer:02d}"


def cls_output(layer: int) -> str:
    """The name of a hidden state at the first token: `cls-03`."""
    return f"cls-{layer:02d}"


def attention_output(layer: int) -> str:
    """The name of a layer's attention scores: `attention-03`; layers are counted from 1."""
    return f"attention-{layer:02d}"


def projection_outputs(layer: int) -> tuple[str, str, str]:
    """The names of a layer's projections, `queries-03 keys-03 values-03`; layers are counted from 1."""
    return (f"queries-{layer:02d}", f"keys-{layer:02d}", f"values-{layer:02d}")


def is_of_layer(kind: str) -> bool:
    """Whether outputs of a kind belong to a layer, counted from 1, and not to a hidden state, counted from 0."""
    return kind == "attention" or kind in PROJECTIONS


def state_of(output: str) -> int | None:
    """The hidden state that an output is, or is made of: 3 of `hidden-03`, `cls-03`, `attention-04` and `keys-04`."""
    kind, layer = kind_of(output)
    return None if layer is None else layer - is_of_layer(kind)


def kind_of(output: str) -> tuple[str, int | None]:
    """`("hidden", 3)` of `hidden-03`, `("logits", None)` of `logits`."""
    match = re.fullmatch(r"([a-z]+)-(\d+)", output)
    return (match[1], int(match[2])) if match else (output, None)
