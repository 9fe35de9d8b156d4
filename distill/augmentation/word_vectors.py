"""Words that stand near a word in a table of word vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from distill.augmentation.words import Vocabulary
from distill.core.arrays import Array
from distill.core.errors import UserError

BLOCK = 64
"""Words looked up at once, so that memory stays flat."""


@dataclass(frozen=True)
class Neighbours:
    """A table of words, and how a word that may not be in it gets its vector."""

    words: tuple[str, ...]
    vectors: Float[Tensor, "words width"]
    """Of length 1."""
    vector_of: Callable[[str, Array], Float[Tensor, " width"] | None]
    """The vector of a word with these pieces, token ids; None if it has none."""

    def of(self, asked: Sequence[tuple[str, Array]], most: int) -> list[list[str]]:
        """Of each word the nearest ones by cosine, the nearest first, without itself; none of a word that has no vector.

        `asked` are words and their pieces as token ids; `most` is the number of neighbours of a word.
        """
        found: list[list[str]] = [[] for _ in asked]
        vectors = enumerate(self.vector_of(word, pieces) for word, pieces in asked)
        known = [(place, vector) for place, vector in vectors if vector is not None]
        for start in range(0, len(known), BLOCK):
            block = known[start : start + BLOCK]
            queries = functional.normalize(torch.stack([vector for _, vector in block]), dim=1)
            nearest = (queries @ self.vectors.T).topk(min(most + 2, len(self.words)), dim=1).indices.tolist()
            for (place, _), rows in zip(block, nearest, strict=True):
                others = [self.words[row] for row in rows if self.words[row].lower() != asked[place][0].lower()]
                found[place] = others[:most]
        return found


def from_embeddings(embeddings: Float[Tensor, "tokens width"], vocabulary: Vocabulary) -> Neighbours:
    """Neighbours among the words that are single pieces of a model; the vector of another word is the mean of its pieces'."""
    table = embeddings.detach().float().cpu()
    return Neighbours(
        tuple(vocabulary.words.values()),
        functional.normalize(table[torch.from_numpy(vocabulary.ids)], dim=1),
        lambda _, pieces: table[torch.from_numpy(pieces)].mean(dim=0),
    )


def from_file(path: Path) -> Neighbours:
    """Neighbours in a text file of word vectors; a word that it lacks is looked up in lower case, or has none."""
    words, vectors = read_vectors(path)
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(word, row)

    def vector_of(word: str, pieces: Array) -> Tensor | None:
        row = rows.get(word, rows.get(word.lower()))
        return None if row is None else vectors[row]

    return Neighbours(words, functional.normalize(vectors, dim=1), vector_of)


def read_vectors(path: Path) -> tuple[tuple[str, ...], Float[Tensor, "words width"]]:
    """The words with a letter, and their vectors, of a file of lines `word number number …`, as GloVe writes it.

    A first line of two counts, as word2vec writes it, is passed over.
    """
    words: list[str] = []
    vectors: list[Array] = []
    width = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                parts = line.rstrip().split(" ")
                if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
                    continue
                width = width or len(parts) - 1
                word, vector = " ".join(parts[:-width]), _numbers(parts[len(parts) - width :])
                if not word or vector is None:
                    raise UserError(
                        f"{path}: line {number}: expected a word and {width or 'some'} numbers, got {line.rstrip()!r:.60}; give "
                        "a text file of word vectors (GloVe's or word2vec's format)"
                    )
                if any(map(str.isalpha, word)):
                    words.append(word)
                    vectors.append(vector)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); vectors names a text file of word vectors") from None
    if not words:
        raise UserError(f"{path}: has no words; give a text file of word vectors (GloVe's or word2vec's format)")
    return tuple(words), torch.from_numpy(np.stack(vectors))


def _numbers(parts: list[str]) -> Array | None:
    """Parts as float32; None if one is no finite number."""
    try:
        vector = np.array(parts, np.float32)
    except ValueError:
        return None
    return vector if len(vector) and np.isfinite(vector).all() else None
