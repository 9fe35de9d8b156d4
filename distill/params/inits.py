"""`students.NAME.init`: how a student is initialized, and well-known shapes of encoders by name."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from distill.core.settings import Positive, Seed
from distill.core.validation import Strict, nearest


def _bert(layers: int, width: int, heads: int, inner: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }


_MOBILEBERT = {
    "model_type": "mobilebert",
    "num_hidden_layers": 24,
    "hidden_size": 512,
    "num_attention_heads": 4,
    "embedding_size": 128,
    "trigram_input": True,
    "key_query_shared_bottleneck": True,
}

PRESETS: dict[str, dict[str, Any]] = {
    "bert-base": _bert(12, 768, 12, 3072),
    "bert-tiny": _bert(2, 128, 2, 512),
    "bert-mini": _bert(4, 256, 4, 1024),
    "bert-small": _bert(4, 512, 8, 2048),
    "bert-medium": _bert(8, 512, 8, 2048),
    "tinybert-4": _bert(4, 312, 12, 1200),
    "tinybert-6": _bert(6, 768, 12, 3072),
    "distilbert": {"model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072},
    "mobilebert": {
        **_MOBILEBERT,
        "intra_bottleneck_size": 128,
        "intermediate_size": 512,
        "num_feedforward_networks": 4,
        "normalization_type": "no_norm",
        "hidden_act": "relu",
    },
    "ib-bert": {
        **_MOBILEBERT,
        "intra_bottleneck_size": 1024,
        "intermediate_size": 4096,
        "num_feedforward_networks": 1,
        "normalization_type": "layer_norm",
        "hidden_act": "gelu",
    },
}
"""Settings of transformers' configs; the vocabulary is that of the data set.

bert-tiny to bert-medium: Turc et al. 2019 (arXiv 1908.08962). distilbert: Sanh et al. 2019 (arXiv 1910.01108). tinybert-4 and
tinybert-6: Jiao et al. 2020 (arXiv 1909.10351). mobilebert and its teacher ib-bert: Sun et al. 2020 (arXiv 2004.02984), table 1.

With 30,522 tokens, mobilebert has 24.8M parameters and not the paper's 25.3M: what the masked language model adds to it, 0.3M, is
left out here. ib-bert has 332M and not 293M: in the paper queries and keys are made of the 512 channels between layers, and
transformers' modules make them of 1024, behind a bottleneck that they share (38M).
"""


SIZES = {*PRESETS["bert-base"], *PRESETS["distilbert"]} - {"model_type"}
"""Keys of a shape."""


def _resolved(value: object) -> object:
    """A preset's name, or a mapping that names one, as the settings that it stands for."""
    settings = {"preset": value} if isinstance(value, str) else value
    if not isinstance(settings, dict) or "preset" not in settings:
        return settings
    name = settings["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"no preset {name!r}{nearest(str(name), PRESETS)}")
    return {**PRESETS[name], **{key: setting for key, setting in settings.items() if key != "preset"}}


Architecture = Annotated[
    dict[str, Any], BeforeValidator(_resolved, json_schema_input_type=Literal[tuple(PRESETS)] | dict[str, Any])
]
"""Once validated, the settings of a transformers config; a preset is written out."""


class InitSettings(Strict):
    """The initial student: one of `layers`, `depth`, `architecture`, or none to start from a whole checkpoint."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(alias="from", pattern=r"^data/(teachers|students|inits|prepared)/[A-Za-z0-9_][A-Za-z0-9_-]*$")
    """data/teachers/NAME or data/students/NAME (copy its layers), data/inits/NAME (the same initial student as that one's),
    or data/prepared/NAME (a random student needs no more than the tokenizer and the labels)."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """The layers to copy, counted from 0."""
    depth: Positive | None = None
    """How many layers to copy, evenly spaced, the first and the last among them (of one, the first)."""
    family: Literal["distilbert"] | None = Field(default=None, alias="as")
    """Put the copied layers of a BERT into another family's modules: DistilBERT has no token types and no pooler."""
    architecture: Architecture | None = None
    """A random student: the name of a preset, or any keys of its transformers config: `model_type` (default bert), or `preset`,
    and what differs from it."""
    bi_encoder: bool = False
    """Ranking: a student that reads query and passage apart, of whose vectors the score is the dot product; sentence-transformers
    loads it. Copied are the layers of an encoder (`from` a teacher of sentence-embedding with `epochs: 0`, say) or a ranker."""
    copy_embeddings: bool = False
    """Give a random student the embeddings of `from`, which must be of its family; a narrower student gets them along their
    principal axes."""
    seed: Seed = 1
    """Of random weights. All of a student's `seeds` start from the same initial student."""

    @property
    def positions(self) -> int | None:
        """How many tokens a random student takes, of families whose default is known; None of others."""
        settings = self.architecture or {}
        if self.architecture is None or settings.get("model_type", "bert") not in ("bert", "distilbert", "mobilebert"):
            return None
        found = settings.get("max_position_embeddings", 512)
        return found if isinstance(found, int) else None

    @model_validator(mode="after")
    def _one_way(self) -> "InitSettings":
        if sum(way is not None for way in (self.layers, self.depth, self.architecture)) > 1:
            raise ValueError("expected one of: layers, depth, architecture")
        bare = self.source.startswith("data/prepared/")
        if bare and self.architecture is None:
            raise ValueError("a prepared data set has no layers to copy; give architecture, or from: data/teachers/NAME")
        if self.family is not None and self.architecture is not None:
            raise ValueError("`as` is for copied layers, architecture for a random student; remove one")
        if self.family is not None and self.bi_encoder:
            raise ValueError("bi_encoder: its layers stay in their family; remove `as`")
        if self.copy_embeddings and self.architecture is None:
            raise ValueError(
                "copy_embeddings is for a random student; give architecture, or remove it: copied layers bring theirs"
            )
        if self.copy_embeddings and bare:
            raise ValueError("copy_embeddings: a prepared data set has no embeddings; give from: data/teachers/NAME")
        return self

    @property
    def configured(self) -> dict[str, Any]:
        """A random student's architecture, with what BERT's config has where it says nothing; empty of copied layers."""
        if self.architecture is None:
            return {}
        default = PRESETS["bert-base"] if self.architecture.get("model_type", "bert") == "bert" else {}
        return {**default, **self.architecture}

    @model_validator(mode="after")
    def _whole_heads(self) -> "InitSettings":
        settings = self.architecture or {}
        for key in sorted(SIZES & settings.keys()):
            if type(settings[key]) is not int or settings[key] < 1:
                raise ValueError(f"architecture.{key}: expected a whole number > 0, got {settings[key]!r:.60}")
        width, heads = (self.configured.get(key) for key in ("hidden_size", "num_attention_heads"))
        bottleneck = settings.get("model_type") == "mobilebert"
        if isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % heads and not bottleneck:
            raise ValueError(f"architecture: hidden_size {width} is no multiple of num_attention_heads {heads}; give both")
        return self
