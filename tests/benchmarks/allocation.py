"""`python -m tests.benchmarks.allocation`: a training step on the CPU with and without `keep_freed_memory`, interleaved.

glibc's settings hold for a whole process, so each arm has one of its own; they take turns.
"""

import statistics
import subprocess
import sys
import time

import click
import torch

from distill.console import command
from distill.devices import bf16_helps, keep_freed_memory
from tests.benchmarks.models import VOCABULARY, classifier


@command
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--arm", type=click.Choice(["kept", "returned"]), hidden=True)
def main(rounds: int, arm: str | None) -> None:
    """Median milliseconds of a step of a 3 × 384 student, 32 rows of 16 tokens, and their ratio."""
    if arm is not None:
        click.echo(step_seconds(arm == "kept") * 1e3)
        return
    times: dict[str, list[float]] = {"kept": [], "returned": []}
    for _ in range(rounds):
        for name, found in times.items():
            script = [sys.executable, "-m", "tests.benchmarks.allocation", "--arm", name]
            found.append(float(subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True).stdout))
    kept, returned = (statistics.median(found) for found in times.values())
    click.echo(f"a step: {kept:.1f} ms with memory kept, {returned:.1f} ms with memory returned, ratio {returned / kept:.2f}")


def step_seconds(kept: bool, steps: int = 40) -> float:
    """The median of some training steps in this process."""
    if kept:
        keep_freed_memory()
    torch.manual_seed(0)
    model = classifier(layers=3, width=384).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens, labels = torch.randint(0, VOCABULARY, (32, 16)), torch.randint(0, 2, (32,))
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_helps()):
            loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
