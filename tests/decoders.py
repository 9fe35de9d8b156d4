"""Tiny decoders, and a tokenizer of words that ends texts."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from distill.preparation.prepare import write_dataset
from tests import tiny
from tests.tiny import make_rows

SPECIAL = ("<pad>", "<eos>", "<unk>", "<user>", "<assistant>", "<end>")
FAMILIES = ("gpt2", "llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "opt")
TEMPLATE = (
    "{% for turn in messages %}<{{ turn.role }}> {{ turn.content }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer(**more: Any) -> PreTrainedTokenizerFast:
    """One token a word, nothing added."""
    core = Tokenizer(WordLevel({word: i for i, word in enumerate([*SPECIAL, *tiny.WORDS])}, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    core.add_special_tokens([*SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", **more)


def decoder(family: str = "gpt2", layers: int = 4, width: int = 16, seed: int = 0, **config: Any) -> PreTrainedModel:
    """A random decoder over the tiny vocabulary, its weights far from 0."""
    torch.manual_seed(seed)
    size = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 2 * width}
    if family not in ("gpt2", "opt"):
        size["num_key_value_heads"] = 1
    if family.startswith(("gemma", "qwen3")):
        size["head_dim"] = width // 2
    own = {"opt": {"ffn_dim": 2 * width, "word_embed_proj_dim": width}, "gemma2": {"final_logit_softcapping": 2.0}}.get(
        family, {}
    )
    still = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0} if family == "gpt2" else {}
    common = {"vocab_size": len(SPECIAL) + len(tiny.WORDS), "max_position_embeddings": 32, "initializer_range": 0.2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    settings = AutoConfig.for_model(family, **{**common, **ids, **size, **own, **still, **config})
    return AutoModelForCausalLM.from_config(settings).eval()


def checkpoint(folder: Path, family: str = "gpt2", **config: Any) -> Path:
    """A decoder with its tokenizer on disk."""
    return tiny.save(decoder(family, **config), folder, tokenizer())


def conversations(folder: Path, sizes: tuple[int, int, int] = (30, 8, 8)) -> Path:
    """A prepared data set of conversations: what is said back is the words of the question, with a mark behind."""

    def talk(rng: random.Random) -> list[dict[str, str]]:
        words = " ".join(rng.choices(tiny.WORDS[:6], k=rng.randint(1, 4)))
        return [{"role": "user", "content": words}, {"role": "assistant", "content": words}]

    entry = tiny.settings("causal-lm", columns={"messages": "messages", "id": "id"}, max_length=16)
    tables = {}
    for number, (split, count) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        rng = random.Random(number)
        talks = [talk(rng) for _ in range(count)]
        tables[split] = pa.table({"messages": talks, "id": [f"{split}-{row}" for row in range(count)]})
    folder.mkdir(parents=True)
    write_dataset(folder, *make_rows(tables, "talks", entry), entry, tokenizer(chat_template=TEMPLATE))
    return folder
