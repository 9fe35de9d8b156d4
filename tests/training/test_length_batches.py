"""Batches of like length in random order: all rows, once, and no waves of lengths."""

import torch

from distill.training.length_batches import ShuffledLengthBatches

LENGTHS = torch.randint(4, 60, (1003,), generator=torch.Generator().manual_seed(1)).tolist()


def batches(seed: int) -> list[list[int]]:
    sampler = ShuffledLengthBatches(8, dataset=LENGTHS, lengths=LENGTHS, generator=torch.Generator().manual_seed(seed))
    places = list(sampler)
    return [places[start : start + 8] for start in range(0, len(places), 8)]


def test_each_row_comes_once_and_rows_of_a_batch_are_of_like_length() -> None:
    made = batches(1)
    assert sorted(place for batch in made for place in batch) == list(range(len(LENGTHS)))
    assert [len(batch) for batch in made] == [8] * 125 + [3]
    spreads = [max(LENGTHS[place] for place in batch) - min(LENGTHS[place] for place in batch) for batch in made]
    assert sorted(spreads)[len(spreads) // 2] <= 3


def test_lengths_come_in_no_waves_and_the_order_is_the_generators() -> None:
    means = torch.tensor([float(sum(LENGTHS[place] for place in batch)) / len(batch) for batch in batches(1)[:-1]])
    falls = (means[1:] < means[:-1]).float().mean()
    assert 0.3 < falls < 0.7  # of sorted megabatches nearly all
    assert batches(1) == batches(1) != batches(2)
