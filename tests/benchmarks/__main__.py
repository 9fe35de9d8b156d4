"""`make bench`: measure, print a table, write data/metrics/bench.json. Random weights, no data needed.

`python -m tests.benchmarks materialization training` measures these alone, and writes nothing.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from distill.core.console import quiet_libraries
from distill.core.files import to_json, write_text

OUT = Path("data/metrics/bench.json")


def main(names: Sequence[str] = ()) -> None:
    """Run every benchmark, or those of these names, one after the other: two at once would measure each other."""
    quiet_libraries()
    from tests.benchmarks import materialization, memory, processes, reading, repro, scale, sizes, training

    torch.manual_seed(0)
    every = (repro, sizes, reading, memory, materialization, processes, scale, training)
    figures = {}
    for benchmark in (each for each in every if not names or each.__name__.rpartition(".")[2] in names):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            figures |= benchmark.measure(Path(folder))
    width = max(map(len, figures))
    print(f"\n| {'what':{width}} | measured | goal    | met | unit            |")
    print(f"| {'-' * width} | -------: | ------- | --- | --------------- |")
    for name, figure in figures.items():
        met = "yes" if figure.met else "no"
        print(f"| {name:{width}} | {figure.value:8.4g} | {figure.goal:7} | {met:3} | {figure.unit:15} |")
    content = {
        name: {"value": float(f"{figure.value:.4g}"), "goal": figure.goal, "met": figure.met, "unit": figure.unit}
        for name, figure in figures.items()
    }
    if not names:
        write_text(OUT, to_json(content))
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}{'' if names else f'; written to {OUT}'}")


if __name__ == "__main__":
    main(sys.argv[1:])
