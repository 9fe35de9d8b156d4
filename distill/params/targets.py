"""`targets`: what is kept of a teacher's forward pass over a data set."""

from typing import Annotated, Literal

from pydantic import Field

from distill.core.settings import Strict

Split = Literal["train", "validation", "test"]


class TargetSettings(Strict):
    """One target set: logits for every split, and the hidden states, attention maps and projections that are asked for.

    Logits are kept in fp32, but those of masked-lm: a vocabulary is too wide, so they are replayed from what the teacher's head
    makes of the last hidden state, kept by `codec`.
    """

    teacher: str
    """An entry of `teachers`."""
    dataset: str
    """What the teacher reads: an entry of `datasets`, or of `augmentations`; not only what it was trained on."""
    hidden: tuple[int, ...] = ()
    """Hidden states to keep: 0 is the embedding output, i the output of layer i, -1 the last. State 0 takes no room where it can
    be computed again, exactly, from token ids and embedding tables (docs/families.md); else it is stored by `codec`."""
    cls: tuple[int, ...] = ()
    """Hidden states to keep at the first token alone."""
    attention: tuple[int, ...] = ()
    """Layers, counted from 1, whose attention scores students can read; -1 is the last."""
    attention_as: Literal["replay", "probabilities-u8", "scores-u8", "scores-fp16"] = "replay"
    """`replay` keeps the hidden state below the layer and computes scores again while students train; the others keep maps."""
    relations: tuple[int, ...] = ()
    """Layers, counted from 1, whose queries, keys and values students can read, replayed from the hidden state below; -1 is the
    last."""
    positions: Literal["masked", "all"] = "masked"
    """masked-lm: keep the logits of masked tokens only, or of all."""
    hidden_splits: tuple[Split, ...] = ("train",)
    """The splits of which hidden states and attention are kept."""
    codec: Literal["fp32", "fp16", "bf16", "int8", "int4"] = "int8"
    """How hidden states are written: 4, 2, 2, about 1 or about 0.56 bytes a value."""
    shard_megabytes: Annotated[int, Field(ge=16, le=64)] = 32
    """The size that a shard is closed at, and the most that a killed run computes again."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Tokens a forward pass of the teacher, padding included."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the teacher's weights and products: bf16 is faster where the hardware multiplies it, hidden states differ by some 1%."""
    engine: Literal["local", "ray"] = "local"
    """`local`: this process, or those of `torchrun` and `accelerate launch`. `ray`: actors on a Ray cluster (extra `ray`)."""
    workers: Annotated[int, Field(gt=0)] | None = None
    """Ray actors, each with a teacher of its own; by default as many as the cluster has GPUs, or CPUs."""
    pool: str | None = None
    """Where finished units wait for one another: a folder or any fsspec URL that all machines reach; by default data/.scratch."""
