"""Rows that are in more than one split, exactly or nearly: they make every score too high."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

BLOCK = 1024
PAIRS = 2**24
"""Rows compared at once, and pairs of them with all rows of the other split, so that memory stays flat."""


def normalized(text: str) -> str:
    """A text without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", text.lower()))


def across_splits(texts: Mapping[str, Sequence[str]], threshold: float, examples: int = 5) -> dict[str, Any]:
    """For each pair of splits, the rows of the second that are in the first too.

    `exact` counts rows whose normalized text is equal, `near` those whose sets of word trigrams have a Jaccard similarity of
    at least `threshold` to some row (exact ones excluded). `examples` are pairs of positions in the prepared splits.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    clean = {split: [normalized(text) for text in rows] for split, rows in texts.items()}
    hashing = HashingVectorizer(
        analyzer="word", token_pattern=r"\S+", lowercase=False, ngram_range=(3, 3), binary=True, norm=None,
        alternate_sign=False, n_features=2**22, dtype=np.float32,
    )  # fmt: skip
    shingles = {split: hashing.transform(rows) for split, rows in clean.items()}
    found = {}
    for first, second in combinations(texts, 2):
        positions = {text: position for position, text in reversed(list(enumerate(clean[first])))}
        exact = [(positions[text], row) for row, text in enumerate(clean[second]) if text in positions]
        skip = {row for _, row in exact}
        near = [pair for pair in _similar(shingles[first], shingles[second], threshold) if pair[1] not in skip]
        found[f"{first}-{second}"] = {
            "exact": len(exact),
            "near": len(near),
            "examples": [{first: int(left), second: int(right)} for left, right in (exact + near)[:examples]],
        }
    return found


def _similar(first: Any, second: Any, threshold: float) -> list[tuple[int, int]]:
    """For each row of `second` with one, its most similar row of `first` (sparse, binary) from the threshold on."""
    sizes = np.asarray(first.sum(axis=1)).ravel()
    transposed = first.T.tocsr()
    pairs = []
    step = max(1, min(BLOCK, PAIRS // max(1, first.shape[0])))
    for start in range(0, second.shape[0], step):
        block = second[start : start + step]
        common = (block @ transposed).tocsr()
        block_sizes = np.asarray(block.sum(axis=1)).ravel()
        for row in range(common.shape[0]):
            span = slice(common.indptr[row], common.indptr[row + 1])
            if span.start == span.stop:
                continue
            shared, others = common.data[span], common.indices[span]
            jaccard = shared / (block_sizes[row] + sizes[others] - shared)
            best = int(jaccard.argmax())
            if jaccard[best] >= threshold:
                pairs.append((int(others[best]), start + row))
    return pairs
