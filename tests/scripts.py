"""Texts in many scripts, and tokenizers of every kind that are trained on them."""

from collections.abc import Callable

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer
from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LINES = (
    "the café in paris opens at 9, and cafeterias close late",
    "हिंदी की दिल्ली में रहता हूँ और मैं खुश हूँ",
    "كَتَبَ الوَلَدُ الدَّرسَ في البيت",
    "我住在北京市 很高兴",
    "ฉันรักเมืองไทย",
    "great 😀 news 👍 office ½ fluffy",
)
HOW = {"special_tokens": list(SPECIAL), "show_progress": False}


def lower_case_pieces() -> PreTrainedTokenizerFast:
    """BERT's: lower case, without accents and marks, a token a Chinese character."""
    core = Tokenizer(WordPiece(unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(LINES, WordPieceTrainer(vocab_size=260, **HOW))
    return _framed(core)


def bytes_of_characters() -> PreTrainedTokenizerFast:
    """RoBERTa's: one character may be several tokens."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(LINES, BpeTrainer(vocab_size=300, **HOW, initial_alphabet=alphabet))
    core.post_processor = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2), trim_offsets=True, add_prefix_space=False)
    return _fast(core)


def unigrams() -> PreTrainedTokenizerFast:
    """XLM-RoBERTa's: NFKC, the blank before a word belongs to it."""
    core = Tokenizer(Unigram())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.train_from_iterator(LINES, UnigramTrainer(vocab_size=200, **HOW, unk_token="[UNK]"))
    return _framed(core)


def letters() -> PreTrainedTokenizerFast:
    """NFKD without accents, a token a letter: the normalized text is longer than the text."""
    core = Tokenizer(BPE(unk_token="[UNK]"))
    core.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train_from_iterator(LINES, BpeTrainer(**HOW, limit_alphabet=200, vocab_size=1))
    return _framed(core)


TOKENIZERS: tuple[Callable[[], PreTrainedTokenizerFast], ...] = (lower_case_pieces, bytes_of_characters, unigrams, letters)


def _framed(core: Tokenizer) -> PreTrainedTokenizerFast:
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _fast(core)


def _fast(core: Tokenizer) -> PreTrainedTokenizerFast:
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=core, **dict(zip(names, SPECIAL, strict=True)))
