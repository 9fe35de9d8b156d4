"""`targets`: what is kept of a teacher's forward pass over a data set."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.core.settings import Positive, Seed, Split
from distill.core.validation import Strict


class TargetSettings(Strict):
    """One target set: logits for every split, and the hidden states, attention maps and projections that are asked for.

    Logits are kept in fp32, vectors of sentence-embedding by `codec`. Of masked-lm and causal-lm, whose vocabulary is too wide,
    that is kept by `codec` which the teacher's head makes of the last hidden state; logits are replayed from it.
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
    logits_as: Literal["replay", "top-k", "draws"] = "replay"
    """causal-lm: what is kept of training rows' distributions. `replay` keeps the last state, by `codec`, from which all are
    computed again; the others a part of them, for the recipe `divergence` with forward-kl at temperature 1: docs/decoders.md."""
    top_k: Positive = 64
    """top-k: how many of the likeliest tokens, in fp16 (in fp32 with codec fp32); all others are kept as one mass."""
    draws: Positive = 12
    """draws: how many tokens are drawn for each that is to be predicted."""
    draw_seed: Seed = 1
    """draws: with the row's content, all that they depend on."""
    hidden_splits: tuple[Split, ...] = ("train",)
    """The splits of which hidden states and attention are kept."""
    codec: Literal["fp32", "fp16", "bf16", "int8", "int4"] = "int8"
    """How hidden states are written: 4, 2, 2, about 1 or about 0.56 bytes a value."""
    shard_megabytes: Annotated[int, Field(ge=16, le=64)] = 32
    """The size that a shard is closed at, and the most that a killed run computes again."""
    batch_tokens: Positive = 4096
    """Tokens a forward pass of the teacher, padding included."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the teacher's weights and products: bf16 is faster where the hardware multiplies it, hidden states differ by some 1%."""
    engine: Literal["local", "ray"] = "local"
    """`local`: this process, or those of `torchrun` and `accelerate launch`. `ray`: actors on a Ray cluster (extra `ray`)."""
    workers: Positive | None = None
    """Ray actors, each with a teacher of its own; by default as many as the cluster has GPUs, or CPUs."""
    pool: str | None = None
    """Where finished units wait for one another: a folder or any fsspec URL that all machines reach; by default data/.scratch."""

    @model_validator(mode="after")
    def _of_what_is_kept(self) -> "TargetSettings":
        """Refuse settings of another way to keep distributions than the chosen one."""
        for key, way in (("top_k", "top-k"), ("draws", "draws"), ("draw_seed", "draws")):
            if key in self.model_fields_set and self.logits_as != way:
                raise ValueError(f"{key}: is of logits_as: {way}, this is {self.logits_as}; set that, or remove {key}")
        if self.workers is not None and self.engine != "ray":
            raise ValueError("workers: is of engine: ray, which makes actors; set that, or remove workers")
        return self
