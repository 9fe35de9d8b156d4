"""`python -m tests.benchmarks.scale [--fraction 1e-3] [SET …]`: docs/scale.md's arithmetic beside a run over so much of its sets.

A BERT-base with random weights reads rows of the lengths that the page has, its set is written, and bytes and seconds are
printed as promised and as measured. The corpus of 3 billion tokens is read where it is named: 25 minutes on two cores, 12 GB.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import click
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

from distill.core.console import quiet_libraries
from distill.data.dataset import ID_BYTES, Dataset, PreparedRows
from distill.store.codecs.vectors import bytes_a_vector
from distill.store.manifest import Fingerprints
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.materialize import Materializer
from tests.benchmarks.harness import VOCABULARY, Figure
from tests.target_specs import target_spec

WIDTH, LAYERS, CLASSES, HIDDEN = 768, 12, 3, (3, 6, 8, 10, 12)
TOKENS_A_SECOND = 1000
"""Of the teacher, on each core of an AMD EPYC with AVX-512."""
FRACTION = 1e-3


@dataclass(frozen=True)
class Scale:
    """A data set of the page's table."""

    rows: int
    length: int
    task: str = "sequence-classification"

    def bytes(self, fraction: float = 1) -> dict[str, float]:
        """What its logits, with its ids, and its hidden states take, by the page's formulas."""
        logits = 4 * (2 * self.length if self.task == "question-answering" else CLASSES) + ID_BYTES
        hidden = len(HIDDEN) * self.rows * self.length * bytes_a_vector("int8", WIDTH)
        return {"logits": fraction * self.rows * logits, "hidden": fraction * hidden}


SETS = {
    "MNLI: 393k pairs of 40 tokens": Scale(393_000, 40),
    "SQuAD 1.1: 88k windows of 384": Scale(88_000, 384, "question-answering"),
    "a corpus of 3 billion tokens": Scale(3_000_000_000 // 128, 128),
}
SMALL = tuple(SETS)[:2]


def run(scale: Scale, folder: Path, fraction: float, **other: int) -> dict[str, float]:
    """Materialize this fraction of the rows: bytes of logits and of hidden states, and the teacher's seconds.

    `other` is what its config has in place of BERT-base's.
    """
    questions, rng, count = scale.task == "question-answering", np.random.default_rng(0), round(fraction * scale.rows)
    rows = PreparedRows(
        ids=rng.integers(0, 256, (count, ID_BYTES), np.uint8),
        tokens=rng.integers(1000, VOCABULARY, count * scale.length, np.int32),
        offsets=np.arange(count + 1) * scale.length,
        token_types=None,
        labels=np.zeros((count, 2) if questions else count, np.int64),
    )
    config = AutoConfig.for_model("bert", vocab_size=VOCABULARY, num_labels=2 if questions else CLASSES, **other)
    head = AutoModelForQuestionAnswering if questions else AutoModelForSequenceClassification
    model = head.from_config(config).eval()
    dataset = Mock(Dataset, task=scale.task, splits={"train": {"fingerprint": "0" * 64}}, rows=lambda _: rows)
    labels = ("start", "end") if questions else tuple("abc")
    about = Fingerprints(teacher="0" * 64, config="0" * 64, tokenizer="0" * 64, labels=labels, max_length=scale.length)
    made = Materializer(Teacher(model, about), dataset, target_spec(hidden=HIDDEN), folder / "scratch")
    start = time.perf_counter()
    made.run()
    seconds = time.perf_counter() - start
    (folder / "set").mkdir()
    made.assemble(folder / "set")
    size = {
        output: sum(file.stat().st_size for file in (folder / "set" / output).rglob("*.arrow")) for output in made.outputs.stored
    }
    hidden = sum(count for output, count in size.items() if output.startswith("hidden"))
    return {"logits": size["logits"], "hidden": hidden, "seconds": seconds}


def compare(folder: Path, names: Sequence[str], fraction: float) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """What is promised of a fraction of each set, and what was measured."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            scale = SETS[name]
            seconds = fraction * scale.rows * scale.length / (TOKENS_A_SECOND * torch.get_num_threads())
            found[name] = ({**scale.bytes(fraction), "seconds": seconds}, run(scale, Path(place), fraction))
    return found


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table."""
    folder.mkdir(exist_ok=True)
    figures = {}
    for name, (promised, measured) in compare(folder, SMALL, FRACTION).items():
        what = f"docs/scale.md at 1/1000, {name.partition(':')[0]}"
        ratios = {part: measured[part] / promised[part] for part in promised}
        figures |= {
            f"{what}: bytes of 5 hidden states / promised": Figure(ratios["hidden"], "<= 1.01", "ratio of bytes"),
            f"{what}: promised seconds of the teacher / measured": Figure(1 / ratios["seconds"], ">= 0.9", "ratio of speeds"),
        }
    return figures


@click.command()
@click.argument("names", nargs=-1)
@click.option("--fraction", default=FRACTION, show_default=True)
def main(names: tuple[str, ...], fraction: float) -> None:
    """Print what is promised and measured of the sets whose names begin so."""
    quiet_libraries()
    chosen = [name for name in SETS if name.startswith(names)] if names else SMALL
    click.echo("| data set | what | promised | measured |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for name, (promised, measured) in compare(Path(folder), chosen, fraction).items():
            for part, unit, by in (("logits", "KB", 1e3), ("hidden", "MB", 1e6), ("seconds", "s", 1)):
                click.echo(f"| {name} | {part} | {promised[part] / by:.1f} {unit} | {measured[part] / by:.1f} {unit} |")


if __name__ == "__main__":
    main()
