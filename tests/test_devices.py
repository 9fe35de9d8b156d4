"""What the machine is asked for."""

import subprocess
import sys

import pytest

from tests.commands import environment

FAULTS = """\
import resource
import torch
from distill.devices import keep_freed_memory
if KEEP:
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step = [torch.ones(2**21) for _ in range(20)]
    del step
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
PAGES = 20 * 2**21 * 4 // 4096


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_that_was_freed_is_not_fetched_page_by_page_again() -> None:
    def faults(keep: bool) -> int:
        script = [sys.executable, "-c", FAULTS.replace("KEEP", str(keep))]
        return int(subprocess.run(script, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout)

    assert faults(keep=True) < PAGES / 2 < faults(keep=False)
