"""Models of transformers: loading, saving, heads that fit the labels, and fingerprints."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import transformers
from huggingface_hub.utils.tqdm import enable_progress_bars
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from distill.core.errors import UserError
from distill.core.files import sha256
from distill.core.locations import load_or_explain
from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer
from distill.models.bi_encoder import BiEncoder, reads_apart
from distill.models.config_keys import (
    FITTED,
    OF_ROWS,
    READS_APART,
    READS_PAIRS,
    READS_TURNS,
    SENTENCE_EMBEDDING,
    WINDOW_STRIDE,
    WORD_SPLITTER,
    forget,
)
from distill.models.families import family_of, is_causal_lm, supporting
from distill.models.fit import require_fit, require_tokenizer
from distill.models.sentence_encoder import Pooling, SentenceEncoder
from distill.params.task_specs import TASK_SPECS
from distill.tasks.base import Task
from distill.tasks.registry import task_of

transformers.utils.logging.disable_progress_bar()
if os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS") != "1":
    enable_progress_bars()  # of downloads: the line before silences them too

TASK_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
"""How the names of classes with the head of one task end."""


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset) -> None:
    """Write weights, config and tokenizer, which say of the rows that the model is trained and measured on how long they were.

    Also, by the task, how raw text becomes words, whether rows are pairs or conversations, and how windows overlap.
    """
    forget(model.config, OF_ROWS)
    if "tokens" in dataset.spec.columns:
        setattr(model.config, WORD_SPLITTER, dataset.splitter)
    if dataset.spec.pairs:
        setattr(model.config, READS_PAIRS, dataset.pairs)
    if dataset.spec.windows:
        setattr(model.config, WINDOW_STRIDE, dataset.stride)
    if dataset.spec.causal:
        setattr(model.config, READS_TURNS, bool(tokenizer.chat_template) and "conversations" in dataset.splits["train"]["counts"])
    model.save_pretrained(folder)
    tokenizer.model_max_length = dataset.max_length
    tokenizer.save_pretrained(folder)


def load_for(
    folder: Path, dataset: Dataset, *, new_head: bool = False, apart: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that this pipeline wrote, refused unless labels, tokenizer, vocabulary and length fit the data set.

    With `new_head`, it may be of another task or other labels, and gets a new head then; with `apart`, it becomes a bi-encoder.
    """
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: no model; run the stage that writes it, or `dvc pull {folder}`")
    tokenizer = load_tokenizer(folder)
    require_tokenizer(tokenizer, dataset, str(folder))
    model = load_model(folder, task_of(dataset.task), dataset.labels, new_head=new_head, apart=apart)
    require_fit(model, dataset, str(folder))
    return model, tokenizer


def model_class(task: Task, *, apart: bool = False) -> Any:
    """The class whose `from_pretrained` and `from_config` make models with the task's head; `apart`: bi-encoders that rank."""
    if task.spec.groups and apart:
        return BiEncoder
    return SentenceEncoder if task.spec.embeds else getattr(transformers, task.spec.auto_model)


def load_model(
    place: str | Path,
    task: Task,
    labels: Sequence[str],
    *,
    new_head: bool,
    revision: str | None = None,
    pooling: Pooling | None = None,
    apart: bool = False,
) -> PreTrainedModel:
    """A checkpoint with the task's head for these labels, fp32, `sdpa` attention where it has it.

    With `new_head`, a head that is missing or of another size is newly made from torch's current random state, and one for the
    same labels gets their order. Without, the checkpoint's own head must fit, and where labels are classes, their order must be
    that of the data. `pooling` is of encoders without a head, whose folder does not say how they pool. A model that ranks is a
    bi-encoder if it was saved as one, or is to become one (`apart`).
    """
    if task.spec.embeds:
        return _load_encoder(place, revision, pooling)
    if task.spec.groups:
        config = _config(place, revision)
        if apart or reads_apart(config):
            return BiEncoder.of(cast(SentenceEncoder, _load_encoder(place, revision, pooling)))
    return _load_with_head(place, task, labels, revision, new_head=new_head)


def _config(place: str | Path, revision: str | None = None) -> PretrainedConfig:
    config: PretrainedConfig = load_or_explain(place, "config", lambda: AutoConfig.from_pretrained(place, revision=revision))
    return config


def _load_with_head(
    place: str | Path, task: Task, labels: Sequence[str], revision: str | None, *, new_head: bool
) -> PreTrainedModel:
    """A model that transformers itself knows for the task."""
    named = _label_names(labels) if labels else {}
    if not new_head:
        _require_problem(place, task, revision)
    named["problem_type"] = task.spec.problem_type
    model, report = load_or_explain(
        place,
        "model",
        lambda: model_class(task).from_pretrained(
            place, revision=revision, dtype="float32", ignore_mismatched_sizes=True, output_loading_info=True, **named
        ),
    )
    absent = sorted(set(report["missing_keys"]) | {entry[0] for entry in report["mismatched_keys"]})
    absent += [f"it is a {other}" for other in model.config.architectures or () if _has_another_head(other, model)]
    if absent and not new_head:
        sized = f" for {len(labels)} labels" if task.spec.names_labels else ""
        raise UserError(f"{place}: has no {task.name} head{sized} ({absent[0]}); fine-tune it: epochs ≥ 1")
    if task.spec.names_labels and not absent:
        config = _config(place, revision)
        names = [str(config.id2label[i]) for i in sorted(config.id2label)]
        if names != list(labels) and not new_head:
            raise UserError(f"{place}: its labels are {names}, the data set's are {list(labels)}; {_advised(names, labels)}")
        if names != list(labels) and sorted(names) == sorted(labels):
            _reorder(model, [names.index(label) for label in labels])
    if new_head:
        forget(model.config, (*FITTED, SENTENCE_EMBEDDING, READS_APART))
    _own_storage(model)
    return cast(PreTrainedModel, model)


