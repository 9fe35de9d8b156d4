"""Tiny stand-ins: a word tokenizer, random models, a data set whose labels can be learnt from its words."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

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
    """Texts of 2 to 12 words, and labels: the first word's number modulo the number of labels."""
    dice = random.Random(seed)
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(2, 12))) for _ in range(count)]
    return texts, [labels[int(text.split()[0][1:]) % len(labels)] for text in texts]


def prepare(folder: Path, tokenizer: PreTrainedTokenizerFast, sizes: tuple[int, int, int] = (60, 20, 20)) -> Path:
    """Write a prepared data set of single texts."""
    import numpy as np

    from distill.data import Rows
    from distill.preparation import write_dataset

    splits = {}
    for seed, (split, size) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        texts, labels = rows(size, seed)
        numbers = np.array([LABELS.index(label) for label in labels])
        splits[split] = Rows(texts, None, numbers, np.arange(size))
    folder.mkdir(parents=True)
    write_dataset(
        folder,
        splits,
        LABELS,
        tokenizer,
        task="sequence-classification",
        metric="accuracy",
        max_length=10,
        near_duplicate=0.8,
    )
    return folder


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
