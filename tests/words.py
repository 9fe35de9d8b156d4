"""A tokenizer of words and pieces, and masked language models over it."""

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordPiece
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("sun", "moon", "star", "sea", "sand", "rock", "tree", "leaf")
WORDS += ("bird", "fish", "red", "blue", "warm", "cold", "old", "new")
PIECES = ("swi", "##mm", "##ing", "##s", "fly", "##er", "7", "2nd", ".", "'", "t", "don")


def wordpiece() -> PreTrainedTokenizerFast:
    """Lower case; `fly` and `t` are words too, `swimming`, `flying` and `suns` have several pieces."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *WORDS, *PIECES])}
    core = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **dict(zip(names, SPECIAL, strict=True)),
    )


def byte_pieces() -> PreTrainedTokenizerFast:
    """RoBERTa's way: the blank before a word belongs to it."""
    letters = ["<s>", "</s>", "<unk>", "a", "b", "Ġ"]
    core = Tokenizer(BPE({token: i for i, token in enumerate([*letters, "Ġa", "ab"])}, [("Ġ", "a"), ("a", "b")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", pad_token="<unk>")


def masked_lm(model_type: str = "bert", vocabulary: int = len(SPECIAL) + len(WORDS) + len(PIECES)) -> PreTrainedModel:
    """A random model with strong opinions."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    own = {"distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}}.get(model_type, size)
    config = AutoConfig.for_model(model_type, vocab_size=vocabulary, max_position_embeddings=40, pad_token_id=0, **own)
    model = AutoModelForMaskedLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + ("norm" in name.lower() and name.endswith("weight")))
    return model
