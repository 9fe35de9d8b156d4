"""Tiny stand-ins: a word tokenizer, random models, a data set whose labels can be learnt from its words."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.models.sentence_encoder import SentenceEncoder
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TaskName
from distill.preparation.prepare import make_rows, write_dataset

LABELS = ("cat", "dog", "fish")
WORDS = [f"w{i}" for i in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer(words: list[str] | None = None, **more: str) -> PreTrainedTokenizerFast:
    """One token a word, framed by [CLS] and [SEP]."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *(words or WORDS), *more.values()])}
    core = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = Whitespace()
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **more,
    )


def masking_tokenizer() -> PreTrainedTokenizerFast:
    """The same, and [MASK] as the last of 45 ids."""
    return tokenizer(mask_token="[MASK]")


def rows(count: int, seed: int, labels: tuple[str, ...] = LABELS) -> tuple[list[str], list[str]]:
    """Texts of 2 to 12 words, and labels: the first word's number modulo their number, as is that of most other words."""
    rng = random.Random(seed)
    texts, found = [], []
    for _ in range(count):
        label = rng.randrange(len(labels))
        own = WORDS[label :: len(labels)]
        rest = [rng.choice(own if rng.random() < 0.8 else WORDS) for _ in range(rng.randint(1, 11))]
        texts.append(" ".join([rng.choice(own), *rest]))
        found.append(labels[label])
    return texts, found


def prepare(folder: Path, tokenizer: PreTrainedTokenizerFast, sizes: tuple[int, int, int] = (60, 20, 20)) -> Path:
    """Write a prepared data set of single texts."""
    return prepare_rows(folder, tokenizer, *rows(sizes[0], 0), sizes[1:])


def prepare_rows(
    folder: Path, tokenizer: PreTrainedTokenizerFast, texts: list[str], labels: list[str], rest: tuple[int, int] = (20, 20)
) -> Path:
    """Write a prepared data set of these training rows."""
    train = split_rows(texts, labels)
    folder.mkdir(parents=True)
    splits = {"train": train, "validation": split_rows(*rows(rest[0], 1)), "test": split_rows(*rows(rest[1], 2))}
    write_dataset(folder, splits, LABELS, settings(), tokenizer)
    return folder


def settings(task: str = "sequence-classification", **how: Any) -> DatasetSettings:
    """An entry of `datasets`, for rows and tokenizers that are at hand."""
    defaults = {"max_length": LENGTH.get(task, 10), "source": "tiny", "tokenizer": {"path": "tiny"}}
    return DatasetSettings(task=task, **{**defaults, **how})


def split_rows(texts: list[str], labels: list[str]) -> Rows:
    """A split of single texts; a label that is none of LABELS makes a transfer row."""
    numbers = np.array([LABELS.index(label) if label in LABELS else UNLABELLED for label in labels])
    return Rows(texts, None, numbers, np.arange(len(texts)))


def bert(layers: int = 2, width: int = 16, model_type: str = "bert", seed: int = 0, **config: object) -> PreTrainedModel:
    """A random classifier over the tiny vocabulary."""
    torch.manual_seed(seed)
    settings = AutoConfig.for_model(
        model_type,
        vocab_size=len(WORDS) + len(SPECIAL),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=32,
        num_labels=len(LABELS),
        pad_token_id=0,
        **config,
    )
    settings.id2label = dict(enumerate(LABELS))
    settings.label2id = {label: i for i, label in enumerate(LABELS)}
    return AutoModelForSequenceClassification.from_config(settings).eval()


