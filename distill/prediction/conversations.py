"""Conversations as the texts that a decoder goes on with: what its training rows have before an answer."""

import functools
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from distill.data.tokenizers import load_tokenizer
from distill.prediction.rows import Row
from distill.preparation.conversations import ASSISTANT, rendered

_tokenizer = functools.cache(load_tokenizer)


def prompt_row(row: Row, folder: Path) -> Row:
    """The `text` before the answer to a row's `turns`, and whether the model's tokenizer adds `special` tokens to it.

    Raises:
        UserError: the tokenizer's chat template refuses them, or there is none for several.
    """
    tokenizer: PreTrainedTokenizerBase = _tokenizer(folder)
    whole, spans = rendered(tokenizer, [*row["turns"], {"role": ASSISTANT, "content": "…"}])
    return {"text": whole[: spans[-1][0]], "special": not tokenizer.chat_template}
