"""Tiny stand-ins: a word tokenizer, random models, a data set whose labels can be learnt from its words."""

import random
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from distill.data import Rows
from distill.preparation import write_dataset
from distill.prepared import UNLABELLED

LABELS = ("cat", "dog", "fish")
WORDS = [f"w{i}" for i in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer(words: list[str] | None = None) -> PreTrainedTokenizerFast:
    """One token a word, framed by [CLS] and [SEP]."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *(words or WORDS)])}
    core = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = Whitespace()
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def rows(count: int, seed: int, labels: tuple[str, ...] = LABELS) -> tuple[list[str], list[str]]:
    """Texts of 2 to 12 words, and labels: the first word's number modulo their number, as is that of most other words."""
    dice = random.Random(seed)
    texts, found = [], []
    for _ in range(count):
        label = dice.randrange(len(labels))
        own = WORDS[label :: len(labels)]
        rest = [dice.choice(own if dice.random() < 0.8 else WORDS) for _ in range(dice.randint(1, 11))]
        texts.append(" ".join([dice.choice(own), *rest]))
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
    write_dataset(
        folder,
        {"train": train, "validation": split_rows(*rows(rest[0], 1)), "test": split_rows(*rows(rest[1], 2))},
        LABELS,
        tokenizer,
        task="sequence-classification",
        metric="accuracy",
        max_length=10,
        near_duplicate=0.8,
    )
    return folder


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


def distilbert(layers: int) -> PreTrainedModel:
    """A random DistilBERT classifier, whose config has other names."""
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(
            "distilbert", vocab_size=44, dim=16, n_layers=layers, n_heads=2, hidden_dim=32, num_labels=3, pad_token_id=0
        )
    ).eval()


FAMILIES = ("bert", "roberta", "electra", "distilbert", "mobilebert")


def family(model_type: str, head: str = "SequenceClassification", attention: str = "sdpa", **config: object) -> PreTrainedModel:
    """A random 3-layer model of a family with any head of transformers, its weights and biases far from 0."""
    torch.manual_seed(0)
    size = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    own = {
        "distilbert": {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 32},
        "mobilebert": {**size, "embedding_size": 8, "intra_bottleneck_size": 16},
        "electra": {**size, "embedding_size": 16},
        "modernbert": {**size, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
    }.get(model_type, size)
    settings = AutoConfig.for_model(
        model_type,
        vocab_size=len(WORDS) + len(SPECIAL),
        max_position_embeddings=32,
        num_labels=2 if head == "QuestionAnswering" else len(LABELS),
        pad_token_id=0,
        **{**own, **config},
    )
    model = getattr(transformers, f"AutoModelFor{head}").from_config(settings, attn_implementation=attention).eval()
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
