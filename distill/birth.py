"""Which newborn student an entry of params.yaml asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, set_seed

from distill.console import say
from distill.conversion import to_distilbert
from distill.encoders import load_tokenizer, tokenizer_fingerprint
from distill.errors import UserError
from distill.models import load_model, require_fit
from distill.prepared import Dataset
from distill.students import copy_embeddings, evenly, from_layers, random_student
from distill.tasks.catalogue import task_of


def newborn(
    source: Path,
    dataset: Dataset,
    *,
    seed: int,
    layers: Sequence[int] | None = None,
    depth: int | None = None,
    family: str | None = None,
    architecture: Mapping[str, Any] | None = None,
    embeddings: bool = False,
) -> PreTrainedModel:
    """The student before its training, with the head of the data set's task.

    Args:
        source: The model whose layers are copied, whatever its own task; a random student looks at it for embeddings alone.
        dataset: What the student will learn on.
        seed: Of random weights, and of a new head where the source has none for this task and these labels.
        layers: The layers to copy, or
        depth: how many, evenly spaced, or neither: all.
        family: `distilbert` puts the copied layers of a BERT into its modules.
        architecture: The shape of a random student.
        embeddings: Give the random student the source's embeddings.

    Raises:
        UserError: the source does not fit the data set, or lacks a layer; or the architecture cannot be built.
    """
    set_seed(seed)
    task = task_of(dataset.task)
    if architecture is not None:
        student = random_student(architecture, task, dataset.labels, dataset.vocabulary, dataset.pad_token)
        if embeddings:
            copy_embeddings(student, _source(source, dataset))
    else:
        whole = _source(source, dataset)
        there = whole.config.num_hidden_layers
        student = from_layers(whole, layers if layers is not None else evenly(depth or there, there))
        if family is not None:
            student, new = to_distilbert(student, task)
            say(f"init: {source} as {family}: {'new: ' + ', '.join(new) if new else 'nothing is new'}")
    require_fit(student, dataset, "init.architecture" if architecture is not None else str(source))
    return student


def _source(folder: Path, dataset: Dataset) -> PreTrainedModel:
    """The model that something is copied from, with the head of the data set's task: its own, or a new one."""
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no model; run the stage that writes it, or `dvc pull {folder}`")
    own = tokenizer_fingerprint(load_tokenizer(folder))
    if own != dataset.tokenizer:
        raise UserError(
            f"{folder}: its tokenizer is {own[:12]}, the rows of {dataset.folder} were made with {dataset.tokenizer[:12]}; "
            "a student that copies its layers must read its tokens"
        )
    return load_model(folder, task_of(dataset.task), dataset.labels, new_head=True)
