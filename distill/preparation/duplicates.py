"""Rows that are in more than one split, exactly or nearly: they make every score too high."""

import functools
import zlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from datasketch import MinHash, MinHashLSH

from distill.preparation.normalization import normalized

SHINGLE = 5
"""Characters of a shingle: a word or so, in any script (Leskovec 2020, §3.2)."""

PERMUTATIONS, MISSES, HIGHEST = 128, (0.05, 0.95), 0.9
"""Of MinHash; how its bands weigh false candidates, which are compared, and misses; the highest threshold that they are for."""


def across_splits(texts: Mapping[str, Sequence[str]], threshold: float, examples: int = 5) -> dict[str, Any]:
    """For each pair of splits, the rows of the second that are in the first too.

    `exact` counts rows whose normalized text is equal, `near` those whose sets of character 5-grams have a Jaccard similarity of
    at least `threshold` to some row (exact ones excluded), found by MinHash, so that a few at the threshold may be missed.
    `examples` are pairs of positions in the prepared splits.
    """
    clean = {split: [normalized(text) for text in rows] for split, rows in texts.items()}
    near = _similar(clean, threshold)
    found = {}
    for first, second in combinations(texts, 2):
        positions = {text: position for position, text in reversed(list(enumerate(clean[first])))}
        exact = [(positions[text], row) for row, text in enumerate(clean[second]) if text in positions]
        known = {row for _, row in exact}
        nearly = [(left, row) for row, left in sorted(near[first, second].items()) if row not in known]
        found[f"{first}-{second}"] = {
            "exact": len(exact),
            "near": len(nearly),
            "examples": [{first: left, second: right} for left, right in (exact + nearly)[:examples]],
        }
    return found


def _similar(texts: Mapping[str, Sequence[str]], threshold: float) -> dict[tuple[str, str], dict[int, int]]:
    """For each pair of splits, the rows of the second with a similar row in the first, and the most similar one.

    Hashes of the first split, which is the largest, are not kept.
    """
    splits, indices, pairs = list(texts), dict[str, MinHashLSH](), dict[tuple[str, str], dict[int, int]]()
    for number, first in reversed(list(enumerate(splits))):
        best: dict[str, dict[int, tuple[float, int]]] = {second: {} for second in splits[number + 1 :]}
        index = MinHashLSH(min(threshold, HIGHEST), PERMUTATIONS, MISSES)
        for row, text in enumerate(texts[first]):
            signature = _hashed(text)
            for second, nearest in best.items():
                for candidate in sorted(indices[second].query(signature)):
                    similarity = _jaccard(shingles(text), shingles(texts[second][candidate]))
                    if similarity >= threshold and similarity > nearest.get(candidate, (0.0, 0))[0]:
                        nearest[candidate] = similarity, row
            if number:
                index.insert(row, signature, check_duplication=False)
        indices[first] = index
        pairs |= {(first, second): {row: left for row, (_, left) in nearest.items()} for second, nearest in best.items()}
    return pairs


def shingles(text: str) -> set[str]:
    """All runs of SHINGLE characters; a shorter text is one."""
    return {text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1))}


def _hashed(text: str) -> Any:
    signature = MinHash(PERMUTATIONS, hashfunc=zlib.crc32, permutations=_permutations())
    signature.update_batch([shingle.encode() for shingle in shingles(text)])
    return signature


@functools.cache
def _permutations() -> Any:
    return MinHash(PERMUTATIONS).permutations


def _jaccard(first: set[str], second: set[str]) -> float:
    return len(first & second) / len(first | second)
