"""What a masked language model would write in the place of a word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.augmentation.words import Vocabulary, require_mask
from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.core.errors import UserError
from distill.core.numeric import length_batches
from distill.models.fit import require_positions, require_vocabulary
from distill.models.loading import load_model, only_positions
from distill.models.packed_linear import fast_inference
from distill.tasks.registry import task_of


@dataclass(frozen=True)
class Refiller:
    """A masked language model in eval mode, and the words that it may write."""

    model: PreTrainedModel
    vocabulary: Vocabulary
    mask_token: int
    pad_token: int
    batch_tokens: int = 8192
    """Tokens a forward pass, padding included."""

    def refills(
        self, rows: Sequence[Array], places: Sequence[Array], most: int, advance: Callable[[int], object] = lambda _: None
    ) -> list[Array]:
        """The likeliest words at each of these places, each masked alone, as token ids, the likeliest first.

        The token that stands there is never among them. Rows of all texts are batched by length; the composition of a batch
        changes logits by fp32's rounding alone, which reorders words of equal probability at most.
        Rows are token ids with special tokens, (seq,) int64, places positions in them, (places,) int64; for each row there is
        (places, at most `most`) int64. `advance` is told the number of places done after each batch.
        """
        of = np.repeat(np.arange(len(rows)), [len(each) for each in places])
        where = np.concatenate([*places, np.empty(0, np.int64)]).astype(np.int64)
        lengths = np.array([len(row) for row in rows], np.int64)[of]
        most = min(most, len(self.vocabulary.ids) - 1)
        found = np.empty((len(of), most), np.int64)
        for chosen in length_batches(lengths, self.batch_tokens) if len(of) else ():
            found[chosen] = self._likeliest([rows[row] for row in of[chosen]], where[chosen], most)
            advance(len(chosen))
        return np.split(found, np.cumsum([len(each) for each in places])[:-1])

    def _likeliest(self, rows: Sequence[Array], where: Array, most: int) -> Array:
        """The likeliest words at one place a row, (batch, most) token ids."""
        ids = pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=self.pad_token)
        lengths = torch.tensor([len(row) for row in rows])
        masked = torch.zeros_like(ids, dtype=torch.bool)
        masked[torch.arange(len(rows)), torch.from_numpy(where)] = True
        original = ids[masked]
        ids[masked] = self.mask_token
        batch = {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}
        device = self.model.device
        with torch.inference_mode(), only_positions(self.model, masked.to(device)):
            logits = self.model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits
            if not logits.isfinite().all():
                raise UserError("the masked-lm model's logits are NaN or infinite; choose another checkpoint, or train it again")
            no_word = torch.ones(logits.shape[1], dtype=torch.bool, device=device)
            no_word[torch.from_numpy(self.vocabulary.ids).to(device)] = False
            logits.masked_fill_(no_word, -torch.inf)
            logits[torch.arange(len(rows)), original.to(device)] = -torch.inf
            found: Array = logits.topk(most, dim=1).indices.cpu().numpy()
        return found


def open_refiller(folder: Path, tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary, max_length: int) -> Refiller:
    """The masked language model in data/teachers/NAME, on the best device there is."""
    mask = require_mask(tokenizer, str(folder))
    model = load_model(folder, task_of("masked-lm"), (), new_head=False).eval()
    require_vocabulary(model, len(tokenizer), str(folder))
    require_positions(model, max_length, str(folder))
    return Refiller(fast_inference(model.to(best_device())), vocabulary, mask, tokenizer.pad_token_id)
