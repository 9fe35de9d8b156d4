"""Student initialization: copied layers, or random weights of a given architecture."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from distill.core.console import print_result
from distill.core.errors import UserError, one_line
from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer
from distill.models.architectures import unknown_setting
from distill.models.bi_encoder import BiEncoder, mark
from distill.models.config_keys import SENTENCE_EMBEDDING
from distill.models.families import PER_LAYER, layer_stacks
from distill.models.loading import load_for, model_class, set_labels
from distill.models.principal_axes import principal_axes
from distill.models.probing import require_trainable
from distill.models.sentence_encoder import EmbeddingSettings, Pooling
from distill.params.inits import InitSettings
from distill.students.bert_to_distilbert import to_distilbert
from distill.tasks.base import Task
from distill.tasks.registry import task_of


def init_student(init: InitSettings, dataset: Dataset) -> PreTrainedModel:
    """The student before its training, with the head of the data set's task: a new one where `init.source` has no such head."""
    set_seed(init.seed)
    task = task_of(dataset.task)
    if init.architecture is not None:
        shape = (init.architecture, task, dataset.labels, dataset.vocabulary, dataset.pad_token)
        student = random_student(*shape, apart=init.bi_encoder)
        if task.spec.causal:
            end_texts(student, load_tokenizer(dataset.folder / "tokenizer"))
        if init.copy_embeddings:
            copy_embeddings(student, load_for(Path(init.source), dataset, new_head=True)[0])
    else:
        model, _ = load_for(Path(init.source), dataset, new_head=True, apart=init.bi_encoder)
        depth = model.config.num_hidden_layers
        student = copy_layers(model, init.layers or evenly_spaced(init.depth or depth, depth))
        if init.family is not None:
            student, new = to_distilbert(student, task)
            what = "new: " + ", ".join(new) if new else "all weights are copied"
            print_result(f"init: {init.source} as {init.family}: {what}")
    if isinstance(student, BiEncoder) and dataset.rows("train").token_types is None:
        raise UserError(
            f"init.bi_encoder: the rows of {dataset.folder} have no token types, which tell query from passage; take a tokenizer "
            "that makes them, such as BERT's"
        )
    require_trainable(student, dataset, "init.architecture" if init.architecture is not None else init.source, exported=True)
    return student


def evenly_spaced(depth: int, teacher_layers: int) -> tuple[int, ...]:
    """`depth` layers of `teacher_layers`, evenly spaced, first and last among them: 6 of 12 are 0, 2, 4, 7, 9, 11; 1 is 0."""
    if depth > teacher_layers:
        raise UserError(f"init.depth: {depth} layers are wanted, the model that they come from has {teacher_layers}")
    return tuple(int(layer) for layer in np.round(np.linspace(0, teacher_layers - 1, depth)))


def _config_of_layers(whole: PretrainedConfig, layers: Sequence[int]) -> PretrainedConfig:
    """The config of a model of some layers, each as it was; refused where a layer's place changes what it computes."""
    config, depth = copy.deepcopy(whole), whole.num_hidden_layers
    if getattr(config, "scale_attn_by_inverse_layer_idx", False) and list(layers) != list(range(len(layers))):
        raise UserError(
            f"init: layer i of this {config.model_type} divides its attention by i + 1 (scale_attn_by_inverse_layer_idx), so a "
            f"layer in another place is another one; keep its first layers: layers: {list(range(len(layers)))}"
        )
    for name in PER_LAYER:
        if len(of_each := getattr(config, name, None) or ()) == depth and not isinstance(of_each, str):
            setattr(config, name, [of_each[layer] for layer in layers])
    if getattr(config, "attention_types", None):  # of these GPT-Neo makes its `attention_layers`
        config.attention_types = [[[kind], 1] for kind in config.attention_layers]
    config.num_hidden_layers = len(layers)
    return config


