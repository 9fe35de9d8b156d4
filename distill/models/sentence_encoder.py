"""A text's vector: an encoder, pooling over its tokens, a linear layer if the vector is to be wider or narrower, and length 1.

What is written is a folder of sentence-transformers (Reimers & Gurevych 2019, arXiv 1908.10084), which gives equal vectors:

    config.json, model.safetensors     the encoder alone, as AutoModel reads it, and `sentence_embedding`: EmbeddingSettings
    modules.json                       what follows what
    1_Pooling/, 2_Dense/ …             a config each, and the linear layer's weights
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput, cached_file

from distill.core.errors import UserError, one_line
from distill.core.files import read_json, to_json, write_text
from distill.models.config_keys import SENTENCE_EMBEDDING

Pooling = Literal["mean", "cls", "last"]
Ids = Int[Tensor, "batch seq"]
POOLED_BY = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
"""What sentence-transformers calls each pooling in 1_Pooling/config.json; newer folders have `pooling_mode` instead."""
LINEAR = "torch.nn.modules.linear.Identity"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class EmbeddingSettings:
    """What makes a vector of an encoder's states."""

    pooling: Pooling = "mean"
    """The mean over real tokens, the first one, or the last one."""
    normalize: bool = True
    """Whether vectors have length 1."""
    size: int | None = None
    """The numbers of a vector, where a linear layer follows the pooling; None: as many as the encoder's states have."""

    @classmethod
    def of(cls, config: PretrainedConfig) -> "EmbeddingSettings":
        """Those that a config has; of one that has none, the mean, with length 1."""
        return cls(**getattr(config, SENTENCE_EMBEDDING, None) or {})


@dataclass
class EmbeddingOutput(ModelOutput):
    """What a SentenceEncoder gives; accelerate makes one of a dict of all fields, in place of the first."""

    sentence_embedding: Any = None
    """(batch, size)"""
    hidden_states: Any = None
    attentions: Any = None


class SentenceEncoder(PreTrainedModel):
    """Any encoder of transformers, and what makes one vector a text of its last hidden states."""

    base_model_prefix = "encoder"
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, config: PretrainedConfig, encoder: PreTrainedModel | None = None) -> None:
        """`encoder` is one that is there; by default a random one of the config."""
        encoder = AutoModel.from_config(config) if encoder is None else encoder
        super().__init__(encoder.config)
        self.encoder = encoder
        settings = EmbeddingSettings.of(config)
        setattr(encoder.config, SENTENCE_EMBEDDING, asdict(settings))
        self.dense = nn.Linear(config.hidden_size, settings.size) if settings.size else None
        self.all_tied_weights_keys: dict[str, str] = {}

    @classmethod
    def from_config(cls, config: PretrainedConfig, **how: Any) -> "SentenceEncoder":
        """A random one, from torch's current random state."""
        return cls(config, AutoModel.from_config(config, **how))

    @classmethod
    def from_pretrained(cls, place: str | Path, *, pooling: Pooling | None = None, **how: Any) -> "SentenceEncoder":
        """A folder of sentence-transformers, or any encoder, whose pooling is then `pooling`, by default the mean.

        Raises:
            UserError: the encoder lacks weights, its folder has modules that are not known here, or another pooling.
        """
        revision = how.get("revision")
        encoder, report = AutoModel.from_pretrained(place, output_loading_info=True, **{"dtype": "float32", **how})
        lacking = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
        if lacking:
            raise UserError(f"{place}: is no encoder: it has no weights of {lacking[0]}; choose another checkpoint")
        told, dense = _modules(place, revision)
        if told is None:
            told = EmbeddingSettings.of(encoder.config) if pooling is None else EmbeddingSettings(pooling)
        elif pooling is not None and pooling != told.pooling:
            raise UserError(f"{place}: its own pooling is {told.pooling}, got pooling: {pooling}; leave pooling out")
        setattr(encoder.config, SENTENCE_EMBEDDING, asdict(told))
        model = cls(encoder.config, encoder)
        if model.dense is not None:
            _fill(model.dense, dense, str(place))
        model.eval()
        return model

    @property
    def settings(self) -> EmbeddingSettings:
        """How vectors are made."""
        return EmbeddingSettings.of(self.config)

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's."""
        return cast(nn.Module, self.encoder.get_input_embeddings())

    def forward(
        self, input_ids: Ids, attention_mask: Ids | None = None, token_type_ids: Ids | None = None, **more: Any
    ) -> EmbeddingOutput:
        """A vector a text; token types, which tokenizers make of single texts too, go to encoders that have any."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        outputs = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types, **more)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vectors = pool(outputs.last_hidden_state, mask, self.settings.pooling)
        vectors = vectors if self.dense is None else self.dense(vectors)
        vectors = functional.normalize(vectors, dim=-1) if self.settings.normalize else vectors
        return EmbeddingOutput(vectors, outputs.get("hidden_states"), outputs.get("attentions"))

    def save_pretrained(self, save_directory: str | Path, **how: Any) -> None:
        """Write the folder of sentence-transformers."""
        folder = Path(save_directory)
        self.encoder.save_pretrained(folder, **how)
        parts: list[tuple[str, dict[str, Any]]] = [("Pooling", _pooling_config(self.settings.pooling, self.config.hidden_size))]
        if self.dense is not None:
            sizes = {"in_features": self.dense.in_features, "out_features": self.dense.out_features}
            parts.append(("Dense", {**sizes, "bias": True, "activation_function": LINEAR}))
        parts += [("Normalize", {})] if self.settings.normalize else []
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
        for number, (kind, config) in enumerate(parts, 1):
            path = f"{number}_{kind}"
            modules.append({"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"})
            write_text(folder / path / "config.json", to_json(config))
            if kind == "Dense" and self.dense is not None:
                tensors = {f"linear.{name}": part.detach().cpu().contiguous() for name, part in self.dense.named_parameters()}
                save_file(tensors, folder / path / WEIGHTS)
        write_text(folder / "modules.json", to_json(modules))


def vector_size(model: PreTrainedModel) -> int | None:
    """How many numbers a model's vectors have; None if it makes none."""
    return model.settings.size or int(model.config.hidden_size) if isinstance(model, SentenceEncoder) else None


