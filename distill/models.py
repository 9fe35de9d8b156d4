"""Models on disk: a folder that transformers loads, and nothing in it but safetensors and JSON."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.encoders import load_classifier, load_tokenizer, require_positions, require_vocabulary, tokenizer_fingerprint
from distill.errors import UserError
from distill.prepared import Dataset


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write weights, config and tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_for(folder: Path, dataset: Dataset) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that this pipeline wrote, refused unless labels, tokenizer, vocabulary and length fit the data set.

    Raises:
        UserError: what does not fit.
    """
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no model; run the stage that writes it, or `dvc pull {folder}`")
    tokenizer = load_tokenizer(folder)
    own = tokenizer_fingerprint(tokenizer)
    if own != dataset.tokenizer:
        raise UserError(
            f"{folder}: its tokenizer is {own[:12]}, the rows of {dataset.folder} were made with {dataset.tokenizer[:12]}; "
            "prepare the data set with the model's tokenizer"
        )
    model = load_classifier(folder, dataset.labels, new_head=False)
    require_vocabulary(model, dataset.vocabulary, str(folder))
    require_positions(model, dataset.max_length, str(folder))
    return model, tokenizer