def _load_encoder(place: str | Path, revision: str | None, pooling: Pooling | None) -> PreTrainedModel:
    """An encoder that pools as its folder says, else by `pooling`."""
    how = {} if revision is None else {"revision": revision}
    model = load_or_explain(place, "model", lambda: SentenceEncoder.from_pretrained(place, pooling=pooling, **how))
    forget(model.config, FITTED)
    _own_storage(model)
    return cast(PreTrainedModel, model)


def _reorder(model: PreTrainedModel, order: Sequence[int]) -> None:
    """Give the labels of a head, its last linear layer of so many rows, another order."""
    head = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == len(order)][-1]
    for parameter in head.parameters():
        parameter.data = parameter.data[list(order)]


def refills_masks(folder: Path) -> bool:
    """Whether a model that this pipeline wrote has the head of a masked language model."""
    config = _config(folder)
    return not set(config.architectures or ()).isdisjoint(MODEL_FOR_MASKED_LM_MAPPING_NAMES.values())


def load_body(folder: Path) -> PreTrainedModel:
    """A model that this pipeline wrote without its head, fp32."""
    return cast(PreTrainedModel, load_or_explain(folder, "model", lambda: AutoModel.from_pretrained(folder, dtype="float32")))


def _advised(names: Sequence[str], labels: Sequence[str]) -> str:
    """How the data set gets the model's label names: in full, where each is like one of its own but for case or length."""
    folded = {label: label.casefold() for label in labels}
    candidates = ([label for label in labels if _begins(name.casefold(), folded[label])] for name in names)
    own = [
        [label for label in alike if folded[label] == name.casefold()] or alike
        for name, alike in zip(names, candidates, strict=True)
    ]
    if sorted(label for alike in own for label in alike) != sorted(labels):
        return (
            "give the data set's `labels` in this order (VALUE: NAME where its rows hold numbers or other words, docs/tasks.md)"
        )
    pairs = zip(names, own, strict=True)
    items = [json.dumps(name) if name == label else f"{json.dumps(label)}: {json.dumps(name)}" for name, (label,) in pairs]
    return f"write in the data set's entry: labels: [{', '.join(items)}]"


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _own_storage(model: PreTrainedModel) -> None:
    """Give each parameter memory of its own: those that a checkpoint keeps in one tensor are views, which cannot be saved."""
    for parameter in model.parameters():
        if parameter.untyped_storage().nbytes() > parameter.nbytes:
            parameter.data = parameter.data.clone()


def _require_problem(place: str | Path, task: Task, revision: str | None) -> None:
    """Refuse a head of the same class that was trained for one label a row in place of several, or the other way round."""
    config = _config(place, revision)
    found, several = config.problem_type, TASK_SPECS["multi-label"].problem_type
    if found is not None and task.spec.logits_per == "row" and (found == several) != (task.spec.problem_type == several):
        raise UserError(
            f"{place}: its head is for {found}, the task is {task.name}; change the task, or fine-tune it: epochs ≥ 1"
        )


def _has_another_head(architecture: str, model: PreTrainedModel) -> bool:
    """Whether a checkpoint was made for another task: ModernBERT's heads have the same names, so their weights do not tell."""
    return architecture.endswith(TASK_HEADS) and architecture != type(model).__name__


@contextmanager
def only_positions(model: PreTrainedModel, where: Bool[Tensor, "batch seq"] | None) -> Iterator[None]:
    """Let a language model's head run at these tokens alone: its logits are (positions, vocabulary).

    A head makes some 30,000 numbers a token, of which only those of tokens to be predicted matter. None changes nothing.
    """
    if where is None:
        yield
        return
    with _head_module(model).register_forward_pre_hook(lambda _, inputs: (inputs[0][where], *inputs[1:])):
        yield


def _head_module(model: PreTrainedModel) -> Any:
    """What takes the last hidden state."""
    if is_causal_lm(model):
        return model.get_output_embeddings()
    family = model.config.model_type
    head = family_of(family).masked_lm_head
    if head is None:
        raise UserError(f"the masked-lm head of '{family}' is not known; choose a model of {supporting('masked_lm_head')}")
    return getattr(model, head)


def _label_names(labels: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


def set_labels(config: PretrainedConfig, labels: Sequence[str]) -> None:
    """Write the label names into a config, in their order."""
    config.update(_label_names(labels))


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights: also those of the linear layer of a sentence encoder."""
    return sorted([*folder.glob("model*.safetensors"), *folder.glob("*_Dense/model.safetensors")])


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 over the safetensors files of a model's folder."""
    files = weight_files(folder)
    if not files:
        raise UserError(f"{folder}: no model.safetensors; run the stage that writes {folder}")
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def config_fingerprint(folder: Path) -> str:
    """SHA-256 of a model's config, without the version of transformers that wrote it, and what says nothing of the weights."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in ("transformers_version", READS_PAIRS, READS_TURNS, WINDOW_STRIDE):
        config.pop(name, None)
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
