"""Batches of rows of like length, in random order."""

from collections.abc import Iterator

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler


class ShuffledLengthBatches(LengthGroupedSampler):
    """Transformers' sampler, whose batches go from the longest to the shortest rows again and again, with its batches shuffled.

    Where lengths come in waves, so do gradients: steps that follow each other are of texts of one kind.
    """

    def __iter__(self) -> Iterator[int]:
        """The places of all rows, those of a batch together; a batch that is not whole comes last."""
        places = [*super().__iter__()]
        whole = len(places) // self.batch_size
        for number in torch.randperm(whole, generator=self.generator).tolist():
            yield from places[number * self.batch_size : (number + 1) * self.batch_size]
        yield from places[whole * self.batch_size :]
