"""The only door to transformers' models and tokenizers."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import transformers
from huggingface_hub.utils.tqdm import enable_progress_bars
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from distill.errors import UserError
from distill.files import sha256
from distill.places import first_line, from_hub, local_folder

transformers.utils.logging.disable_progress_bar()
if os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS") != "1":
    enable_progress_bars()


def load_tokenizer(place: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A fast tokenizer, from a folder or a hub name.

    Raises:
        UserError: there is none, or the hub cannot be reached.
    """

    def load() -> PreTrainedTokenizerBase:
        return cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(place, revision=revision))

    tokenizer = load_or_explain(place, "tokenizer", load)
    if not tokenizer.is_fast:
        raise UserError(f"{place}: has no fast tokenizer (tokenizer.json); convert it with transformers and save it again")
    return tokenizer


def load_or_explain(place: str | Path, what: str, load: Any) -> Any:
    """Call a `from_pretrained`, from disk or from the hub, and turn its failures into one line.

    Raises:
        UserError: nothing loadable is there.
    """
    try:
        return load() if Path(place).is_dir() else from_hub(f"{what} '{place}'", load)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{place}: no usable {what}: {first_line(error)}") from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(f"{place}: the {what} is damaged: {error}; fetch it again") from None


def checkpoint_place(hub: str | None, path: str | None, package: str | None) -> str | Path:
    """Where transformers finds a checkpoint: a folder, or the hub's name of it.

    Raises:
        UserError: the folder or package does not exist.
    """
    return local_folder(path, package) or str(hub)


def require_same_labels(config: PretrainedConfig, labels: Sequence[str], where: str) -> None:
    """Refuse a model whose label order is not that of the data.

    Raises:
        UserError: both orders are named.
    """
    own = [str(config.id2label[i]) for i in sorted(config.id2label)]
    if own != list(labels):
        raise UserError(f"{where}: its labels are {own}, the data set's are {list(labels)}; set the data set's `labels` to match")


def set_labels(config: PretrainedConfig, labels: Sequence[str]) -> None:
    """Write the label names into a config, in their order."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}


def require_vocabulary(model: PreTrainedModel, tokenizer_size: int, where: str) -> None:
    """Refuse a tokenizer that makes ids for which the model has no embedding.

    Raises:
        UserError: both sizes are named.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer_size > rows:
        raise UserError(
            f"{where}: embeds {rows} tokens, the data set's tokenizer has {tokenizer_size}; use the model's own tokenizer"
        )


def require_positions(model: PreTrainedModel, max_length: int, where: str) -> None:
    """Refuse rows longer than the model's position embeddings.

    Raises:
        UserError: both lengths are named.
    """
    most = longest(model.config)
    if most is not None and max_length > most:
        raise UserError(f"{where}: takes {most} tokens, the data set's max_length is {max_length}; lower it")


def longest(config: PretrainedConfig) -> int | None:
    """How many tokens a model takes, special tokens included; None if any number."""
    positions: int | None = getattr(config, "max_position_embeddings", None)
    unused = 2 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0
    return None if positions is None else positions - unused


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of what a tokenizer does: its pipeline and vocabulary, without truncation and padding."""
    pipeline = json.loads(tokenizer.backend_tokenizer.to_str())
    pipeline["truncation"] = pipeline["padding"] = None
    return hashlib.sha256(json.dumps(pipeline, sort_keys=True).encode()).hexdigest()


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 over the safetensors files of a model's folder.

    Raises:
        UserError: there is none.
    """
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no model.safetensors; run the stage that writes {folder}")
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def config_fingerprint(folder: Path) -> str:
    """SHA-256 of a model's config, without the version of transformers that wrote it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