def save(model: PreTrainedModel, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Write a model with its tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


FAMILIES = ("bert", "roberta", "electra", "distilbert", "mobilebert")


EAGER = ("deberta-v2", "megatron-bert", "mpnet")
"""Families that have no other attention."""


def family(model_type: str, head: str = "SequenceClassification", attention: str = "sdpa", **config: object) -> PreTrainedModel:
    """A random 3-layer model of a family with any head of transformers, its weights and biases far from 0."""
    torch.manual_seed(0)
    size = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    own = {
        "distilbert": {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 32},
        "mobilebert": {**size, "embedding_size": 8, "intra_bottleneck_size": 16},
        "electra": {**size, "embedding_size": 16},
        "mpnet": {**size, "pad_token_id": 1},
        "deberta-v2": {
            **size,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
        },
        "modernbert": {**size, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
    }.get(model_type, size)
    common = {"vocab_size": len(WORDS) + len(SPECIAL), "max_position_embeddings": 32, "pad_token_id": 0}
    common["num_labels"] = 2 if head == "QuestionAnswering" else 3
    settings = AutoConfig.for_model(model_type, **{**common, **own, **config})
    made_by = SentenceEncoder if head == "AutoModel" else getattr(transformers, f"AutoModelFor{head}")
    model = made_by.from_config(settings, attn_implementation="eager" if model_type in EAGER else attention).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = torch.randn_like(parameter) * (0.17 if model_type == "mobilebert" else 0.3)
            parameter.copy_(spread + ("norm" in name.lower() and name.endswith("weight")))
        model.get_input_embeddings().weight[0] = 0
    return model


def padded(lengths: list[int], *, types: bool = False, seed: int = 0) -> dict[str, torch.Tensor]:
    """A padded batch of random rows of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(len(SPECIAL), len(WORDS) + len(SPECIAL), mask.shape, generator=generator) * mask
    batch = {"input_ids": ids, "attention_mask": mask.long()}
    return batch | ({"token_type_ids": torch.randint(0, 2, mask.shape, generator=generator) * mask} if types else {})


EMBEDDING = "sentence-embedding"
"""Without labels, so that it is in no grid over TASKS."""
TASKS = tuple(task for task in get_args(TaskName) if task not in (EMBEDDING, "causal-lm"))
"""Those whose models have encoders and read labels."""
LENGTH = {"question-answering": 16, "causal-lm": 16}
"""Tokens a row: 10, but for windows of contexts and blocks of texts."""


def raw(task: str, count: int, seed: int) -> pa.Table:
    """Raw rows of a task, with columns of the usual names, whose labels can be learnt from their words."""
    rng = random.Random(seed)
    makers: dict[str, Callable[[random.Random], dict[str, Any]]] = {
        "multi-label": _several,
        "regression": _scored,
        "token-classification": _tagged,
        "question-answering": _asked,
        "masked-lm": _told,
        EMBEDDING: _alike,
        "causal-lm": _told,
    }
    if task == "sequence-classification":
        return pa.table(dict(zip(("text", "label"), rows(count, seed), strict=True)))
    if task == "ranking":
        return pa.Table.from_pylist(_ranked(rng, count))
    return pa.Table.from_pylist([makers[task](rng) for _ in range(count)])


def prepare_task(
    folder: Path,
    task: str,
    tokenizer: PreTrainedTokenizerFast | None = None,
    sizes: tuple[int, int, int] = (60, 20, 20),
    **how: Any,
) -> Path:
    """Write a prepared data set of any task; `how` are settings of `datasets` (`stride`, `maskings`, `max_length` …)."""
    tables = {
        split: raw(task, count, i) for i, (split, count) in enumerate(zip(("train", "validation", "test"), sizes, strict=True))
    }
    if task == EMBEDDING:
        how = {"columns": {"text_pair": "text_pair"}, **how}
    entry = settings(task, **how)
    folder.mkdir(parents=True)
    write_dataset(folder, *make_rows(tables, "tiny", entry), entry, tokenizer or masking_tokenizer())
    return folder


def _several(rng: random.Random) -> dict[str, Any]:
    """Labels say which of w0 to w9, w10 to w19 and w20 to w29 occur; the ten words after them have none."""
    kinds = [kind for kind in range(4) if rng.random() < 0.4] or [3]
    words = [WORDS[10 * rng.choice(kinds) + rng.randrange(10)] for _ in range(rng.randint(2, 8))]
    return {
        "text": " ".join(words),
        "label": [name for i, name in enumerate(LABELS) if {*WORDS[10 * i : 10 * i + 10]} & {*words}],
    }


def _scored(rng: random.Random) -> dict[str, Any]:
    """The score is the share of words of the first half of WORDS."""
    share = rng.random()
    words = [rng.choice(WORDS[:20] if rng.random() < share else WORDS[20:]) for _ in range(rng.randint(3, 8))]
    return {"text": " ".join(words), "label": sum(word in WORDS[:20] for word in words) / len(words)}


def _tagged(rng: random.Random) -> dict[str, Any]:
    """w0 to w4 begin an animal, w5 to w9 go on with one after them, w10 to w14 begin a plant, all others are outside."""
    words, tags = [], []
    for _ in range(rng.randint(2, 6)):
        kind = rng.random()
        found = ["w%d", "w%d"] if kind < 0.2 else ["w%d"]
        low = 0 if kind < 0.4 else 10 if kind < 0.6 else 15
        words += [found[0] % (low + rng.randrange(5 if low < 15 else 25))] + [w % (5 + rng.randrange(5)) for w in found[1:]]
        tags += [{0: "B-animal", 10: "B-plant", 15: "O"}[low], *["I-animal"] * (len(found) - 1)]
    return {"tokens": words, "tags": tags}


def _asked(rng: random.Random) -> dict[str, Any]:
    """The question is one of w0 to w9, the answer the one or two words of w30 to w39 in the context; some have none."""
    context = [rng.choice(WORDS[10:30]) for _ in range(rng.randint(4, 20))]
    answer = " ".join(rng.choice(WORDS[30:]) for _ in range(rng.randint(1, 2)))
    place = rng.randrange(len(context))
    answerable = rng.random() < 0.8
    whole = " ".join([*context[:place], answer, *context[place:]] if answerable else context)
    answers = {"text": [answer], "answer_start": [whole.index(answer)]} if answerable else {"text": [], "answer_start": []}
    return {"question": rng.choice(WORDS[:10]), "context": whole, "answers": answers}


def _alike(rng: random.Random) -> dict[str, Any]:
    """Pairs with a score, the share of words of the first text that the second one has too; every third row is a single text."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(3, 6))]
    if rng.random() < 1 / 3:
        return {"text": " ".join(words), "text_pair": None, "label": None}
    others = [word if rng.random() < 0.5 else rng.choice(WORDS) for word in words]
    alike = sum(word == other for word, other in zip(words, others, strict=True)) / len(words)
    return {"text": " ".join(words), "text_pair": " ".join(others), "label": alike}


def _told(rng: random.Random) -> dict[str, Any]:
    """Words count up from a first one by one step, so that a masked word follows from its neighbours."""
    first = rng.randrange(40)
    return {"text": " ".join(WORDS[(first + i) % 40] for i in range(rng.randint(4, 25)))}


def _ranked(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """So many passages of queries that have two to five each: one is of the first half of WORDS, and relevant."""
    rows: list[dict[str, Any]] = []
    while (left := count - len(rows)) > 0:
        size = min(rng.randint(2, 5), left)
        size += left - size == 1
        query, best = " ".join(rng.sample(WORDS, 2)), rng.randrange(size)
        for place in range(size):
            words = WORDS[:20] if place == best else WORDS[20:]
            passage = " ".join(rng.choice(words) for _ in range(rng.randint(1, 5)))
            rows.append({"query": query, "passage": passage, "label": int(place == best)})
    return rows
