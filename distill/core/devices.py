"""Which device a stage computes on, and in which precision it trains."""

import torch


def best_device() -> torch.device:
    """CUDA where there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16() -> bool:
    """Whether bf16 matrices are multiplied faster than fp32 ones: by GPUs from Ampere on, CPUs with AMX, AMD's with AVX512-BF16.

    Intel's CPUs with AVX512-BF16 and without AMX, as many virtual machines show them, take 1.4 times as long as in fp32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    fast_instructions = "AMD" in str(capabilities.get("cpu_name")) and capabilities.get("avx512_bf16")
    return bool(capabilities.get("amx_bf16") or fast_instructions)
