"""Arrays that are mapped from disk have the values of those in memory."""

from collections.abc import Iterator

import numpy as np
import pytest

from distill.data import long_arrays
from distill.data.long_arrays import (
    array_on_disk,
    compact,
    counted,
    distinct,
    full,
    joined,
    new_array,
    places,
    repeated,
    taken,
    tally,
)


@pytest.fixture(autouse=True, params=[7, 1 << 16])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[int]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(long_arrays, "STEP", request.param)
    monkeypatch.setattr(long_arrays, "SMALL", request.param)
    yield request.param
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("rows", [0, 1, 7, 40])
def test_values_are_numpys(rows: int) -> None:
    rng = np.random.default_rng(rows)
    values, mask = rng.integers(5, size=(rows, 2)), rng.random(rows) < 0.5
    positions = rng.permutation(rows)
    same = np.testing.assert_array_equal
    same(counted(rows), np.arange(rows))
    same(full(rows, -1, np.int64), np.full(rows, -1))
    same(taken(values, positions), values[positions])
    same(joined([values, values[:3]]), np.concatenate([values, values[:3]]))
    same(places(mask), np.flatnonzero(mask))
    same(repeated(values[:, 0]), np.repeat(np.arange(rows), values[:, 0]))
    same(tally(values[:, 1], 5), np.bincount(values[:, 1], minlength=5))
    assert distinct(values[:, 0]) == sorted({*values[:, 0].tolist()})
    same(compact(values.copy(), mask), values[mask])


def test_long_arrays_are_mapped_and_short_ones_are_not(step: int) -> None:
    assert isinstance(new_array(step // 8 + 1, np.int64).base, np.memmap)
    assert new_array(step // 8, np.int64).base is None


def test_a_full_disk_is_an_error_and_no_crash() -> None:
    with pytest.raises(OSError, match="No space left|too large"):
        array_on_disk((1 << 60,), np.uint8)
