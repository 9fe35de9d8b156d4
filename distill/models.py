"""Models on disk: a folder that transformers loads, and nothing in it but safetensors and JSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import transformers
from jaxtyping import Bool
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from distill.encoders import (
    load_or_explain,
    load_tokenizer,
    require_positions,
    require_same_labels,
    require_vocabulary,
    tokenizer_fingerprint,
)
from distill.errors import UserError
from distill.prepared import Dataset
from distill.tasks.base import Task
from distill.tasks.catalogue import task_of

MASKED_LM_HEADS = {
    "bert": "cls",
    "mobilebert": "cls",
    "distilbert": "vocab_transform",
    "roberta": "lm_head",
    "xlm-roberta": "lm_head",
    "camembert": "lm_head",
    "electra": "generator_predictions",
    "modernbert": "head",
}
"""The module of a masked language model that takes the last hidden state, by family."""
TASK_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
"""How the names of classes with the head of one task end."""


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Write weights, config and tokenizer, which says how long the rows were that the model is trained and measured on."""
    model.save_pretrained(folder)
    tokenizer.model_max_length = max_length
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
    model = load_model(folder, task_of(dataset.task), dataset.labels, new_head=False)
    require_fit(model, dataset, str(folder))
    return model, tokenizer


def require_fit(model: PreTrainedModel, dataset: Dataset, where: str) -> None:
    """Refuse a model that cannot embed the data set's tokens, or rows of its length.

    Raises:
        UserError: both sizes are named.
    """
    require_vocabulary(model, dataset.vocabulary, where)
    require_positions(model, dataset.max_length, where)


def load_model(
    place: str | Path, task: Task, labels: Sequence[str], *, new_head: bool, revision: str | None = None
) -> PreTrainedModel:
    """A checkpoint with the task's head for these labels, fp32, `sdpa` attention where it has it.

    With `new_head`, a head that is missing or of another size is newly made from torch's current random state. Without, the
    checkpoint's own head must fit, and where labels are classes, their order must be that of the data.

    Raises:
        UserError: the checkpoint is unusable, has no such head, or orders its labels differently.
    """
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}} if labels else {}
    model, report = load_or_explain(
        place,
        "model",
        lambda: getattr(transformers, task.auto).from_pretrained(
            place, revision=revision, dtype="float32", ignore_mismatched_sizes=True, output_loading_info=True, **named
        ),
    )
    absent = sorted(set(report["missing_keys"]) | {entry[0] for entry in report["mismatched_keys"]})
    absent += [f"it is a {other}" for other in model.config.architectures or () if _has_another_head(other, model)]
    if absent and not new_head:
        sized = f" for {len(labels)} labels" if task.names_labels else ""
        raise UserError(f"{place}: has no {task.name} head{sized} ({absent[0]}); fine-tune it: epochs ≥ 1")
    if task.names_labels and not new_head:
        config = load_or_explain(place, "config", lambda: AutoConfig.from_pretrained(place, revision=revision))
        require_same_labels(config, labels, str(place))
    return cast(PreTrainedModel, model)


def _has_another_head(architecture: str, model: PreTrainedModel) -> bool:
    """Whether a checkpoint was made for another task: ModernBERT's heads have the same names, so their weights do not tell."""
    return architecture.endswith(TASK_HEADS) and architecture != type(model).__name__


@contextmanager
def only_positions(model: PreTrainedModel, where: Bool[Tensor, "batch seq"] | None) -> Iterator[None]:
    """Let a masked language model's head run at these tokens alone: its logits are (positions, vocabulary).

    A head makes some 30,000 numbers a token, of which only those of masked tokens matter. None changes nothing.

    Raises:
        UserError: where the family's head begins is not known.
    """
    if where is None:
        yield
        return
    family = model.config.model_type
    if family not in MASKED_LM_HEADS:
        raise UserError(f"the masked-lm head of '{family}' is not known; choose a model of {', '.join(MASKED_LM_HEADS)}")
    head = getattr(model, MASKED_LM_HEADS[family])
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][where], *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()
