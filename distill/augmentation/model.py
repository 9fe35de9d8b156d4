"""An augmenter from a masked language model's folder."""

from pathlib import Path

from distill.augmentation.neighbours import from_embeddings, from_file
from distill.augmentation.refills import Refiller
from distill.augmentation.rewording import Augmenter
from distill.augmentation.words import require_mask, whole_words
from distill.devices import best_device
from distill.encoders import load_tokenizer, require_positions, require_vocabulary
from distill.models import load_model
from distill.targets.packing import fast_inference
from distill.tasks.catalogue import task_of


def open_augmenter(
    folder: Path,
    max_length: int,
    *,
    copies: int,
    candidates: int,
    probability: float,
    seed: int,
    vectors: Path | None = None,
) -> Augmenter:
    """Load what an `augmentations` entry names, on the best device there is.

    Args:
        folder: data/teachers/NAME, of a masked language model.
        max_length: Tokens of a text that are looked at.
        copies: N, of each text.
        candidates: M, for each word.
        probability: p, that a word is replaced.
        seed: Of all dice.
        vectors: A text file of word vectors; by default the model's input embeddings.

    Raises:
        UserError: the model has no masked-lm head or no mask token, takes shorter rows, or the vectors are broken.
    """
    tokenizer = load_tokenizer(folder)
    mask = require_mask(tokenizer, str(folder))
    vocabulary = whole_words(tokenizer, str(folder))
    model = load_model(folder, task_of("masked-lm"), (), new_head=False).eval()
    require_vocabulary(model, len(tokenizer), str(folder))
    require_positions(model, max_length, str(folder))
    near = from_embeddings(model.get_input_embeddings().weight, vocabulary) if vectors is None else from_file(vectors)
    refiller = Refiller(fast_inference(model.to(best_device())), vocabulary, mask, tokenizer.pad_token_id)
    return Augmenter(tokenizer, refiller, near, max_length, copies, candidates, probability, seed)
