"""Which newborn student an entry of params.yaml asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, set_seed

from distill.encoders import load_classifier, load_tokenizer, require_positions, require_vocabulary, tokenizer_fingerprint
from distill.errors import UserError
from distill.prepared import Dataset
from distill.students import evenly, from_layers, random_student


def newborn(
    source: Path,
    dataset: Dataset,
    layers: Sequence[int] | None,
    depth: int | None,
    architecture: Mapping[str, Any] | None,
    seed: int,
) -> PreTrainedModel:
    """The student before its training.

    Args:
        source: The model whose layers are copied; only its place is looked at for a random student.
        dataset: What the student will learn on.
        layers: The layers to copy, or
        depth: how many, evenly spaced, or
        architecture: the shape of a random student, or none of them: the whole model.
        seed: Of random weights, and of a new head where the source has none for these labels.

    Raises:
        UserError: the source does not fit the data set, or lacks a layer.
    """
    set_seed(seed)
    if architecture is not None:
        student = random_student(architecture, dataset.labels, dataset.vocabulary, dataset.pad_token)
    else:
        if not (source / "config.json").exists():
            raise UserError(f"{source}: no model; run the stage that writes it, or `dvc pull {source}`")
        own = tokenizer_fingerprint(load_tokenizer(source))
        if own != dataset.tokenizer:
            raise UserError(
                f"{source}: its tokenizer is {own[:12]}, the rows of {dataset.folder} were made with {dataset.tokenizer[:12]}; "
                "a student that copies its layers must read its tokens"
            )
        whole = load_classifier(source, dataset.labels, new_head=True)
        wanted = layers if layers is not None else evenly(depth or whole.config.num_hidden_layers, whole.config.num_hidden_layers)
        student = from_layers(whole, wanted)
    require_vocabulary(student, dataset.vocabulary, "init.architecture" if architecture else str(source))
    require_positions(student, dataset.max_length, "init.architecture" if architecture else str(source))
    return student
