"""Which device a stage computes on, in which precision it trains, and how it gets its memory."""

import ctypes
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def best_device() -> torch.device:
    """CUDA where there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bf16_helps() -> bool:
    """Whether the machine multiplies bf16 matrices in hardware: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Let the next training step have the memory that the last one freed.

    By default glibc gives what is free above 64 MB back to the kernel at once, and each step gets it again as zeroed pages, one
    fault at a time (`python -m tests.benchmarks.allocation` measures what that costs). Blocks from 32 MB on, such as the
    gradient of an embedding table, still come from the kernel and go back to it: on the heap they would tear it apart. Other C
    libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
