"""What devices are told to compute in."""

import pytest
import torch

from distill.core.devices import has_fast_bf16


@pytest.mark.parametrize(
    ("name", "instructions", "fast"),
    [
        ("Intel Xeon", ("avx512_bf16",), False),
        ("Intel Xeon", ("avx512_bf16", "amx_bf16"), True),
        ("AMD EPYC", ("avx512_bf16",), True),
        ("AMD EPYC", (), False),
        (None, ("avx512_bf16",), False),
    ],
)
def test_cpus_take_bf16_where_it_is_faster(monkeypatch, name, instructions, fast):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name, **dict.fromkeys(instructions, True)})
    assert has_fast_bf16() is fast