def pool(
    states: Float[Tensor, "batch seq width"], mask: Int[Tensor, "batch seq"], pooling: Pooling
) -> Float[Tensor, "batch width"]:
    """One vector a text of its tokens' states; `mask` is 1 at real tokens, which stand before the padding."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        last = (mask.sum(dim=1) - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        return states.gather(1, last)[:, 0]
    real = mask[:, :, None].to(states.dtype)
    return (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1e-9)


def _pooling_config(pooling: Pooling, width: int) -> dict[str, Any]:
    modes = {"pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"}
    chosen = POOLED_BY[pooling]
    return {"word_embedding_dimension": width, "include_prompt": True, **{mode: mode == chosen for mode in {*modes, chosen}}}


def _modules(place: str | Path, revision: str | None) -> tuple[EmbeddingSettings | None, Path | None]:
    """What a folder of sentence-transformers, here or on the hub, says of vectors, and its linear layer; None if it is none."""

    def file(name: str) -> Path | None:
        found = cached_file(
            str(place),
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
        return None if found is None else Path(found)

    listed = file("modules.json")
    if listed is None:
        return None, None
    settings, dense = EmbeddingSettings(normalize=False), None
    for module in read_json(listed, "the modules of a model of sentence-transformers")[1:]:
        kind, path = str(module["type"]).rpartition(".")[2], module["path"]
        config = file(f"{path}/config.json")
        content = {} if config is None else read_json(config, "a module's settings")
        if kind == "Pooling":
            settings = replace(settings, pooling=_pooling_of(content, f"{place}/{path}"))
        elif kind == "Dense" and _is_read(content) and dense is None and not settings.normalize:
            settings, dense = replace(settings, size=int(content["out_features"])), file(f"{path}/{WEIGHTS}")
        elif kind == "Normalize":
            settings = replace(settings, normalize=True)
        else:
            raise UserError(
                f"{place}: its module {path} is a {kind} with {content}; expected pooling, at most one linear layer without "
                "activation, and normalization, in this order; choose another checkpoint"
            )
    return settings, dense


def _is_read(dense: Mapping[str, Any]) -> bool:
    """Whether a linear layer is one that is read: with a bias, without activation."""
    return dense.get("activation_function") == LINEAR and bool(dense.get("bias", True))


def _pooling_of(content: dict[str, Any], where: str) -> Pooling:
    """The one pooling that a config of sentence-transformers turns on."""
    names = {flag: name for name, flag in POOLED_BY.items()} | {"lasttoken": "last"}
    on = content.get("pooling_mode") or [
        flag for flag, value in content.items() if flag.startswith("pooling_mode_") and value is True
    ]
    found = [names.get(flag, flag) for flag in ([on] if isinstance(on, str) else on)]
    if len(found) != 1 or found[0] not in get_args(Pooling):
        raise UserError(f"{where}: pools by {', '.join(found) or 'nothing'}; expected one of {', '.join(get_args(Pooling))}")
    return cast(Pooling, found[0])


def _fill(dense: nn.Linear, weights: Path | None, where: str) -> None:
    """Put a file's weights into the linear layer."""
    try:
        tensors = {} if weights is None else load_file(weights)
        dense.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in tensors.items()})
    except (SafetensorError, OSError, RuntimeError) as error:
        line = one_line(error)
        raise UserError(
            f"{where}: the weights of its linear layer are missing or damaged ({line}); get the folder again"
        ) from None