def copy_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A model of the same family and width with copies of these layers, counted from 0, of embeddings, pooler and head."""
    prefixes, depth = [f"{prefix}." for prefix, _ in layer_stacks(model)], model.config.num_hidden_layers
    for layer in layers:
        if layer >= depth:
            raise UserError(f"init.layers: there is no layer {layer}; expected 0 to {depth - 1}")
    student = type(model)(_config_of_layers(model.config, layers))
    if model.can_generate():
        student.generation_config = copy.deepcopy(model.generation_config)
    weights = {}
    for name, tensor in model.state_dict().items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is None:
            weights[name] = tensor
            continue
        number, _, rest = name.removeprefix(prefix).partition(".")
        weights |= {f"{prefix}{new}.{rest}": tensor for new, old in enumerate(layers) if old == int(number)}
    odd = sorted(weights.keys() ^ student.state_dict().keys())
    if odd:
        raise UserError(
            f"init.layers: {list(layers)} of a {model.config.model_type}: its layers are not alike, {odd[0]} has no place; "
            "keep layer 0 first and nowhere else, or give depth"
        )
    own = student.state_dict()
    resized = sorted(name for name, tensor in weights.items() if tensor.shape != own[name].shape)
    if resized:
        print_result(f"init: new, for their size depends on the number of layers: {', '.join(resized)}")
    student.load_state_dict(weights | {name: own[name] for name in resized})
    return student


def random_student(
    architecture: Mapping[str, Any], task: Task, labels: Sequence[str], vocabulary: int, pad_token: int, *, apart: bool = False
) -> PreTrainedModel:
    """A student with random weights and the task's head, from torch's current random state.

    `architecture` is a `model_type` (default bert) and keys of its config; masked language models have no labels. Of sentence
    encoders, and of bi-encoders (`apart`), it may have what `embedding_settings` reads.
    """
    embeds = task.spec.embeds or apart
    if (problem := unknown_setting(architecture, embeds=embeds)) is not None:
        raise UserError(f"init.architecture.{problem}")
    settings = {"vocab_size": vocabulary, "pad_token_id": pad_token, **architecture}
    family = str(settings.pop("model_type", "bert"))
    embedding = embedding_settings(settings) if embeds else None
    names = CONFIG_MAPPING[family].attribute_map
    settings = {names.get(key, key): value for key, value in settings.items()}
    try:
        config = AutoConfig.for_model(family, **settings, **({"num_labels": len(labels)} if labels else {}))
        width, heads = getattr(config, "true_hidden_size", config.hidden_size), getattr(config, "num_attention_heads", 1)
        if heads < 1 or width % heads:
            raise UserError(f"init.architecture: {heads} heads do not divide a width of {width}; choose a divisor of it")
        if labels:
            set_labels(config, labels)
        config.problem_type = task.spec.problem_type
        if embedding is not None:
            setattr(config, SENTENCE_EMBEDDING, asdict(embedding))
        if embedding is not None and apart:
            mark(config, embedding)
        student = cast(PreTrainedModel, model_class(task, apart=apart).from_config(config))
        with torch.no_grad():  # not every config that can be built can be run
            student.eval()(input_ids=torch.ones((1, 4), dtype=torch.int64))
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError, LookupError, StrictDataclassError) as error:
        raise UserError(f"init.architecture: {family} cannot be built so: {one_line(error)}") from None
    return student.train()


def embedding_settings(settings: dict[str, Any]) -> EmbeddingSettings:
    """What a random student's vectors are, taken out of its architecture: `pooling`, `normalize` and `vector_size`."""
    pooling, normalize, size = settings.pop("pooling", "mean"), settings.pop("normalize", True), settings.pop("vector_size", None)
    if pooling not in get_args(Pooling):
        raise UserError(f"init.architecture.pooling: got {pooling!r}, expected one of {', '.join(get_args(Pooling))}")
    if not isinstance(normalize, bool):
        raise UserError(f"init.architecture.normalize: got {normalize!r}, expected true or false")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise UserError(
            f"init.architecture.vector_size: got {size!r}, expected how many numbers a vector has: that of the teacher's"
        )
    return EmbeddingSettings(pooling, normalize, size)


def end_texts(student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a model begin and end what it generates with the tokenizer's tokens, not with those of its family's checkpoints."""
    tokens = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    student.config.update(tokens)
    student.generation_config.update(**tokens)


def copy_embeddings(student: PreTrainedModel, source: PreTrainedModel) -> None:
    """Give a student the embeddings of another model, in place; narrower ones get them in fewer dimensions (`narrowed`)."""
    target, original = (getattr(model.base_model, "embeddings", None) for model in (student, source))
    if target is None or original is None:
        raise UserError(f"init.copy_embeddings: a {student.config.model_type} keeps none that could be copied; remove it")
    shapes = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    width, words = student.get_input_embeddings().weight.shape[1], source.get_input_embeddings().weight.detach()
    weights = original.state_dict() if width >= words.shape[1] else target.state_dict() | narrowed(original, words, width)
    copied = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(shapes.keys() | copied.keys()):
        if shapes.get(name) != copied.get(name):
            raise UserError(
                f"init.copy_embeddings: {name} is {shapes.get(name)} in the student, {copied.get(name)} in the source; "
                "give the architecture the same embeddings, or remove copy_embeddings"
            )
    target.load_state_dict(weights)


def narrowed(embeddings: nn.Module, words: Float[Tensor, "words wide"], width: int) -> dict[str, Tensor]:
    """The tables of an embedding module along the `width` principal axes of its word table, (entries, width) each.

    Of all projections to so few dimensions it keeps most of the word table's squared norm, and so of what tells words apart;
    a random student of few rows never meets most words. A LayerNorm is left out: its channels are gone.
    """
    tables = {f"{name}.weight": part.weight for name, part in embeddings.named_modules() if isinstance(part, nn.Embedding)}
    axes = principal_axes(words, width)
    fitting = {name: table for name, table in tables.items() if table.shape[1] == len(axes)}
    return {name: (table.detach().double() @ axes).to(table.dtype) for name, table in fitting.items()}
