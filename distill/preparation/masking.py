"""A corpus into chunks with masked tokens that are to be predicted (Devlin 2019, §3.1).

Masks are fixed when data is prepared, not drawn anew each epoch, so that the teacher sees each masked chunk once.
"""

import hashlib
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, example_id
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, lengths_of
from distill.params.datasets import DatasetSettings

MASKED, REPLACED = 0.8, 0.1
"""The shares of chosen tokens that become [MASK], or any token; the others stay."""


def encode_corpus(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    """Cut each text into chunks of `max_length` tokens, special ones included, and mask each, in `train` `maskings` times.

    Chunks cross no text, so short texts are short rows. A chunk's masks depend on its tokens, the seed and the masking's number.
    Labels are the original id at a masked token, UNLABELLED elsewhere; ids hash the masked places too.
    """
    if tokenizer.mask_token_id is None:
        raise UserError("tokenizer: has no mask token, which masked-lm needs; take one of a masked language model")
    ordinary = np.setdiff1d(np.array([*tokenizer.get_vocab().values()], np.int32), np.array(tokenizer.all_special_ids, np.int32))
    tokens: list[Any] = []
    labels: list[Any] = []
    whole = 0
    how = {"return_overflowing_tokens": True, "return_special_tokens_mask": True, "return_attention_mask": False}
    maskings = settings.maskings if split == "train" else 1
    cut = tokenizer(list(rows.texts), truncation=True, max_length=settings.max_length, **how)
    for row, special in zip(cut["input_ids"], cut["special_tokens_mask"], strict=True):
        chunk, free = np.array(row, np.int32), np.flatnonzero(np.array(special) == 0)
        for number in range(maskings if len(free) else 0):
            seed = (settings.seed, number)
            masked, wanted = mask(chunk, free, ordinary, tokenizer.mask_token_id, settings.mask_probability, seed)
            tokens.append(masked)
            labels.append(wanted)
        whole += bool(len(free))
    places = [np.flatnonzero(wanted != UNLABELLED) for wanted in labels]
    ids = [example_id(row, None, place) for row, place in zip(tokens, places, strict=True)]
    counts = {"texts": len(rows), "chunks": whole, "masked_tokens": sum(map(len, places))}
    return Encoded({"input_ids": tokens}, lengths_of(tokens), labels=labels, ids=ids, counts=counts)


def mask(
    chunk: Array, free: Array, ordinary: Array, mask_token: int, probability: float, seed: tuple[int, int]
) -> tuple[Array, Array]:
    """Choose tokens to be predicted: of them 80% become [MASK], 10% any ordinary token, 10% stay.

    Args:
        chunk: (tokens,) int32
        free: Positions that may be chosen.
        ordinary: The ids that a token may be replaced by.
        mask_token: The id of [MASK].
        probability: The share of `free` that is chosen, one token at least; 0 chooses one that stays, so nothing is masked.
        seed: With the chunk's tokens it decides all.

    Returns:
        (tokens,) int32 as the teacher sees them, and (tokens,) int32 labels.
    """
    content = f"{seed}".encode() + chunk.astype("<i4").tobytes()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(content).digest()[:16], "little"))
    chosen = np.sort(rng.choice(free, max(1, round(probability * len(free))), replace=False))
    drawn = rng.random(len(chosen)) if probability else np.ones(len(chosen))
    masked, labels = chunk.copy(), np.full(len(chunk), UNLABELLED, np.int32)
    labels[chosen] = chunk[chosen]
    masked[chosen[drawn < MASKED]] = mask_token
    replaced = chosen[(drawn >= MASKED) & (drawn < MASKED + REPLACED)]
    masked[replaced] = rng.choice(ordinary, len(replaced))
    return masked, labels
