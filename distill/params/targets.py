"""`targets`: what is kept of a teacher's forward pass over a data set."""

from typing import Annotated, Literal

from pydantic import Field

from distill.params.base import Strict

Split = Literal["train", "validation", "test"]


class TargetSettings(Strict):
    """One target set: task logits in fp32 for every split, and the hidden states that are asked for."""

    teacher: str
    dataset: str
    hidden: tuple[int, ...] = ()
    """Hidden states to keep: 0 is the embedding output, i the output of layer i, -1 the last."""
    hidden_splits: tuple[Split, ...] = ("train",)
    """The splits whose hidden states are kept."""
    codec: Literal["fp32", "fp16", "int8"] = "int8"
    """How hidden states are written: 4, 2 or about 1 byte a value."""
    shard_megabytes: Annotated[int, Field(ge=16, le=64)] = 32
    """The size that a shard is closed at, and the most that a killed run computes again."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Tokens a forward pass of the teacher, padding included."""
    precision: Literal["fp32", "bf16"] = "fp32"
