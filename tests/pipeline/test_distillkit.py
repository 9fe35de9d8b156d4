"""From DistillKit's Parquet alone to a student that was trained, measured and exported: without a teacher's weights."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from distill.__main__ import main
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.evaluation.details import read_detail
from distill.store.target_set import TargetStore
from tests import tiny
from tests.command_line import invoke
from tests.decoders import SPECIAL, checkpoint, decoder
from tests.distillkit import table_row, write
from tests.projects import commit, make_project, opening, outdated, run, run_pipeline

pytestmark = pytest.mark.slow
PARAMS = (
    opening(epochs=2, kit="kit")
    + """\
datasets:
  rows: {source: kit, task: causal-lm, columns: {input_ids: input_ids}, max_length: 16}
given:
  kit:
    table: data/raw/kit
    dataset: rows
    columns: {input_ids: input_ids, compressed_logprobs: compressed_logprobs, bytepacked_indices: bytepacked_indices}
    compression:
      d: 46
      k: 12
      exact_k: 4
      exact_dtype: bfloat16
      polynomial_terms: [0, 1, sqrt]
      residual_bins:
      - {scale_dtype: float16, element_bits: 5, num_elements: 8}
      delta_encoding: false
students:
  small:
    recipe: divergence
    dataset: rows
    targets: kit
    init: {from: data/prepared/rows, architecture: {model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2}}
"""
)
BIN = {"scale_dtype": "float16", "element_bits": 5, "num_elements": 8}
HOW = {
    **{"d": 46, "k": 12, "exact_k": 4, "exact_dtype": "bfloat16", "polynomial_terms": [0, 1, "sqrt"]},
    **{"residual_bins": [BIN], "delta_encoding": False},
}


def capture(folder: Path) -> Path:
    """What a sampler leaves behind, its files renamed: two of one split, from which the others are cut."""
    teacher, rng = decoder(seed=1), np.random.default_rng(1)
    rows = []
    for _ in range(60):
        tokens = rng.integers(len(SPECIAL), len(SPECIAL) + len(tiny.WORDS), rng.integers(3, 20)).tolist()
        with torch.no_grad():
            rows.append(table_row(tokens, 3 * teacher(torch.tensor([tokens])).logits[0], HOW)[0])
    write(folder / "train-0.parquet", rows[:40])
    return write(folder / "train-1.parquet", rows[40:])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project, run: read only."""
    folder = tmp_path_factory.mktemp("kit")
    capture(folder / "origin/kit")
    checkpoint(folder / "origin/checkpoint")
    made = make_project(folder / "project", folder / "origin", PARAMS)
    run_pipeline(made)
    run(made, "dvc commit --force")
    commit(made, "the results")
    return made


def test_all_stages_run_and_the_student_is_scored_by_the_text(project, monkeypatch):
    assert outdated(project) == set()
    record = json.loads((project / "data/runs/given/kit.json").read_text(encoding="utf-8"))
    train = record["splits"]["train"]
    assert record["strangers"] == 0
    assert train["answered"] == train["rows"] > 40
    metrics = json.loads((project / "data/metrics/students/small.json").read_text(encoding="utf-8"))
    assert {"likelihood", "accuracy", "log_loss", "perplexity", "bits_per_byte"} <= set(metrics)
    assert not {"retention", "exact_match"} & set(metrics)
    page = html.unescape((project / "data/report/index.html").read_text(encoding="utf-8"))
    shown = read_detail(project / "data/evaluations/students/small/detail.json", "evaluate").continuations
    assert shown
    assert all(line.before in page and line.said in page for line in shown)
    monkeypatch.chdir(project)
    chosen = invoke(main, "choose")
    assert chosen.returncode == 0, chosen.stderr
    assert "likelihood" in chosen.stdout


def test_the_student_has_learnt_the_distributions_of_the_file(project):
    """The KL from what was given of training rows falls: from a random student's by a good part."""
    rows = Dataset.open(project / "data/prepared/rows").rows("train")
    reader = TargetStore.open(project / "data/targets/kit").output("likeliest", "train")

    def divergence(place: str) -> float:
        model, found = AutoModelForCausalLM.from_pretrained(project / place).eval(), []
        for row in range(len(rows)):
            shares = reader.codec.shares(reader.gather(reader.locate(rows.ids[row][None])))
            with torch.no_grad():
                logs = model(**pad_batch(rows, np.array([row]))).logits[0][:-1].double().log_softmax(-1)
            found.append((torch.xlogy(shares, shares) - shares * logs).sum(-1))
        return float(torch.cat(found).mean())

    assert divergence("data/students/small") < 0.8 * divergence("data/inits/small")
