"""The machine that is measured: its processor, its libraries, its energy counters."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.core.devices import has_fast_bf16


@dataclass(frozen=True)
class Meter:
    """Intel's and AMD's RAPL: a counter of microjoules for each package of processors, which begins anew at its range."""

    counters: tuple[Path, ...]

    @classmethod
    def find(cls, folder: Path = Path("/sys/class/powercap")) -> "Meter":
        """The counters of this machine that this user may read; none in most virtual machines."""
        zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        return cls(tuple(zone for zone in zones if os.access(zone / "energy_uj", os.R_OK)))

    def read(self) -> tuple[int, ...]:
        """Microjoules of each package."""
        return tuple(int((zone / "energy_uj").read_text()) for zone in self.counters)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float:
        """What was used between two readings that are less than a range apart (minutes)."""
        spent = 0
        for zone, first, last in zip(self.counters, before, after, strict=True):
            spent += last - first if last >= first else last - first + int((zone / "max_energy_range_uj").read_text())
        return spent / 1e6


def describe(threads: int) -> dict[str, Any]:
    """What a reader must know of the machine to compare its figures with others'."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "bf16": has_fast_bf16(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "onnxruntime")},
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
