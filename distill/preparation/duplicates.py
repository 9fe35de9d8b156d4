"""Rows that are in more than one split, exactly or nearly: they make every score too high."""

import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import combinations, islice
from typing import Any, NoReturn

import numpy as np
from datasketch import MinHash, MinHashLSH
from tqdm import tqdm

from distill.core.arrays import Array
from distill.core.processes import Processes, cores
from distill.core.progress import bar
from distill.data.columns import Column
from distill.data.long_arrays import array_on_disk, taken
from distill.preparation.keys import first_places

SHINGLE = 5
"""Characters of a shingle: a word or so, in any script (Leskovec 2020, §3.2)."""

PERMUTATIONS, MISSES, HIGHEST = 128, (0.05, 0.95), 0.9
"""Of MinHash; how its bands weigh false candidates, which are compared, and misses; the highest threshold that they are for."""

AT_ONCE = 1024
"""Shingles that are hashed together: each takes some kilobytes meanwhile."""

PIECE = 512
"""Rows whose signatures a process computes at a time."""

ROWS_WORTH_PROCESSES = 20_000
"""Rows whose signatures take longer than processes take to start."""


def across_splits(texts: Mapping[str, Column], keys: Mapping[str, Array], threshold: float, examples: int = 5) -> dict[str, Any]:
    """For each pair of splits, the rows of the second that are in the first too; texts are normalized, keys are their hashes.

    `exact` counts rows whose text is equal, `near` those whose sets of character 5-grams have a Jaccard similarity of at least
    `threshold` to some row (exact ones excluded), found by MinHash, so that a few at the threshold may be missed. `examples` are
    pairs of positions in the prepared splits.
    """
    count, found = sum(map(len, texts.values())), {}
    with (
        closing(Processes(cores() if count >= ROWS_WORTH_PROCESSES else 1, __name__)) as processes,
        bar(total=count, title="look for near-duplicates", unit="row") as progress,
    ):
        near = _similar(texts, threshold, processes, progress)
    for first, second in combinations(texts, 2):
        lefts = first_places(keys[first], keys[second])
        same = np.flatnonzero(lefts >= 0)
        exact = [(int(lefts[row]), int(row)) for row in same[:examples]]
        nearly = [(left, row) for row, left in sorted(near[first, second].items()) if lefts[row] < 0]
        found[f"{first}-{second}"] = {
            "exact": len(same),
            "near": len(nearly),
            "examples": [{first: left, second: right} for left, right in (exact + nearly)[:examples]],
        }
    return found


class _Index:
    """Bands of signatures of the rows of a split, sorted, so that equal ones are found; they lie on disk."""

    def __init__(self, texts: Column, bands: int) -> None:
        self.texts = texts
        self.hashes, self.rows = (array_on_disk((bands, len(texts)), kind) for kind in (np.uint64, np.int64))

    def sort(self) -> None:
        """Once `hashes`, (bands, rows), are filled."""
        for hashes, rows in zip(self.hashes, self.rows, strict=True):
            rows[:] = hashes.argsort(kind="stable")
            hashes[:] = taken(hashes, rows)

    def candidates(self, bands: Array) -> Iterator[tuple[int, Array]]:
        """Of (bands, n) hashes those of which a row has one, and the positions of these rows."""
        if not len(self.texts):
            return
        pairs = list(zip(self.hashes, bands, strict=True))
        starts = np.stack([own.searchsorted(asked) for own, asked in pairs])
        there = np.stack([own[np.minimum(at, len(own) - 1)] == asked for (own, asked), at in zip(pairs, starts, strict=True)])
        for number in np.flatnonzero(there.any(axis=0)).tolist():
            own_bands = np.flatnonzero(there[:, number]).tolist()
            stops = [self.hashes[band].searchsorted(bands[band, number], "right") for band in own_bands]
            ranges = zip(own_bands, starts[own_bands, number], stops, strict=True)
            yield number, np.unique(np.concatenate([self.rows[band, start:stop] for band, start, stop in ranges]))


def _similar(
    texts: Mapping[str, Column], threshold: float, processes: Processes, progress: "tqdm[NoReturn]"
) -> dict[tuple[str, str], dict[int, int]]:
    """For each pair of splits, the rows of the second with a similar row in the first, and the most similar one.

    Hashes of the first split, which is the largest, are not kept. Processes share the signatures, most of the work.
    """
    splits, indices, pairs = list(texts), dict[str, _Index](), dict[tuple[str, str], dict[int, int]]()
    scheme = MinHashLSH(min(threshold, HIGHEST), PERMUTATIONS, MISSES)
    for number, first in reversed(list(enumerate(splits))):
        best: dict[str, dict[int, tuple[float, int]]] = {second: {} for second in splits[number + 1 :]}
        index = _Index(texts[first], scheme.b) if number else None
        for (part, rows), bands in processes.map(partial(_bands, shape=(scheme.b, scheme.r)), _pieces(texts[first])):
            progress.update(len(rows))
            for second, nearest in best.items():
                for place, candidates in indices[second].candidates(bands):
                    own = shingles(rows[place])
                    for candidate, text in zip(candidates.tolist(), indices[second].texts.take(candidates), strict=True):
                        similarity = _jaccard(own, shingles(text))
                        if similarity >= threshold and similarity > nearest.get(candidate, (0.0, 0))[0]:
                            nearest[candidate] = similarity, part.start + place
            if index is not None:
                index.hashes[:, part] = bands
        if index is not None:
            index.sort()
            indices[first] = index
        pairs |= {(first, second): {row: left for row, (_, left) in nearest.items()} for second, nearest in best.items()}
    return pairs


def _pieces(texts: Column) -> Iterator[tuple[slice, list[str]]]:
    """All rows, PIECE at a time: where they stand, and they."""
    for part in texts.parts():
        rows = texts[part]
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            yield slice(part.start + start, part.start + start + len(piece)), piece


def shingles(text: str) -> set[str]:
    """All runs of SHINGLE characters; a shorter text is one."""
    return {text[start : start + SHINGLE] for start in range(max(1, len(text) - SHINGLE + 1))}


def _bands(part: tuple[slice, Sequence[str]], shape: tuple[int, int]) -> Array:
    """The bands of each text's signature, each as one number: so many bands of so many hashes, (bands, texts) uint64."""
    return np.stack([_signature(text)[: shape[0] * shape[1]].reshape(shape) @ _factors(shape[1]) for text in part[1]], axis=1)


def _signature(text: str) -> Array:
    signature = MinHash(PERMUTATIONS, hashfunc=zlib.crc32, permutations=_permutations())
    found = iter(shingles(text))
    while some := [shingle.encode() for shingle in islice(found, AT_ONCE)]:
        signature.update_batch(some)
    return np.asarray(signature.hashvalues)


@functools.cache
def _factors(width: int) -> Array:
    return np.random.default_rng(0).integers(2**63, size=width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


@functools.cache
def _permutations() -> Any:
    return MinHash(PERMUTATIONS).permutations


def _jaccard(first: set[str], second: set[str]) -> float:
    return len(first & second) / len(first | second)
