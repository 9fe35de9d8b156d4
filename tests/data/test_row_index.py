"""Positions by example id are those of a dictionary, whatever stands in the index and is asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distill.data.row_index import RowIndex

NUMBERS = st.lists(st.integers(0, 2**20), max_size=40)


def ids_of(numbers: list[int]) -> np.ndarray:
    """Example ids, (n, 16) uint8, some of whose bytes are zeros at either end."""
    return np.frombuffer(b"".join((number * 256).to_bytes(16, "big") for number in numbers), np.uint8).reshape(-1, 16)


@given(known=st.lists(st.integers(0, 2**20), max_size=40, unique=True), asked=NUMBERS)
def test_places_are_those_of_a_dictionary(known: list[int], asked: list[int]) -> None:
    places = {number: place for place, number in enumerate(known)}
    assert RowIndex(ids_of(known)).find(ids_of(asked)).tolist() == [places.get(number, -1) for number in asked]


@given(known=NUMBERS)
def test_of_rows_that_are_there_twice_either_is_found(known: list[int]) -> None:
    found = RowIndex(ids_of(known)).find(ids_of(known))
    assert [known[place] for place in found] == known
