"""Whether a model fits a data set: its tokenizer, its vocabulary, and the length of its rows."""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.data.tokenizers import tokenizer_fingerprint
from distill.models.families import usable_positions


def require_tokenizer(tokenizer: PreTrainedTokenizerBase, dataset: Dataset, where: str) -> None:
    """Refuse a model whose tokenizer is not the one that made the data set's rows."""
    fingerprint = tokenizer_fingerprint(tokenizer)
    if fingerprint != dataset.tokenizer:
        raise UserError(
            f"{where}: its tokenizer is {fingerprint[:12]}, the rows of {dataset.folder} were made with "
            f"{dataset.tokenizer[:12]}; both must use the same: prepare the data set with the model's tokenizer"
        )


def require_fit(model: PreTrainedModel, dataset: Dataset, where: str) -> None:
    """Refuse a model that cannot embed the data set's tokens, or rows of its length."""
    require_vocabulary(model, dataset.vocabulary, where)
    require_positions(model, dataset.max_length, where)


def require_vocabulary(model: PreTrainedModel, tokenizer_size: int, where: str) -> None:
    """Refuse a tokenizer that makes ids for which the model has no embedding."""
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer_size > rows:
        raise UserError(
            f"{where}: embeds {rows} tokens, the data set's tokenizer has {tokenizer_size}; use the model's own tokenizer"
        )


def require_positions(model: PreTrainedModel, max_length: int, where: str) -> None:
    """Refuse rows longer than the model's position embeddings."""
    most = usable_positions(_positions(model))
    if most is not None and max_length > most:
        raise UserError(f"{where}: takes {most} tokens, the data set's max_length is {max_length}; lower it")


def _positions(model: PreTrainedModel) -> dict[str, Any]:
    """What `usable_positions` reads; some configs have another name for it in their JSON."""
    names = ("model_type", "max_position_embeddings", "pad_token_id")
    return {name: getattr(model.config, name, None) for name in names}
