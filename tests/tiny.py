"""Tiny stand-ins: a word tokenizer, random models, a data set whose labels can be learnt from its words."""

import random
from pathlib import Path

import numpy as np
import torch
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
