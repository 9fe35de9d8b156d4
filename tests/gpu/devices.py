"""Tests of a device run twice: on the CPU, which shows that they work, and, marked `gpu`, on CUDA."""

import contextlib
from collections.abc import Iterator

import pytest
import torch

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


@contextlib.contextmanager
def only(device: str) -> Iterator[None]:
    """Within, stages find this device as the machine's best."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use, or not asked for: `pytest -m gpu` alone shows it to the tests")
    with pytest.MonkeyPatch.context() as patch:
        if device == "cpu":
            patch.setattr(torch.cuda, "is_available", lambda: False)
        else:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.max_memory_allocated()
        yield
        if device == "cuda":
            assert torch.cuda.max_memory_allocated() > before, "nothing was computed on the GPU"
