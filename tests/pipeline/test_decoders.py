"""A decoder through the whole pipeline: taught by its texts, kept, distilled without it, measured, exported, asked."""

import csv
import html
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

from distill.data.batching import pad_batch
from distill.data.dataset import UNLABELLED, Dataset
from distill.evaluation.details import read_detail
from distill.evaluation.teacher_answers import kl_from_teacher
from distill.store.target_set import TargetStore
from distill.tasks.registry import task_of
from tests import tiny
from tests.command_line import invoke
from tests.decoders import checkpoint
from tests.projects import attempt, commit, edit_params, made_once, make_project, opening, run, run_pipeline, stages_run

pytestmark = pytest.mark.slow
PARAMS = (
    opening(epochs=2)
    + """\
datasets:
  tiny: {source: tiny, task: causal-lm, max_length: 16}
teachers:
  tiny: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}}
targets:
  tiny: {teacher: tiny, dataset: tiny}
  likely: {teacher: tiny, dataset: tiny, logits_as: top-k, top_k: 8}
  drawn: {teacher: tiny, dataset: tiny, logits_as: draws}
students:
  distilled:
    recipe: divergence
    dataset: tiny
    targets: tiny
    init: {from: data/teachers/tiny, depth: 2}
    temperature: 2
    soft_weight: 5
    hard_weight: 2
    cosine_weight: 1
  likely:
    recipe: divergence
    dataset: tiny
    targets: likely
    init: {from: data/prepared/tiny, architecture: {model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2}}
  drawn: {recipe: divergence, dataset: tiny, targets: drawn, init: {from: data/inits/likely}}
  llama:
    recipe: divergence
    dataset: tiny
    targets: tiny
    init:
      from: data/prepared/tiny
      architecture:
        {model_type: llama, num_key_value_heads: 1,
         hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}
"""
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose whole pipeline has run: read only, but for the last test."""

    def make(folder: Path) -> None:
        (folder / "origin/rows").mkdir(parents=True)
        for seed, (split, count) in enumerate({"train": 40, "validation": 12, "test": 12}.items()):
            with (folder / f"origin/rows/{split}.csv").open("w", encoding="utf-8", newline="") as file:
                rows = tiny.raw("causal-lm", count, seed)["text"].to_pylist()
                csv.writer(file).writerows([("text",), *([text] for text in rows)])
        checkpoint(folder / "origin/checkpoint")
        made = make_project(folder / "project", folder / "origin", PARAMS)
        run_pipeline(made)
        run(made, "dvc commit --force")
        commit(made, "the results")

    return made_once(tmp_path_factory.getbasetemp(), "decoders", make) / "project"


def metrics(project: Path, name: str) -> dict[str, float]:
    return json.loads((project / "data/metrics" / f"{name}.json").read_text(encoding="utf-8"))


def test_scores_are_those_of_all_predicted_tokens(project):
    """Computed again with transformers alone, row by row."""
    dataset = Dataset.open(project / "data/prepared/tiny")
    rows = dataset.rows("test")
    logs = {}
    for kind in ("teachers/tiny", "students/distilled"):
        model, found = AutoModelForCausalLM.from_pretrained(project / "data" / kind).eval(), []
        for row in range(len(rows)):
            labels = torch.from_numpy(rows.labels[rows.offsets[row] : rows.offsets[row + 1]])
            with torch.no_grad():
                logits = model(**pad_batch(rows, np.array([row]))).logits[0]
            found.append(logits[labels != UNLABELLED].double().log_softmax(-1))
        logs[kind] = torch.cat(found)
    labels = torch.from_numpy(rows.labels[rows.labels != UNLABELLED])
    own, theirs = logs["students/distilled"], logs["teachers/tiny"]
    nats = float(-own[torch.arange(len(labels)), labels].mean())
    measured = metrics(project, "students/distilled")
    expected = {
        "log_loss": nats,
        "perplexity": np.exp(nats),
        "likelihood": np.exp(-nats),
        "bits_per_byte": nats * len(labels) / np.log(2) / dataset.splits["test"]["counts"]["bytes"],
        "accuracy": float((own.argmax(-1) == labels).double().mean()),
        "kl_from_teacher": float((theirs.exp() * (theirs - own)).sum(-1).mean()),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, rel=2e-3)
    agreement = float((own.argmax(-1) == theirs.argmax(-1)).double().mean())
    assert measured["agreement"] == pytest.approx(agreement, abs=2.1 / len(labels))  # int8 states may move two near ties
    assert measured["retention"] == pytest.approx(
        measured["likelihood"] / metrics(project, "teachers/tiny")["likelihood"], rel=1e-3
    )
    assert metrics(project, "targets/tiny")["logits"]["replayed_kl"] < 1e-4


def test_exports_follow_torch_and_the_report_and_the_choice_know_the_score(project, monkeypatch):
    for name in ("distilled", "llama"):
        exported, torch_scores = metrics(project, f"exports/students/{name}"), metrics(project, f"students/{name}")
        assert exported["fp32"]["likelihood"] == pytest.approx(torch_scores["likelihood"], rel=1e-4)
        assert exported["int8"]["agreement_with_fp32"] > 0.9
    page = (project / "data/report/index.html").read_text(encoding="utf-8")
    assert "1 / perplexity" in page
    for kind in ("teachers/tiny", "students/distilled"):
        for line in read_detail(project / "data/evaluations" / kind / "detail.json", "evaluate").continuations:
            assert line.before in html.unescape(page)
            assert line.said in html.unescape(page)
    monkeypatch.chdir(project)
    chosen = invoke_distill("choose")
    assert chosen.returncode == 0, chosen.stderr
    assert "likelihood" in chosen.stdout


@pytest.mark.parametrize("name", ["likely", "drawn"])
def test_students_of_a_part_of_the_distributions_follow_their_teacher_too(project, name):
    """All are scored by the teacher's whole distributions, which their sets keep of validation and test rows."""
    found, whole = metrics(project, f"students/{name}"), metrics(project, "students/distilled")
    assert found.keys() >= whole.keys() - {"cascade"}
    initial = AutoModelForCausalLM.from_pretrained(project / f"data/inits/{name}").eval()
    dataset = Dataset.open(project / "data/prepared/tiny")
    store = TargetStore.open(project / f"data/targets/{name}")
    before = kl_from_teacher(initial, task_of("causal-lm"), store, "test", dataset.rows("test"))
    assert found["kl_from_teacher"] < 0.8 * before
    assert set(metrics(project, f"targets/{name}")) == {"logits", "transform", {"likely": "likeliest", "drawn": "draws"}[name]}


def invoke_distill(*arguments: str):
    from distill.__main__ import main

    return invoke(main, *arguments)


@pytest.mark.parametrize("name", ["distilled", "llama"])
def test_transformers_generates_with_a_student_and_predict_says_the_same(project, monkeypatch, tmp_path, name):
    monkeypatch.chdir(project)
    folder, text = Path("data/students", name), "w1 w2 w3"
    generate = pipeline("text-generation", model=str(folder))
    assert generate.model.generation_config.eos_token_id == generate.tokenizer.eos_token_id
    made = generate(text, max_new_tokens=12, do_sample=False, return_full_text=False)[0]["generated_text"]
    (tmp_path / "texts.txt").write_text(f"{text}\n", encoding="utf-8")
    for place in (folder, Path("data/exports/students", name)):
        said = invoke_distill("predict", str(place), str(tmp_path / "texts.txt"))
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["continuation"].split()[:12] == made.split()[:12]


def test_plan_prices_the_states_a_token_and_a_changed_temperature_reruns_the_student_alone(project, monkeypatch):
    monkeypatch.chdir(project)
    plan = invoke_distill("plan", "tiny")
    assert plan.returncode == 0, plan.stderr
    assert "transform" in plan.stdout
    edit_params(project, students={"distilled": {"temperature": 1.0}})
    output = run(project, "dvc repro evaluate@distilled")
    assert stages_run(output) >= {"student@distilled", "evaluate@distilled"}
    assert not {stage for stage in stages_run(output) if stage.startswith(("teacher", "targets", "init", "prepare"))}
    edit_params(project, targets={"tiny": {"positions": "all"}})
    code, output = attempt(project, "python -m distill check")
    assert code != 0
    assert "targets.tiny.positions: causal-lm masks nothing" in output
